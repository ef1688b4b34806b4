"""From a name to a folder that Dataset opens."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.dataset.fetch import PUBLIC_SETS, LicenceNotAccepted, PublicSet, Remote, find_set, get
from voxloom.dataset.fetch.obtain import SOURCE
from voxloom.dataset.fetch.redirects import DownloadFailed
from voxloom.errors import BadInput, VoxloomError

from .archives import make_tar, make_zip
from .server import QUICK, Site


def nifti(value: int = 1) -> bytes:
    data = np.full((4, 4, 4), value, dtype=np.uint8)
    return nib.Nifti1Image(data, np.eye(4)).to_bytes()


def offer(site: Site, name: str, archive: Path | bytes) -> PublicSet:
    """The registry's entry, served by the local site with the checksum of this content."""
    content = archive if isinstance(archive, bytes) else archive.read_bytes()
    entry = find_set(name)
    path = entry.files[0].path
    site.files[f"/{path}"] = content
    remote = Remote(path, (f"{site.address}/{path}",), hashlib.md5(content, usedforsecurity=False).hexdigest())
    return replace(entry, files=(remote,))


def decathlon(tmp_path: Path) -> Path:
    about = {
        "name": "Hippocampus",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior"},
        "training": [{"image": "./imagesTr/h_1.nii", "label": "./labelsTr/h_1.nii"}],
        "test": [],
    }
    members = {
        "T/dataset.json": json.dumps(about).encode(),
        "T/imagesTr/h_1.nii": nifti(),
        "T/imagesTr/._h_1.nii": b"finder",
        "T/labelsTr/h_1.nii": nifti(),
    }
    return make_tar(tmp_path / "t.tar", members)  # type: ignore[arg-type]


def test_decathlon(site: Site, tmp_path: Path) -> None:
    entry = offer(site, "task04 hippocampus", decathlon(tmp_path))
    folder = get(entry, tmp_path / "new" / "set", accept_licence=True, settings=QUICK)
    assert [c.id for c in Dataset(folder)] == ["h_1"]
    source = json.loads((folder / SOURCE).read_text())
    assert source["licence"] == "CC BY-SA 4.0"
    assert source["files"][0]["checksum"] == "as published"
    assert [p.name for p in folder.parent.iterdir()] == ["set"]


def test_a_set_that_is_there_is_not_downloaded_again(site: Site, tmp_path: Path) -> None:
    entry = offer(site, "Task04_Hippocampus", decathlon(tmp_path))
    folder = get(entry, tmp_path / "set", accept_licence=True, settings=QUICK)
    asked = len(site.asked)
    assert get(entry, folder) == folder
    assert len(site.asked) == asked
    with pytest.raises(BadInput, match="holds Task04_Hippocampus"):
        get("IXI_Tiny", folder, accept_licence=True)


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(BadInput, match="not made by voxloom get"):
        get("KiTS19", tmp_path, accept_licence=True)


