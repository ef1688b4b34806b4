"""Maps become the right points: sides, both fallbacks, names, order, peaks, abstention; nothing is invented."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from scipy.cluster.vq import kmeans2

from voxloom.errors import BadInput
from voxloom.landmarks import (
    Candidate,
    LandmarkSettings,
    Layout,
    abstained,
    anatomical,
    combine,
    find_candidates,
    locate,
    paint_target,
    split_sides,
)
from voxloom.landmarks.sides import cut_in_two
from voxloom.points import Key, Point

LEVELS = ("L1", "L2", "L3", "L4", "L5")
SHAPE = (60, 60, 16)
#: i to the back, j up, k to the right, as in ASR; the spine does not lie in the middle of the scan.
AFFINE = np.array([[0, 0, 4.0, -34.0], [2.0, 0, 0, -60.0], [0, 3.0, 0, -90.0], [0, 0, 0, 1.0]])


def foramina(skip: tuple[str, ...] = ()) -> list[Point]:
    points = [
        Point(name, side, (x, 3.0 * n, 60.0 - 30.0 * n))
        for n, name in enumerate(LEVELS)
        for side, x in (("left", -14.0), ("right", 18.0))
    ]
    return [p for p in points if str(p.key) not in skip]


def maps_of(points: list[Point], layout: Layout, radius: float = 7.0) -> np.ndarray:
    return paint_target(layout.by_map(points), SHAPE, AFFINE, kind="disc", radius=radius, slice_axis=2)


def layout(maps: str) -> Layout:
    return Layout.of([foramina()], maps)  # type: ignore[arg-type]


@pytest.mark.parametrize("maps", ["one", "level", "landmark"])
def test_all_ten_foramina_are_found_and_named(maps: str) -> None:
    own = layout(maps)
    assert own.names == LEVELS  # by height
    found = locate(maps_of(foramina(), own), AFFINE, own)
    assert [p.key for p in found] == list(own.keys)
    for point, true in zip(found, sorted(foramina(), key=lambda p: own.keys.index(p.key)), strict=True):
        assert np.linalg.norm(np.subtract(point.position, true.position)) < 2.5
        assert point.confidence == 1.0


def test_a_missed_foramen_renames_those_below_in_one_map_and_none_in_five() -> None:
    present = foramina(skip=("L2 left",))
    single = {p.key: p for p in locate(maps_of(present, layout("one")), AFFINE, layout("one"))}
    multi = {p.key: p for p in locate(maps_of(present, layout("level")), AFFINE, layout("level"))}
    true = {p.key: p for p in present}
    assert Key("L5", "left") not in single  # missing, not invented
    shifted = single[Key("L3", "left")].position
    assert abs(shifted[2] - true[Key("L4", "left")].position[2]) < 2
    assert set(multi) == set(true)
    assert all(np.linalg.norm(np.subtract(multi[k].position, true[k].position)) < 2.5 for k in true)


def test_the_largest_candidates_are_taken_and_small_ones_above_are_not() -> None:
    own = layout("one")
    thoracic = Point("T12", "left", (-14.0, -3.0, 85.0))
    maps = maps_of(foramina(), own)
    small = paint_target([[thoracic.position]], SHAPE, AFFINE, kind="disc", radius=3.5, slice_axis=2)
    found = locate(np.maximum(maps, small), AFFINE, own)
    assert max(p.position[2] for p in found) < 65


def test_sides_by_two_clusters_wherever_the_spine_lies() -> None:
    places = [2.0, 2.5, 3, 2, 3, 6.5, 7, 6, 7.5, 6]
    assert split_sides(places, size=40) == [0] * 5 + [1] * 5  # all of them left of the middle of the scan


def test_few_candidates_or_one_side_only_are_divided_by_the_middle_slice() -> None:
    assert split_sides([2.0, 3, 10, 11, 12], size=16) == [0, 0, 1, 1, 1]
    assert split_sides([1.0, 2, 3, 4, 4.5], size=20) == [0] * 5
    assert split_sides([10.0, 11, 12, 13, 13.5, 12], size=16) == [1] * 6  # spread below 4 slices
    assert split_sides([], size=16) == []


def inertia(values: np.ndarray, above: np.ndarray) -> float:
    return sum(float(((part - part.mean()) ** 2).sum()) for part in (values[above], values[~above]) if len(part))


def test_no_other_division_in_two_is_better() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        values = np.concatenate([random.normal(3, 1, 7), random.normal(9, 1.2, 6)])
        ours = inertia(values, values > cut_in_two(values))
        _, labels = kmeans2(values[:, None], np.array([[values.min()], [values.max()]]), minit="matrix")
        assert ours <= inertia(values, labels == 1) + 1e-9  # k-means itself may stop at a worse division
        assert ours == pytest.approx(min(inertia(values, values > v) for v in np.sort(values)[:-1]))


def test_left_and_right_follow_the_patient_not_the_array() -> None:
    own = layout("level")
    maps = maps_of(foramina(), own)[..., ::-1]
    mirrored = AFFINE.copy()
    mirrored[0] = [0, 0, -4.0, -34.0 + 4.0 * 15]
    found = {p.key: p for p in locate(maps, mirrored, own)}
    assert found[Key("L3", "left")].position[0] < found[Key("L3", "right")].position[0]


def test_an_empty_map_gives_no_point() -> None:
    for kind in ("one", "level", "landmark"):
        own = layout(kind)
        assert locate(np.zeros((own.count, *SHAPE), np.float32), AFFINE, own) == ()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.5, 4.0)])
def test_heat_map_peaks_are_sub_voxel(spacing: tuple[float, float, float]) -> None:
    affine = np.diag([*spacing, 1.0])
    own = Layout.of([[Point("L1", "", (0, 0, 0))]], "level")
    true = np.array([20.37, 17.81, 9.42]) * spacing
    heat = paint_target([[tuple(true)]], (40, 36, 20), affine, kind="gaussian", radius=5.0)
    (point,) = locate(heat, affine, own, LandmarkSettings(network="unet", threshold=0.2, position="peak"))
    np.testing.assert_allclose(point.position, true, atol=1e-3)
    (border,) = locate(heat[:, 20:], affine, own, LandmarkSettings(network="unet", threshold=0.2, position="peak"))
    np.testing.assert_allclose(border.position[1:], true[1:], atol=1e-3)  # the border keeps the voxel along i only


def test_points_against_the_order_are_left_out_the_least_sure_ones() -> None:
    points = [Point("L1", "", (0, 0, 50), 0.9), Point("L2", "", (0, 0, 70), 0.3), Point("L3", "", (0, 0, 10), 0.8)]
    assert [p.name for p in anatomical(points, LEVELS)] == ["L1", "L3"]
    sided = [
        Point("L1", "left", (0, 0, 0), 0.9),
        Point("L2", "left", (0, 0, -9), 0.9),
        Point("L1", "right", (0, 0, -50), 0.1),
    ]
    assert anatomical(sided, LEVELS) == tuple(sided)  # sides are ordered on their own


def heat_of(layout: Layout, blobs: dict[str, dict[str, float]]) -> np.ndarray:
    """Maps of levels with a Gaussian of the given peak at each of the named levels."""
    places = {point.name: point for point in foramina() if point.side == "left"}
    maps = np.zeros((layout.count, *SHAPE), np.float32)
    for name, seen in blobs.items():
        for at, peak in seen.items():
            own = paint_target([[places[at].position]], SHAPE, AFFINE, kind="gaussian", radius=6.0)
            maps[layout.names.index(name)] = np.maximum(maps[layout.names.index(name)], peak * own[0])
    return maps


def test_all_levels_are_chosen_jointly_where_one_alone_would_be_a_neighbor() -> None:
    own = Layout.of([[Point(p.name, "", p.position) for p in foramina() if p.side == "left"]], "level")
    seen = {"L1": {"L1": 0.9}, "L2": {"L2": 0.5, "L3": 0.6}, "L3": {"L3": 0.9, "L4": 0.4}, "L4": {"L4": 0.8}, "L5": {}}
    maps = heat_of(own, seen)
    found = {
        order: {
            p.name: p.position[2]
            for p in locate(maps, AFFINE, own, LandmarkSettings(threshold=0.1, position="peak", order=order))  # type: ignore[arg-type]
        }
        for order in ("off", "drop", "joint")
    }
    true = {p.name: p.position[2] for p in foramina() if p.side == "left" and p.name != "L5"}
    assert found["joint"] == pytest.approx(true, abs=0.6)
    assert found["off"]["L2"] == pytest.approx(true["L3"], abs=0.6)
    assert "L2" not in found["drop"] or "L3" not in found["drop"]


def test_a_bare_off_in_yaml_means_off() -> None:
    assert LandmarkSettings.model_validate(yaml.safe_load("{order: off}")).order == "off"


def test_joint_order_goes_with_several_maps_only() -> None:
    with pytest.raises(ValueError, match="one map is named by its order"):
        LandmarkSettings(network="singlenet", order="joint")


def test_unsure_points_are_left_out() -> None:
    points = [Point("L1", "", (0, 0, 0), 0.4), Point("L2", "", (0, 0, 0), 0.9)]
    assert [p.name for p in abstained(points, 0.5)] == ["L2"]
    small = locate(
        maps_of(foramina(), layout("one"), radius=3.5), AFFINE, layout("one"), LandmarkSettings(), mark_voxels=26.0
    )
    assert all((p.confidence or 1) < 0.5 for p in small)  # smaller than a mark's target


def test_confidence_and_size_of_candidates() -> None:
    values = np.zeros((1, 8, 8, 4), np.float32)
    values[0, 1:3, 1:3, 1], values[0, 6, 6, 3] = 0.8, 0.9
    values[0, 3, 3, 2] = 0.6  # touches the first by a corner only: 26 neighbors make it one component
    first, second = find_candidates(values, np.eye(4))
    assert (first.size, second.size) == (5, 1)
    assert first.mean == pytest.approx((4 * 0.8 + 0.6) / 5)
    assert second.position == (6.0, 6.0, 3.0)


def candidate(position: tuple[float, float, float]) -> Candidate:
    return Candidate(0, (0, 0, 0), position, 50, 0.9, 0.8)


def test_both_networks_together_fill_what_one_missed() -> None:
    own = layout("level")
    labelled = foramina(skip=("L3 left", "L5 right"))
    true = {p.key: p for p in foramina()}
    seen = [candidate(tuple(np.add(p.position, (0, 1.0, 0)))) for p in foramina()]
    merged = {p.key: p for p in combine(labelled, seen, own)}
    assert set(merged) == set(true)
    for key, point in merged.items():
        np.testing.assert_allclose(point.position, np.add(true[key].position, (0, 1.0, 0)))
    assert merged[Key("L3", "left")].confidence == pytest.approx(0.4)
    nothing = {p.key for p in combine(labelled, [], own)}
    assert nothing == {p.key for p in labelled}  # a point is never invented
    far = {p.key for p in combine(labelled, [candidate((-14.0, 6.0, 40.0))], own)}
    assert Key("L3", "left") not in far  # more than half a step from where L3 belongs


def test_a_layout_refuses_what_it_does_not_know() -> None:
    with pytest.raises(BadInput, match="no point to train on"):
        Layout.of([[]], "one")
    with pytest.raises(BadInput, match="points are named S1"):
        Layout.of([[Point("S1", "", (0, 0, 0))]], "level", ["L1"])
    with pytest.raises(BadInput, match="others have none"):
        Layout.of([[Point("L1", "", (0, 0, 0)), Point("L2", "left", (0, 0, 0))]], "level")
    own = layout("landmark")
    assert Layout.from_dict(own.to_dict()) == own
    assert own.counts([foramina(), foramina(skip=("L1 left",))]) == [1, *[2] * 9]
