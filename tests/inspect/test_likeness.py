"""The same scan is recognized however it is stored, and another one never is; masks among the channels are found."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from voxloom.dataset import Case, Dataset
from voxloom.dataset.inspect import find_problems, fingerprint
from voxloom.dataset.inspect.likeness import groups_of, in_ras_order, likeness, same_scans
from voxloom.dataset.inspect.masks import follows_label
from voxloom.dataset.leaks import Identity, describe_case, find_leaks
from voxloom.formats import write_volume
from voxloom.volume import Volume

AFFINE = np.array([[-1.5, 0, 0, 40], [0, 1, 0, -30], [0, 0, 3, 7], [0, 0, 0, 1.0]])
SHAPE = (20, 18, 12)


def scan(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2, 150, SHAPE).round()


def flipped(data: np.ndarray, affine: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    turned = affine.copy()
    turned[:3, 3] += turned[:3, axis] * (data.shape[axis] - 1)
    turned[:3, axis] *= -1
    return np.flip(data, axis), turned


def stored(kind: str, folder: Path) -> Path:
    """The scan of seed 0, saved in some way."""
    data, affine, path = scan(), AFFINE, folder / f"{kind}.nii.gz"
    if kind == "flipped":
        data, affine = flipped(data, affine, 0)
        data, affine = flipped(data, affine, 2)
    if kind == "turned":
        data, affine = data.transpose(2, 0, 1), affine[:, [2, 0, 1, 3]]
    if kind == "uncompressed":
        path = folder / "plain.nii"
    if kind == "mha":
        return write_volume(Volume(data[None].astype(np.int16), affine), folder / "x.mha")
    if kind == "offset":
        data = data - 1024
    image = nib.Nifti1Image(data.astype(np.float32 if kind in ("float", "slope") else np.int16), affine)
    if kind == "slope":  # scaled to 16 bits by nibabel, so that values are rounded
        image = nib.Nifti1Image((data * 1.2345).astype(np.float64), affine)
        image.set_data_dtype(np.int16)
    if kind == "8 bits":
        image = nib.Nifti1Image(data, affine)
        image.set_data_dtype(np.uint8)
    nib.save(image, path)
    return path


KINDS = ["flipped", "turned", "uncompressed", "mha", "float", "slope", "offset"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_recognized_however_it_is_stored(kind: str, tmp_path: Path) -> None:
    original = Case("a", "a", images={"MR": str(stored("int16", tmp_path))})
    copy = Case("b", "b", images={"MR": str(stored(kind, tmp_path))})
    record = describe_case(original)
    for known in (Identity.of(original, "training case"), Identity.of_record(record, "training case")):
        (leak,) = find_leaks([Identity.of(copy, "test case")], [known])
        assert leak.kind == "image" or (kind == "uncompressed" and leak.kind == "file")
    other = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(scan(1).astype(np.int16), AFFINE), other)
    assert find_leaks([Identity.of(Case("c", "c", images={"MR": str(other)}), "test case")], [known]) == []


def test_a_run_of_an_earlier_version_is_still_compared(tmp_path: Path) -> None:
    case = Case("a", "a", images={"MR": str(stored("int16", tmp_path))})
    record = describe_case(case)
    from voxloom.dataset.inspect.intensities import content_hash

    old = {**record, "image": content_hash(case.read_image().data), "files": {}}
    del old["sketch"]
    (leak,) = find_leaks(
        [Identity.of(Case("b", "b", images=case.images), "test case")], [Identity.of_record(old, "case")]
    )
    assert leak.kind == "image"


def test_small_changes_are_other_images() -> None:
    data = np.zeros((1, *SHAPE))
    data[0, 4:7, 4:7, 4:7] = 100
    moved = np.roll(data, 1, axis=1)
    noisy = scan()[None]
    changed = noisy + np.random.default_rng(5).normal(0, 20, noisy.shape)
    found = [likeness(d, AFFINE) for d in (data, moved, noisy, changed)]
    assert groups_of([frozenset({f.digest}) for f in found], [f.sketch for f in found]) == [-1] * 4


def test_an_axis_order_is_undone() -> None:
    data = scan()[None]
    turned = in_ras_order(data, AFFINE)
    assert (turned == data[:, ::-1]).all()
    assert likeness(data, AFFINE).digest == likeness(*_swap(data)).digest != likeness(data, np.eye(4)).digest


def _swap(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return data.transpose(0, 3, 1, 2), AFFINE[:, [2, 0, 1, 3]]


def test_inspect_finds_copies_and_channels_that_hold_the_answer(tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:9, 4:9, 2:8] = 2
    cases = []
    for n in range(2):
        images = {"t1": scan(n), "answer": mask * 50.0, "brain": (scan(n) > 99).astype(np.uint8)}
        for name, data in images.items():
            nib.save(nib.Nifti1Image(data.astype(np.float32), AFFINE), tmp_path / f"{name}_{n}.nii.gz")
        nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / f"mask_{n}.nii.gz")
        files = {name: str(tmp_path / f"{name}_{n}.nii.gz") for name in images}
        cases.append(Case(f"c{n}", f"c{n}", images=files, label=str(tmp_path / f"mask_{n}.nii.gz")))
    data = Dataset.from_cases("x", cases, ["t1", "answer", "brain"])
    told = {p.severity: p.what for p in find_problems(data, fingerprint(data)) if "channel" in p.what}
    assert "channel answer equals the label map or follows from it in 2 cases" in told["error"]
    assert "channel brain looks like a mask (values 0, 1)" in told["warning"]
    assert not any("t1" in what for what in told.values())
    copies = [Case(k, k, images={"MR": str(stored(k, tmp_path))}) for k in ("int16", "flipped", "slope")]
    found = Dataset.from_cases("y", copies, ["MR"])
    assert any(
        "copies of one image, saved differently: int16, flipped, slope" in p.what
        for p in find_problems(found, fingerprint(found))
    )


def test_follows_label_needs_one_value_per_label_and_more_than_one() -> None:
    label = np.array([[[0, 1, 2, 2]]])
    assert follows_label(np.array([[[5, 7, 9, 9]]]), label)
    assert not follows_label(np.array([[[5, 7, 9, 8]]]), label)
    assert not follows_label(np.array([[[5, 5, 5, 5]]]), label)
    assert not follows_label(np.array([[[1, 2, 3, 3]]]), np.zeros((1, 1, 4), int))


def many(folder: Path, name: str, *kinds: str) -> Case:
    """A case with channels t1, t2, ...: the scan of seed 0 saved in some way, another seed ("7"), a mask or a template."""
    images = {}
    for n, kind in enumerate(kinds, start=1):
        path = folder / f"{name}_{n}.nii.gz"
        if kind.isdigit() or kind == "template":
            seed = 99 if kind == "template" else int(kind)
            data = scan(seed)
        elif kind == "mask":
            data = (scan(3) > 300).astype(float)
        else:
            path = stored(kind, folder)
            data = None
        if data is not None:
            image = nib.Nifti1Image(data.astype(np.float32), AFFINE)
            image.header["descrip"] = name  # so that no two files are equal
            nib.save(image, path)
        images[f"t{n}"] = str(path)
    return Case(name, name, images=images)


def test_one_channel_of_several_is_recognized(tmp_path: Path) -> None:
    known = many(tmp_path, "a", "int16", "7", "mask")
    for copy in (many(tmp_path, "b", "float", "8", "mask"), many(tmp_path, "c", "8", "slope", "9")):
        for one in (Identity.of(known, "training case"), Identity.of_record(describe_case(known), "training case")):
            (leak,) = find_leaks([Identity.of(copy, "test case")], [one])
            assert leak.kind == "image"
            assert "have a channel with the same image, saved differently" in leak.sentence
    alone = Case("d", "d", images={"t1": str(stored("flipped", tmp_path))})
    assert [leak.kind for leak in find_leaks([Identity.of(alone, "test case")], [Identity.of(known, "case")])] == [
        "image"
    ]
    other = many(tmp_path, "e", "5", "6", "mask")
    assert find_leaks([Identity.of(other, "test case")], [Identity.of(known, "case")]) == []


def test_a_template_that_all_cases_share_is_nobody(tmp_path: Path) -> None:
    cases = [many(tmp_path, f"c{n}", str(n), "template") for n in range(4)]
    likes = [likeness((image := case.read_image()).data, image.affine) for case in cases]
    wholes = [(frozenset({like.digest}), like.sketch) for like in likes]
    assert same_scans(wholes, [like.channels for like in likes]) == [-1] * 4
    assert same_scans(wholes[:2], [like.channels for like in likes[:2]]) == [0, 0]


def test_inspect_tells_a_channel_that_two_cases_share(tmp_path: Path) -> None:
    data = Dataset.from_cases("x", [many(tmp_path, "a", "int16", "7"), many(tmp_path, "b", "slope", "8")], ["t1", "t2"])
    assert any("a channel with the same image: a, b" in p.what for p in find_problems(data, fingerprint(data)))
    missing = [
        Case(n, n, images={"t1": many(tmp_path, n, s).images["t1"]}, missing=(1,)) for n, s in (("m", "5"), ("n", "6"))
    ]
    blank = Dataset.from_cases("y", missing, ["t1", "t2"])
    assert not any("same image" in p.what or "copies" in p.what for p in find_problems(blank, fingerprint(blank)))
