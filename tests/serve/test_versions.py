"""Names, versions of drawings and uploads: what is kept, what is refused, and that nothing is written over."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from voxloom.errors import BadInput
from voxloom.formats import read_volume, write_dicom_series, write_volume
from voxloom.points import Point, write_points
from voxloom.serve.refusals import NotThere, TooLarge
from voxloom.serve.scrub import scrubbed, told
from voxloom.serve.store import Limits, Sent, Store
from voxloom.serve.store.ids import is_safe, safe_id
from voxloom.serve.store.uploads import unpack
from voxloom.serve.store.versions import Drawings, parent_of
from voxloom.volume import Volume

#: Oblique, left-handed, uneven: a grid that a careless copy would lose.
AFFINE = np.eye(4)
AFFINE[:3, :3] = Rotation.from_euler("xyz", [4, -7, 11], degrees=True).as_matrix() * [-1.4, 1.5, 2.0]
AFFINE[:3, 3] = (31.0, -12.0, 7.5)


def scan(seed: int = 0) -> Volume:
    values = np.random.default_rng(seed).integers(-200, 900, (1, 9, 8, 7)).astype(np.int16)
    return Volume(values, AFFINE)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for n in (1, 2):
        write_volume(scan(n), tmp_path / "scans" / f"head {n}.nii.gz")
    return Store.of(tmp_path / "scans")


def drawing(store: Store, case: str, tmp_path: Path, value: int = 1) -> Path:
    image = read_volume(store.image(case))
    label = np.zeros(image.data.shape, np.uint8)
    label[0, 2:5, 2:5, 2:4] = value
    return write_volume(Volume(label, image.affine), tmp_path / f"drawn{value}.nii.gz")


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", ".hidden", "", "CON", "nul.nii", "a\\b", "x" * 200, "ä", "a b", "a\0b"]
)
def test_unsafe_names_become_safe_ones(name: str) -> None:
    assert not is_safe(name)
    made = safe_id(name)
    assert is_safe(made)
    assert Path("/state", made).parent == Path("/state")
    assert safe_id(name) == made


def test_names_stay_apart_whatever_their_case() -> None:
    assert safe_id("scan_1") == "scan_1"
    assert safe_id("Scan", ["scan"]) == "Scan-2"
    assert safe_id("a/b") != safe_id("a b")


def test_a_folder_of_scans_is_served_and_only_read(store: Store, tmp_path: Path) -> None:
    before = sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "scans").iterdir())
    first = store.ids()[0]
    assert store.state == tmp_path / "scans-voxloom"
    image = read_volume(store.image(first))
    assert np.array_equal(image.data, scan(1).data)
    assert np.allclose(image.affine, AFFINE, atol=1e-4)
    info = store.info(first)
    assert (info.shape, info.state, info.truth, info.channels) == ((9, 8, 7), "new", False, ("image",))
    assert store.thumbnail(first).read_bytes()[:4] == b"\x89PNG"
    store.save(first, drawing(store, first, tmp_path))
    assert sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "scans").iterdir()) == before
    assert store.info(first).state == "annotated"
    with pytest.raises(BadInput, match="folder of its own"):
        Store.of(tmp_path / "scans", tmp_path / "scans")


def test_true_points_of_a_data_set_are_known(tmp_path: Path) -> None:
    write_volume(scan(), tmp_path / "set" / "a.nii.gz")
    write_points([Point("L1", "left", (1.0, 2, 3))], tmp_path / "set" / "a.mrk.json")
    (tmp_path / "set" / "cases.csv").write_text("case,image,points\na,a.nii.gz,a.mrk.json\n")
    served = Store.of(tmp_path / "set")
    assert served.info("a").truth
    assert [point.name for point in served.true_points("a")] == ["L1"]
    with pytest.raises(NotThere, match="no true label map"):
        served.truth("a")


def test_a_scan_that_changed_is_copied_anew(store: Store, tmp_path: Path) -> None:
    first = store.ids()[0]
    old = store.image(first)
    assert store.image(first) == old
    write_volume(scan(9), tmp_path / "scans" / "head 1.nii.gz")
    assert np.array_equal(read_volume(store.image(first)).data, scan(9).data)


def test_a_broken_scan_is_listed_with_its_problem(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scans" / "head 2.nii.gz").write_bytes(b"nothing")
    infos = {info.id: info for info in store.cases()}
    assert len(infos) == 2
    assert sorted(info.problem is None for info in infos.values()) == [False, True]


def test_versions_are_never_written_over(store: Store, tmp_path: Path) -> None:
    case = store.ids()[0]
    first = store.save(case, drawing(store, case, tmp_path, 1), author="anna", tag="draft", seconds=12.5)
    kept = store.drawings(case).file(first).read_bytes()
    second = store.save(case, drawing(store, case, tmp_path, 2), author="ben", parent={"version": 1})
    assert (first.version, second.version) == (1, 2)
    assert store.drawings(case).file(first).read_bytes() == kept
    assert store.versions(case) == [first, second]
    assert store.latest(case) == second
    assert store.latest(case, tag="draft") == first
    assert store.latest(case, author="nobody") is None
    about = json.loads((store.state / "annotations" / case / "0001.json").read_text())
    assert about["from"] == {}
    assert (about["author"], about["tag"], about["seconds"], about["sha256"]) == ("anna", "draft", 12.5, first.sha256)
    assert about["time"].endswith("+00:00")
    assert Store.of(tmp_path / "scans").versions(case) == [first, second]


def test_savers_at_one_moment_get_numbers_of_their_own(store: Store, tmp_path: Path) -> None:
    case = store.ids()[0]
    files = [drawing(store, case, tmp_path, value) for value in range(1, 9)]
    points = write_points([Point("L1", "left", (1.0, 2, 3))], tmp_path / "p.mrk.json")
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda file: store.save(case, file), [*files, points, points]))
    assert sorted(version.version for version in saved) == list(range(1, 11))
    assert len({version.sha256 for version in saved}) == 9
    for version in saved:
        store.drawings(case).file(version)


def test_a_drawing_without_its_note_is_no_version_and_keeps_its_number(store: Store, tmp_path: Path) -> None:
    case = store.ids()[0]
    folder = store.state / "annotations" / case
    folder.mkdir(parents=True)
    (folder / "0001.nii.gz").write_bytes(b"what a machine wrote before it lost power")
    assert store.versions(case) == []
    assert store.save(case, drawing(store, case, tmp_path)).version == 2
    assert (folder / "0001.nii.gz").read_bytes().startswith(b"what")


def test_a_drawing_that_was_changed_on_disk_is_noticed(store: Store, tmp_path: Path) -> None:
    case = store.ids()[0]
    version = store.save(case, drawing(store, case, tmp_path))
    path = store.drawings(case).file(version)
    path.write_bytes(drawing(store, case, tmp_path, 3).read_bytes())
    with pytest.raises(BadInput, match="not as it was saved"):
        store.drawings(case).file(version)


def test_a_drawing_on_another_grid_is_refused(store: Store, tmp_path: Path) -> None:
    case = store.ids()[0]
    other = write_volume(Volume(np.zeros((1, 9, 8, 7), np.uint8), np.diag([1.0, 1, 1, 1])), tmp_path / "o.nii.gz")
    broken = tmp_path / "broken.mrk.json"
    broken.write_text("{}")
    for file, match in ((other, "grid of the scan"), (broken, ".")):
        with pytest.raises(BadInput, match=match):
            store.save(case, file)
    assert store.versions(case) == []
    assert not (store.state / "annotations" / case).exists()


def test_what_a_drawing_was_made_from(tmp_path: Path) -> None:
    drawings = Drawings(tmp_path)
    assert parent_of("", {}, drawings) == {}
    assert parent_of("knee", {"knee": "abc"}, drawings) == {"run": "knee", "weights": "abc"}
    with pytest.raises(BadInput, match="neither a run nor a version"):
        parent_of("../knee", {"knee": "abc"}, drawings)
    with pytest.raises(NotThere):
        parent_of("3", {}, drawings)


def sent(path: Path, name: str, data: bytes) -> Sent:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Sent(name, path)


def nifti_bytes(tmp_path: Path) -> bytes:
    return write_volume(scan(), tmp_path / "own.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("name", "wish", "made"),
    [("brain.nii.gz", "", "brain"), ("../../etc/brain.nii.gz", "", "brain"), ("C:\\x\\brain.nii.gz", "", "brain"),
     ("a.nii.gz", "../../root", None), ("a.nii.gz", "..", None)],
)  # fmt: skip
def test_a_clients_name_is_never_a_path(tmp_path: Path, name: str, wish: str, made: str | None) -> None:
    store = Store.of(None, tmp_path / "deep" / "state")
    (case,) = store.add([sent(tmp_path / "t" / "0", name, nifti_bytes(tmp_path))], wish)
    assert is_safe(case)
    assert made is None or case == made
    assert np.array_equal(read_volume(store.image(case)).data, scan().data)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["state"]
    assert Store.of(None, tmp_path / "deep" / "state").ids() == [case]
    (again,) = store.add([sent(tmp_path / "t" / "0", name, nifti_bytes(tmp_path))], wish)
    assert again != case


def dicom_zip(tmp_path: Path, names: str = "IM{}", extra: dict[str, bytes] | None = None, uid: int = 0) -> bytes:
    folder = tmp_path / f"series{uid}"
    files = write_dicom_series(scan(uid), folder, template={"PatientName": "DOE^JOHN", "Modality": "MR"})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, file in enumerate(files):
            archive.writestr(names.format(number), file.read_bytes())
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("names", ["IM{}", "../../../evil{}", "/tmp/evil{}", "..\\..\\evil{}", "DOE^JOHN/IM{}.dcm"])
def test_a_zip_of_dicom_becomes_a_case_and_its_names_are_not_used(tmp_path: Path, names: str) -> None:
    store = Store.of(None, tmp_path / "deep" / "state")
    data = dicom_zip(tmp_path, names, {"viewer.exe": b"MZ", "README": b"text"})
    (case,) = store.add([sent(tmp_path / "t" / "0", "DOE^JOHN.zip", data)])
    assert store.series(case) is not None
    assert "DOE" not in case
    assert "evil" not in " ".join(str(path) for path in tmp_path.rglob("*"))
    assert not list(Path("/tmp").glob("evil*"))
    about = json.loads((store.state / "uploads" / case / "about.json").read_text())
    assert about["left_out"] == 2
    found, source = read_volume(store.image(case)), scan()
    assert sorted(found.data.ravel()) == sorted(source.data.ravel())


def test_two_series_of_one_zip_are_two_cases(tmp_path: Path) -> None:
    store = Store.of(None, tmp_path / "state")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for uid in (1, 2):
            for n, file in enumerate(write_dicom_series(scan(uid), tmp_path / str(uid))):
                archive.writestr(f"{uid}/{n}", file.read_bytes())
    assert len(store.add([sent(tmp_path / "t" / "0", "both.zip", buffer.getvalue())])) == 2


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IM0", b"\0" * (8 << 20))
    return buffer.getvalue()


NRRD = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: /etc/hostname\n\n"
MHA = b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = /etc/hostname\n"


@pytest.mark.parametrize(
    ("name", "data", "kind", "match"),
    [
        ("a.zip", bomb(), TooLarge, "grows more than"),
        ("a.zip", b"PK\x03\x04 but no archive", BadInput, "cannot be unpacked"),
        ("a.nrrd", NRRD, BadInput, "names another file"),
        ("a.mha", MHA, BadInput, "names another file"),
        ("a.mhd", MHA, BadInput, "no format that is taken"),
        ("a.pkl", b"\x80\x04K\x01.", BadInput, "no format that is taken"),
        ("a.npz", b"PK\x05\x06" + b"\0" * 18, BadInput, "no DICOM image"),
        ("a.nii.gz", gzip.compress(b"no image"), BadInput, "."),
    ],
)  # fmt: skip
def test_dangerous_and_broken_uploads_leave_nothing(
    tmp_path: Path, name: str, data: bytes, kind: type[BadInput], match: str
) -> None:
    store = Store.of(None, tmp_path / "state")
    with pytest.raises(kind, match=match):
        store.add([sent(tmp_path / "t" / "0", name, data)])
    assert store.ids() == []
    assert list((tmp_path / "state" / "uploads").iterdir()) == []


def test_limits_of_uploads(tmp_path: Path) -> None:
    zipped, files = (
        dicom_zip(tmp_path),
        [sent(tmp_path / "t" / str(n), f"{n}.dcm", b"\0" * 128 + b"DICM") for n in range(4)],
    )
    with pytest.raises(TooLarge, match="entries"):
        unpack([sent(tmp_path / "t" / "z", "a.zip", zipped)], tmp_path / "in", Limits(entries=3))
    with pytest.raises(TooLarge, match="larger than"):
        unpack([sent(tmp_path / "t" / "z", "a.zip", zipped)], tmp_path / "in2", Limits(unpacked=3000))
    with pytest.raises(TooLarge, match="4 files"):
        unpack(files, tmp_path / "in3", Limits(entries=3))
    with pytest.raises(BadInput, match="no file"):
        unpack([], tmp_path / "in4")
    with pytest.raises(BadInput, match="mixes"):
        unpack([files[0], sent(tmp_path / "t" / "n", "a.nii.gz", nifti_bytes(tmp_path))], tmp_path / "in5")


def test_links_in_a_zip_are_read_as_bytes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("link.dcm")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(BadInput, match="no DICOM image"):
        unpack([sent(tmp_path / "t" / "z", "a.zip", buffer.getvalue())], tmp_path / "in")
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/data/DOE^JOHN/IM1.dcm: cannot be read", "the file: cannot be read"),
        ("C:\\Users\\doe\\x.nii is cut", "the file is cut"),
        ("such as doe_john.nii.gz", "such as the file"),
        ("Ask for it: POST /api/predict", "Ask for it: POST /api/predict"),
        ("0.5 x 0.5 mm, 12 of 14 slices", "0.5 x 0.5 mm, 12 of 14 slices"),
        ("slices lie in DOE and elsewhere", "slices lie in the file and elsewhere"),
    ],
)
def test_errors_tell_no_paths_and_no_names(text: str, clean: str) -> None:
    assert scrubbed(text, {"DOE", os.sep}) == clean
    error = told(BadInput(text, Path("/data/DOE/x.nii"), text), "case-1", {"DOE"})
    assert error == {"what": clean, "where": "case-1", "fix": clean}