def test_the_licence_comes_first(site: Site, tmp_path: Path) -> None:
    with pytest.raises(LicenceNotAccepted, match="CC BY-NC-SA"):
        get("KiTS19", tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_ixi_tiny_gets_a_table(site: Site, tmp_path: Path) -> None:
    names = ["IXI002-Guys-0828", "IXI012-HH-1211"]
    members = {f"ixi_tiny/{part}/{n}_{part}.nii": nifti() for n in names for part in ("image", "label")}
    entry = offer(site, "ixi-tiny", make_zip(tmp_path / "i.zip", members))
    found = Dataset(get(entry, tmp_path / "set", accept_licence=True, settings=QUICK))
    assert [(c.id, c.patient, c.group) for c in found] == [
        ("IXI002-Guys-0828", "IXI002", "Guys"),
        ("IXI012-HH-1211", "IXI012", "HH"),
    ]
    assert all(c.label is not None for c in found)


def test_medmnist(site: Site, tmp_path: Path) -> None:
    content = tmp_path / "n.npz"
    np.savez(
        content,
        train_images=np.zeros((3, 4, 4, 4), np.uint8),
        train_labels=np.array([[0], [1], [0]]),
        test_images=np.zeros((2, 4, 4, 4), np.uint8),
        test_labels=np.array([[0], [1]]),
    )
    found = Dataset(get(offer(site, "NoduleMNIST3D", content), tmp_path / "set", accept_licence=True, settings=QUICK))
    assert len(found) == 5
    assert found.task == "classification"


def test_lumbar_mr_in_an_archive_of_archives(site: Site, tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "i.zip", {"Img_01.nii": nifti(), "Img_01_Labels.nii": nifti()})
    outer = make_zip(tmp_path / "o.zip", {"MR.zip": inner.read_bytes(), "readme.txt": b"hello"})
    entry = offer(site, "Lumbar_MR_Chu2015", outer)
    found = Dataset(get(entry, tmp_path / "set", accept_licence=True, settings=QUICK))
    assert [c.id for c in found] == ["Img_01"]


def kits(site: Site) -> PublicSet:
    entry = find_set("kits19")
    files = tuple(Remote(f.path, (f"{site.address}/{f.path}",)) for f in entry.files[:4])
    site.files = {f"/{f.path}": nifti() for f in files}
    return replace(entry, files=files)


def test_many_files_go_on_after_an_interruption(site: Site, tmp_path: Path) -> None:
    entry = kits(site)
    last = site.files.pop("/case_00001/segmentation.nii.gz")
    with pytest.raises(DownloadFailed, match="404"):
        get(entry, tmp_path / "set", accept_licence=True, settings=QUICK)
    assert not (tmp_path / "set").exists()
    site.files["/case_00001/segmentation.nii.gz"] = last
    site.asked.clear()
    folder = get(entry, tmp_path / "set", accept_licence=True, settings=QUICK)
    assert len(site.asked) == 1
    assert [c.id for c in Dataset(folder)] == ["case_00000", "case_00001"]
    source = json.loads((folder / SOURCE).read_text())
    assert {f["checksum"] for f in source["files"]} == {"none published; recorded at the first download"}
    assert source["files"][0]["sha256"] == hashlib.sha256(nifti()).hexdigest()


def test_a_mirror_of_many_files(site: Site, tmp_path: Path) -> None:
    entry = replace(find_set("KiTS19"), files=find_set("KiTS19").files[:2])
    site.files = {f"/mirror/{f.path}": nifti() for f in entry.files}
    folder = get(entry, tmp_path / "set", accept_licence=True, url=f"{site.address}/mirror/", settings=QUICK)
    assert len(Dataset(folder)) == 1


def test_a_wrong_mirror_is_told_apart(site: Site, tmp_path: Path) -> None:
    site.files["/x.tar"] = b"something else"
    with pytest.raises(DownloadFailed, match="not the expected file"):
        get("Task04_Hippocampus", tmp_path / "set", accept_licence=True, url=f"{site.address}/x.tar", settings=QUICK)
    assert not (tmp_path / "set").exists()


def test_a_recorded_checksum_can_be_asked_for(site: Site, tmp_path: Path) -> None:
    site.files["/x.zip"] = make_zip(tmp_path / "x.zip", {"a": b"1"}).read_bytes()
    with pytest.raises(DownloadFailed, match="SHA-256"):
        get("Lumbar_MR_Chu2015", tmp_path / "s", accept_licence=True, url=f"{site.address}/x.zip", sha256="0" * 64)


def test_an_archive_without_the_expected_images(site: Site, tmp_path: Path) -> None:
    entry = offer(site, "IXI_Tiny", make_zip(tmp_path / "i.zip", {"other/a.nii": nifti()}))
    with pytest.raises(VoxloomError, match="no image of the expected name"):
        get(entry, tmp_path / "set", accept_licence=True, settings=QUICK)
    assert not (tmp_path / "set").exists()


def test_names() -> None:
    assert find_set("nodule mnist3d").name == "NoduleMNIST3D"
    with pytest.raises(BadInput, match="NoduleMNIST3D"):
        find_set("NoduleMINST3D")


def test_the_registry_is_complete() -> None:
    names = [entry.name for entry in PUBLIC_SETS]
    assert len(names) == len(set(names)) == 16
    for entry in PUBLIC_SETS:
        assert entry.licence
        assert entry.home.startswith("http")
        assert entry.citation
        assert entry.cases > 0
        assert all(url.startswith("https://") for remote in entry.files for url in remote.urls)
        assert entry.checked or any("No checksum" in note for note in entry.notes)
