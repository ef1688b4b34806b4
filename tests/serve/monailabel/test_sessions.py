"""Sessions keep what a client sent for a while, under names of our own, and nowhere else."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from voxloom.errors import BadInput
from voxloom.serve.http.monailabel.sessions import Sessions
from voxloom.serve.store.uploads import Sent

Send = Callable[..., Sent]
CT, MR = (Path(str(get_testdata_file(name))) for name in ("CT_small.dcm", "MR_small.dcm"))


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    made = Sessions(longest=100)
    yield made
    made.close()


@pytest.fixture
def send(tmp_path: Path) -> Send:
    """Makes a file that a client sent under a name."""

    def sent(name: str, content: bytes = b"x") -> Sent:
        path = tmp_path / f"sent{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        return Sent(name, path)

    return sent


def archive(path: Path, **files: bytes) -> bytes:
    with zipfile.ZipFile(path / "s.zip", "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return (path / "s.zip").read_bytes()


@pytest.mark.parametrize(("name", "ending"), [("a.nii.gz", ".nii.gz"), ("A.NRRD", ".nrrd"), ("../../x.nii", ".nii")])
def test_a_name_only_decides_the_ending(name: str, ending: str, sessions: Sessions, send: Send) -> None:
    kept = sessions.add([send(name)])
    assert [file.name for file in kept.files] == [f"0000{ending}"]
    assert kept.files[0].read_bytes() == b"x"


def test_dicom_files_and_an_archive_of_them_are_one_folder(sessions: Sessions, send: Send, tmp_path: Path) -> None:
    sent = sessions.add([send("1", CT.read_bytes())])
    packed = sessions.add([send("s.zip", archive(tmp_path, **{"a/IM1": CT.read_bytes(), "read.me": b"x"}))])
    for kept in (sent, packed):
        (folder,) = kept.files
        assert [file.read_bytes() for file in folder.iterdir()] == [CT.read_bytes()]


def test_what_is_no_scan_is_refused_and_nothing_stays(sessions: Sessions, send: Send, tmp_path: Path) -> None:
    outside = archive(tmp_path, **{"../../evil.txt": b"x"})
    for bad in ([], [send("a.sh")], [send("s.zip", outside)], [send("1", CT.read_bytes()), send("2", MR.read_bytes())]):
        with pytest.raises(BadInput):
            sessions.add(bad)
    assert list(sessions._folder.iterdir()) == []
    assert not list(tmp_path.parent.rglob("evil.txt"))


def test_it_ends_when_it_is_not_used(sessions: Sessions, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, now = sessions.add([send("a.nii")], expiry=10), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 9)
    assert sessions.get(kept.id, touch=False) == kept
    assert sessions.get(kept.id) is not None
    monkeypatch.setattr(time, "time", lambda: now + 18)
    assert sessions.get(kept.id, touch=False) is not None, "its last use was at 9"
    monkeypatch.setattr(time, "time", lambda: now + 20)
    assert sessions.get(kept.id) is None
    assert not kept.files[0].exists()


def test_nobody_lasts_longer_than_the_longest(sessions: Sessions, send: Send) -> None:
    assert sessions.add([send("a.nii")], expiry=10**9).expiry == 100


def test_what_is_told_holds_no_path(sessions: Sessions, send: Send) -> None:
    kept = sessions.add([send("a.nii")])
    assert str(kept.files[0].parent) not in str(kept.told())
    assert set(kept.told()) == {"name", "path", "image", "meta", "create_ts", "last_access_ts", "expiry"}


def test_removed_is_gone(sessions: Sessions, send: Send) -> None:
    kept = sessions.add([send("a.nii")])
    assert sessions.remove(kept.id) == kept
    assert (sessions.get(kept.id), sessions.remove(kept.id), kept.files[0].exists()) == (None, None, False)
