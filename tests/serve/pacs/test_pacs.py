"""The DICOMweb client against a real PACS, and against one that fails in every way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import JPEGLSLossless

from tests.serve.orthanc import Orthanc
from tests.serve.pacs.web import Answer, serving
from voxloom.errors import BadInput
from voxloom.formats import write_dicom_series
from voxloom.serve.pacs import Found, Pacs, PacsFailed, PacsRefused, Retry, headers_of, is_uid
from voxloom.volume import Volume

AT_ONCE = Retry(tries=3, pause=0.0)
NOWHERE = Found("1.2.3", "1.2.3.4", "MR", instances=2)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A phantom of five MR slices as DICOM files."""
    voxels = np.arange(8 * 6 * 5, dtype=np.int16).reshape(1, 8, 6, 5)
    folder = tmp_path_factory.mktemp("phantom")
    write_dicom_series(Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0])), folder / "series")
    return sorted((folder / "series").iterdir())


@pytest.fixture
def pacs(orthanc: Orthanc, series: list[Path]) -> Pacs:
    """The client of a PACS that holds the phantom."""
    made = Pacs(orthanc.dicom_web, retry=AT_ONCE)
    made.store(series)
    return made


def uid(file: Path) -> str:
    return str(dcmread(file, stop_before_pixels=True).SeriesInstanceUID)


def test_stored_is_found_and_comes_back(pacs: Pacs, series: list[Path], tmp_path: Path) -> None:
    found = pacs.one(uid(series[0]))
    assert found is not None
    assert (found.instances, found.modality) == (5, dcmread(series[0]).Modality)
    assert found in pacs.find(study=found.study)
    assert found in pacs.find(modality=found.modality)
    back = pacs.fetch(found, tmp_path / "series")
    pixels = {dcmread(file).SOPInstanceUID: dcmread(file).PixelData for file in series}
    assert {file.stem: dcmread(file).PixelData for file in back} == pixels
    assert len(pacs.metadata(found.study, found.series)) == 5


def test_storing_again_changes_nothing(pacs: Pacs, series: list[Path], orthanc: Orthanc) -> None:
    assert pacs.store(series[:2]) == [str(dcmread(file).SOPInstanceUID) for file in series[:2]]
    assert len(orthanc.find("Instance", SeriesInstanceUID=uid(series[0]))) == 5


def test_an_instance_keeps_its_transfer_syntax(pacs: Pacs, tmp_path: Path) -> None:
    instance = dcmread(str(get_testdata_file("CT_small.dcm")))
    instance.compress(JPEGLSLossless, generate_instance_uid=False)
    instance.save_as(tmp_path / "jls.dcm")
    pacs.store([tmp_path / "jls.dcm"])
    (back,) = pacs.fetch(Found(instance.StudyInstanceUID, instance.SeriesInstanceUID), tmp_path / "back")
    assert dcmread(back).file_meta.TransferSyntaxUID == JPEGLSLossless
    assert dcmread(back).PixelData == instance.PixelData


def test_an_instance_of_several_chunks_is_stored(pacs: Pacs, orthanc: Orthanc, tmp_path: Path) -> None:
    voxels = np.random.default_rng(3).integers(0, 4000, (1, 1100, 1000, 1)).astype(np.int16)
    write_dicom_series(Volume(voxels, np.eye(4)), tmp_path / "large")
    (file,) = (tmp_path / "large").iterdir()
    assert file.stat().st_size > 2 << 20
    pacs.store([file])
    (stored,) = orthanc.find("Series", SeriesInstanceUID=uid(file))
    assert orthanc.instances(stored["ID"])[0][-1000:] == file.read_bytes()[-1000:]


@pytest.mark.parametrize("unknown", ["1.2.3.4.5", "../../../etc/passwd", "*", "", "1.2?limit=9"])
def test_an_unknown_series_is_none(pacs: Pacs, unknown: str) -> None:
    assert pacs.one(unknown) is None


