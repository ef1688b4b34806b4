"""The demo of the clinic in short: a series goes from the PACS to the node, and its segmentation comes back to the same study."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import requests
from pydicom import dcmread

from tests.serve.clinic import clinic, round_trip
from tests.serve.conftest import Small
from voxloom.formats import read_volume, write_dicom_series


def test_a_series_goes_round(small: Small, tmp_path: Path) -> None:
    files = write_dicom_series(read_volume(small.scan(0)), tmp_path / "series", template={"Modality": "MR"})
    with clinic(tmp_path / "clinic", small.run) as found:
        first = round_trip(found, files)
    with clinic(tmp_path / "clinic", small.run) as found:  # the demo once more, in the same folder
        result = round_trip(found, files)
        assert result["ID"] != first["ID"]
        (raw,) = found.orthanc.instances(result["ID"])
        address = f"http://127.0.0.1:{found.http}"
        page = requests.get(f"{address}/", timeout=60)
        info = requests.get(f"{address}/info/", timeout=60).json()
        viewer = requests.get(f"{address}/ohif/", timeout=60)
    source, made = dcmread(files[0], stop_before_pixels=True), dcmread(BytesIO(raw))
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert (page.status_code, viewer.status_code) == (200, 200)
    assert "<html" in page.text
    assert "OHIF" in viewer.text
    assert list(info["models"]) == [small.run.name]
    assert (info["datastore"]["total"], info["datastore"]["completed"]) == (1, 1)
