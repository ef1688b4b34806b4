"""What recognizes a case: file, voxels, patient, id; and data sets that are joined."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Case, Dataset, Label, Labels, join_datasets
from voxloom.dataset.inspect.likeness import Likeness
from voxloom.dataset.leaks import Identity, describe_cases, find_leaks, image_likeness
from voxloom.errors import BadInput
from voxloom.formats import write_volume
from voxloom.volume import Volume


def scan(path: Path, seed: int, dtype: type = np.int16) -> Path:
    data = np.random.default_rng(seed).integers(0, 99, (1, 5, 4, 3)).astype(dtype)
    return write_volume(Volume(data, np.eye(4)), path)


def case(path: Path, patient: str | None = None, label: str | None = None) -> Case:
    name = path.name.split(".")[0]
    return Case(name, patient or name, images={"MR": str(path)}, label=label)


def test_a_copy_is_recognized_however_it_was_saved(tmp_path: Path) -> None:
    original = case(scan(tmp_path / "a.nii.gz", 0))
    again = tmp_path / "b.nii.gz"
    again.write_bytes(gzip.compress(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()), 1, mtime=7))
    copies = [case(again), case(scan(tmp_path / "c.mha", 0, np.float32))]
    other = case(scan(tmp_path / "d.nii.gz", 1))
    known = [Identity.of(original, "case")]
    leaks = find_leaks([Identity.of(one, "copy") for one in (*copies, other)], known)
    assert [(leak.one.id, leak.kind) for leak in leaks] == [("b", "image"), ("c", "image")]
    assert leaks[0].sentence == "copy b and case a have the same image, saved differently"
    assert find_leaks([Identity.of(original, "copy")], known)[0].kind == "file"


def test_blank_images_and_equal_masks_recognize_nobody(tmp_path: Path) -> None:
    blank = [case(write_volume(Volume(np.ones((1, 5, 4, 3)), np.eye(4)), tmp_path / f"{n}.nii.gz")) for n in "ab"]
    assert image_likeness(blank[0]) == Likeness("", "")
    mask = str(write_volume(Volume(np.zeros((1, 5, 4, 3), np.uint8), np.eye(4)), tmp_path / "mask.nii.gz"))
    cases = [case(scan(tmp_path / f"{n}.nii.gz", n), label=mask) for n in range(2)]
    one, other = describe_cases(Dataset.from_cases("x", cases, ["MR"]))
    assert set(one["files"].values()) & set(other["files"].values())
    assert not find_leaks([Identity.of_record(one, "case")], [Identity.of_record(other, "case")])


def test_patients_are_compared_by_name_and_ids_are_a_suspicion() -> None:
    named = Identity("x1", "P1", "case")
    assert find_leaks([Identity("y1", "P1", "test case")], [named])[0].sentence == (
        "test case y1 and case x1 are of one patient (P1)"
    )
    assert not find_leaks([Identity("x1", "Q1", "test case")], [named])
    suspicion = find_leaks([Identity("x1", "x1", "test case")], [named])[0]
    assert suspicion.by_id_alone
    assert "participants.csv" in suspicion.fix


def joinable(name: str, ids: str, channels: tuple[str, ...] = ("T1",), value: int = 1) -> Dataset:
    cases = [Case(i, i, images={c: f"{i}_{c}" for c in channels}, label="x") for i in ids]
    return Dataset.from_cases(name, cases, channels, Labels((Label("bone", (value,)),)))


def test_joined_sets_keep_their_names_and_the_channels_of_the_first() -> None:
    both = join_datasets(joinable("site", "ab", ("T1", "T2")), [joinable("site", "cd", ("T2", "T1"))])
    assert [(c.id, c.origin) for c in both] == [("a", "site"), ("b", "site"), ("c", "site-2"), ("d", "site-2")]
    assert list(both["c"].images.items()) == [("T1", "c_T1"), ("T2", "c_T2")]
    renamed = join_datasets(joinable("one", "a"), [joinable("two", "b", ("MR",))])
    assert renamed["b"].images == {"T1": "b_MR"}


def test_sets_that_do_not_fit_are_refused() -> None:
    first = joinable("one", "ab")
    with pytest.raises(BadInput, match="case b of two and case b of one have one id"):
        join_datasets(first, [joinable("two", "bc")])
    with pytest.raises(BadInput, match="the labels are 2 bone here and 1 bone in the other"):
        join_datasets(first, [joinable("two", "c", value=2)])
    with pytest.raises(BadInput, match="has the channels T1, T2, not T1"):
        join_datasets(first, [joinable("two", "c", ("T1", "T2"))])
