"""One click: a series goes from a real Orthanc to ``voxloom serve --dicom``, and its segmentation comes back to the same study."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.serve.conftest import Small
from tests.serve.node.parts import NAME, PATIENT_ID, ROOT, until
from tests.serve.orthanc import Orthanc, free_port
from voxloom.formats import read_volume
from voxloom.formats.dicom import write_series


@pytest.fixture
def ct(small: Small, tmp_path: Path) -> list[Path]:
    """An unseen scan as a DICOM series of a patient."""
    template = {"Modality": "MR", "PatientName": NAME, "PatientID": PATIENT_ID}
    return write_series(read_volume(small.scan(0)), tmp_path / "series", template=template)


def test_from_orthanc_to_the_node_and_back(orthanc: Orthanc, small: Small, ct: list[Path], tmp_path: Path) -> None:
    """By C-STORE and by STOW-RS to the same PACS, which keeps the one result once."""
    port = free_port()
    peer = {"aet": orthanc.aet, "host": "127.0.0.1", "port": orthanc.dicom}
    settings = {
        "stable": 0.5,
        "destinations": {"pacs": peer, "web": {"url": orthanc.dicom_web}},
        "rules": [{"name": "balls", "where": {"Modality": "MR"}, "run": small.run.name, "to": ["pacs", "web"]}],
        "limits": {"disk_free": "1MB"},
    }
    audit = tmp_path / "queue" / "audit" / "audit.jsonl"
    (tmp_path / "node.yaml").write_text(json.dumps(settings))
    line = [sys.executable, "-m", "voxloom", "serve", str(small.run), "--device", "cpu"]
    line += ["--dicom", str(port), "--aet", "VOXLOOM", "--node", str(tmp_path / "node.yaml")]
    node = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    assert node.stdout is not None
    try:
        said = node.stdout.readline()
        assert said == f"Listening for DICOM as VOXLOOM on 127.0.0.1:{port} (Ctrl-C stops)\n".encode(), said
        orthanc.upload(ct)
        source = orthanc.find("Series", Modality="MR")[0]
        orthanc.knows("voxloom", "VOXLOOM", port)
        orthanc.send("voxloom", source["ID"])
        until(lambda: audit.exists() and audit.read_text().count('"event": "sent"') == 2, seconds=120)
    finally:
        node.send_signal(signal.SIGTERM)
        said = node.communicate(timeout=30)[0]
    assert node.returncode == 0, said
    found = orthanc.find("Series", Modality="SEG")
    assert len(found) == 1
    (raw,) = orthanc.instances(found[0]["ID"])
    check_segmentation(raw, ct)
    log = audit.read_text() + said.decode()
    assert not [word for word in (*NAME.split("^"), PATIENT_ID) if word in log]


def check_segmentation(raw: bytes, source: list[Path]) -> None:
    """The file is a segmentation of the source's study, patient and geometry, and has something in it."""
    import highdicom as hd

    segmentation = hd.seg.segread(io.BytesIO(raw))
    first = pydicom.dcmread(source[0], stop_before_pixels=True)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "FrameOfReferenceUID"):
        assert segmentation.get(keyword) == first.get(keyword)
    (referenced,) = segmentation.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == first.SeriesInstanceUID
    assert {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence} == {
        pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in source
    }
    assert np.asarray(segmentation.pixel_array).any()
