"""Boxes around masks and points: margins in mm, boxes that reach beyond the scan, unions of raters, headers without voxels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Case, Dataset
from voxloom.dataset.focus import Focus, bounds, focused_on_mask, focused_on_point, grown
from voxloom.dataset.leaks import Identity, describe_case, find_leaks
from voxloom.dataset.records import recorded_case
from voxloom.dataset.sources import FocusedImage, NpzItem, source_files
from voxloom.errors import BadInput
from voxloom.formats import write_volume
from voxloom.prepare import Cache, PrepareSettings
from voxloom.volume import Volume

AFFINE = np.array([[-1.0, 0, 0, 10], [0, 2, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1]])


def scan(seed: int = 0) -> Volume:
    return Volume(np.random.default_rng(seed).normal(50, 10, (1, 12, 10, 8)).astype(np.float32), AFFINE)


def mask(*voxels: tuple[int, int, int]) -> Volume:
    data = np.zeros((1, 12, 10, 8), np.uint8)
    for at in voxels:
        data[(0, *at)] = 1
    return Volume(data, AFFINE)


def test_margins_are_millimetres_on_any_grid() -> None:
    drawn = mask((6, 5, 4)).data[0] > 0
    wide = grown(drawn, (1.0, 2.0, 4.0), Focus(margin_mm=4))
    assert bounds(wide) == ((2, 11), (3, 8), (3, 6))
    assert bounds(grown(drawn, (1.0, 2.0, 4.0), Focus(margin_voxels=2))) == ((4, 9), (3, 8), (2, 7))
    assert grown(drawn, (1.0, 2.0, 4.0), Focus()) is drawn


def test_what_is_cut_keeps_its_place_in_millimetres() -> None:
    whole, focus = scan(), Focus(margin_mm=2)
    box = focused_on_mask(whole, mask((6, 5, 4)).data[0] > 0, focus)
    assert box.shape == (5, 3, 1)
    for at in ((0, 0, 0), (4, 2, 0)):
        there = box.affine @ [*at, 1]
        index = np.rint(np.linalg.solve(AFFINE, there))[:3].astype(int)
        assert box.data[(0, *at)] == whole.data[(0, *index)]
    hidden = focused_on_mask(whole, mask((6, 5, 4)).data[0] > 0, Focus(margin_mm=2, keep_outside=False))
    assert hidden.data[0, 2, 1, 0] == whole.data[0, 6, 5, 4]
    assert hidden.data[0, 0, 0, 0] == box.data.min()


def test_a_box_of_a_size_reaches_beyond_the_scan() -> None:
    whole = scan()
    at = AFFINE @ [0, 5, 4, 1]
    box = focused_on_point(whole, tuple(at[:3]), Focus(size_mm=(5, 6, 12)))
    assert box.shape == (5, 3, 3)
    assert (box.data[0, :2] == whole.data[0, 0:3, 4:7, 3:6].min()).all()
    np.testing.assert_array_equal(box.data[0, 2:], whole.data[0, 0:3, 4:7, 3:6])
    with pytest.raises(BadInput, match="outside the scan"):
        focused_on_point(whole, (500, 0, 0), Focus(size_mm=(5, 6, 12)))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    volumes = {"image": scan(), "one": mask((6, 5, 4)), "other": mask((8, 5, 4)), "empty": mask()}
    return {name: str(write_volume(v, tmp_path / f"{name}.nii.gz")) for name, v in volumes.items()}


def test_raters_are_united_and_the_header_is_that_of_the_box(files: dict[str, str]) -> None:
    source = FocusedImage(files["image"], Focus(), (files["one"], files["other"]))
    box, header = source.read(), source.header()
    assert box.shape == header.shape == (3, 1, 1)
    np.testing.assert_allclose(box.affine, header.affine)
    assert [path.name for path in source_files(source)] == ["image.nii.gz", "one.nii.gz", "other.nii.gz"]
    with pytest.raises(BadInput, match="the mask is empty"):
        FocusedImage(files["image"], Focus(), (files["empty"],)).read()


def test_a_mask_of_another_grid_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    moved = Volume(mask((1, 1, 1)).data, AFFINE + np.eye(4, k=3) * 9)
    path = str(write_volume(moved, tmp_path / "moved.nii.gz"))
    with pytest.raises(BadInput, match="does not lie on the image"):
        FocusedImage(files["image"], Focus(), (path,)).read()


def test_a_record_of_a_run_brings_the_box_back(files: dict[str, str]) -> None:
    for source in (
        FocusedImage(files["image"], Focus((1,), 2.0, 1, None, False), (files["one"],)),
        FocusedImage(files["image"], Focus(size_mm=(4.0, 4.0, 8.0)), (), (4.0, -10.0, 20.0)),
    ):
        case = Case("a", "a", images={"CT": source})
        record = json.loads(json.dumps(describe_case(case)))
        assert recorded_case(record).images == {"CT": source}


def test_prepared_boxes_differ_by_their_focus(files: dict[str, str], tmp_path: Path) -> None:
    settings, shapes = PrepareSettings(orientation="RAS"), []
    for margin in (0.0, 4.0):
        source = FocusedImage(files["image"], Focus(margin_mm=margin), (files["one"],))
        data = Dataset.from_cases("set", [Case("a", "a", images={"image": source})], ("image",))
        shapes.append(Cache(tmp_path / "cache").prepare(data, settings)["a"].shape)
    assert shapes == [(1, 1, 1), (9, 5, 3)]


def test_a_case_is_known_by_its_own_part_of_a_file_and_not_by_its_masks(files: dict[str, str], tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.random.default_rng(0).integers(0, 255, (3, 6, 6, 6), dtype=np.uint8))
    items = [
        Case(f"i{n}", f"i{n}", images={"image": NpzItem(str(tmp_path / "set.npz"), "images", n)}) for n in range(3)
    ]
    known = [Identity.of(case, "case") for case in items]
    assert find_leaks(known[:1], known[1:]) == []
    again = Identity.of_record(json.loads(json.dumps(describe_case(items[0]))), "record")
    assert [leak.kind for leak in find_leaks([again], known)] == ["file"]
    other = str(write_volume(scan(5), tmp_path / "other scan.nii.gz"))
    boxes = [
        Case(name, name, images={"image": FocusedImage(path, Focus(margin_mm=8), (files["one"],))})
        for name, path in (("a", files["image"]), ("b", other))
    ]
    assert find_leaks([Identity.of(boxes[0], "case")], [Identity.of(boxes[1], "case")]) == []
