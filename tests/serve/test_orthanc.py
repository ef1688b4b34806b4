"""The PACS of the tests is real, empty, and not reachable from anywhere else."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.serve.orthanc import Orthanc, tool


def addresses(port: int) -> set[str]:
    """Local addresses on which a TCP port is listened to, as hexadecimal of /proc/net/tcp and tcp6."""
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def test_only_this_machine_reaches_it(orthanc: Orthanc) -> None:
    assert addresses(orthanc.http) == addresses(orthanc.dicom) == {"0100007F"}


def test_it_stores_and_finds(orthanc: Orthanc) -> None:
    file = Path(str(get_testdata_file("CT_small.dcm")))
    subprocess.run([tool("storescu"), "-aec", orthanc.aet, "127.0.0.1", str(orthanc.dicom), str(file)], check=True)
    (series,) = orthanc.find("Series", Modality="CT")
    (stored,) = orthanc.instances(series["ID"])
    assert dcmread(BytesIO(stored)).PixelData == dcmread(file).PixelData
    assert orthanc.ask("/dicom-web/studies")[0]["00100020"]["Value"] == ["1CT1"]
    orthanc.empty()
    assert orthanc.find("Series") == []