def test_what_the_pacs_lacks_is_refused_and_leaves_nothing(pacs: Pacs, tmp_path: Path) -> None:
    with pytest.raises(PacsRefused, match="404"):
        pacs.fetch(NOWHERE, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_later_is_tried_again(status: int) -> None:
    with serving(Answer(status), Answer(status), Answer(200)) as web:
        assert Pacs(web.address, retry=AT_ONCE).find() == []
        assert len(web.asked) >= 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_no_is_not_asked_again(status: int) -> None:
    with serving(Answer(status)) as web:
        with pytest.raises(PacsRefused, match=str(status)):
            Pacs(web.address, retry=AT_ONCE).find()
        assert len(web.asked) == 1


def test_it_gives_up_after_its_tries() -> None:
    with serving(Answer(503)) as web:
        with pytest.raises(PacsFailed, match="503"):
            Pacs(web.address, retry=AT_ONCE).find()
        assert len(web.asked) == 3


def test_nobody_there_is_told_without_the_address() -> None:
    with pytest.raises(PacsFailed, match="cannot be reached") as told:
        Pacs("http://127.0.0.1:9/dicom-web", retry=AT_ONCE).one("1.2.3")
    assert "127.0.0.1" not in str(told.value)


def multipart(files: list[Path]) -> Answer:
    parts = [b"\r\n--edge\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() for file in files]
    return Answer(200, b"".join(parts) + b"\r\n--edge--", 'multipart/related; type="application/dicom"; boundary=edge')


def test_fewer_instances_than_told_are_no_series(series: list[Path], tmp_path: Path) -> None:
    with serving(multipart(series[:1]), multipart(series[:2])) as web:
        assert len(Pacs(web.address, retry=AT_ONCE).fetch(NOWHERE, tmp_path / "two")) == 2
    with serving(multipart(series[:1])) as web, pytest.raises(PacsFailed, match="1 of 2"):
        Pacs(web.address, retry=AT_ONCE).fetch(NOWHERE, tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_a_cut_answer_is_asked_for_again(series: list[Path], tmp_path: Path) -> None:
    whole = multipart(series[:2])
    with serving(Answer(whole.status, whole.body, whole.kind, cut=True), whole) as web:
        assert len(Pacs(web.address, retry=AT_ONCE).fetch(NOWHERE, tmp_path / "series")) == 2
        assert len(web.asked) == 2


def failed(reason: int) -> Answer:
    item = {"00081197": {"vr": "US", "Value": [reason]}, "00081155": {"vr": "UI", "Value": ["1.2.3"]}}
    return Answer(409, json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode())


def test_a_refused_instance_is_told_with_its_reason(series: list[Path]) -> None:
    with serving(failed(0xA700)) as web, pytest.raises(PacsRefused, match="0xA700"):
        Pacs(web.address, retry=AT_ONCE).store(series[:1])


def test_an_instance_that_is_there_already_is_stored(series: list[Path]) -> None:
    with serving(failed(0x0111)) as web:
        assert Pacs(web.address, retry=AT_ONCE).store(series[:1]) == [dcmread(series[0]).SOPInstanceUID]


@pytest.mark.parametrize(
    ("written", "sent"), [("me:secret\n", "Basic bWU6c2VjcmV0"), ("Bearer abc", "Bearer abc")]
)  # fmt: skip
def test_a_secret_comes_from_a_file(written: str, sent: str, tmp_path: Path) -> None:
    (tmp_path / "auth").write_text(written)
    with serving(Answer()) as web:
        Pacs(web.address, headers=headers_of(tmp_path / "auth")).find()
        assert web.asked[0][2]["Authorization"] == sent


def test_a_file_without_a_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("secret")
    with pytest.raises(BadInput, match="neither user:password"):
        headers_of(tmp_path / "auth")
    with pytest.raises(BadInput, match="cannot be read"):
        headers_of(tmp_path / "nowhere")
    assert headers_of(None) == {}


@pytest.mark.parametrize(
    "address", ["pacs:8042", "ftp://pacs", "http://", "http://pacs/?a=b", "http://pacs:port", "http://[1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadInput):
        Pacs(address)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput, match="--pacs-auth") as told:
        Pacs("http://me:secret@pacs/dicom-web")
    assert "secret" not in str(told.value)


def test_pauses_grow_to_the_longest() -> None:
    waits = [Retry(pause=1.0, longest=8.0).before(attempt) for attempt in range(1, 8)]
    assert all(0.75 * ideal <= wait <= 1.25 * ideal for wait, ideal in zip(waits, [1, 2, 4, 8, 8, 8, 8], strict=True))


def test_what_a_uid_is() -> None:
    good: Any = ["1.2.840.10008", "2.25.0123", "1"]
    bad: Any = ["", "1.2/..", "1..2", "..", "1." * 40 + "1", "1.2\n"]
    assert [is_uid(text) for text in good + bad] == [True] * len(good) + [False] * len(bad)
