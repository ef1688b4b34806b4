"""How scans lie on the page: a bright corner at the patient's left, front and top is where it must be, however the file stores it."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.dataset.labels import Label, Labels
from voxloom.formats.picture import PICTURE_AFFINE
from voxloom.prepare.reorient import turn_to
from voxloom.prepare.windows import HU_WINDOWS
from voxloom.report.case_slices import case_slices
from voxloom.report.look import Look, cut, gray_limits
from voxloom.report.map_slices import map_slices
from voxloom.report.panels import NAMED, STYLES, Panel, Scene, sheet, wrapped
from voxloom.report.style import color_of, shown_range
from voxloom.volume import Volume

LABELS = Labels((Label("block", (1,)),))


def corner(codes: str) -> Volume:
    """A scan of 6 x 8 x 10 voxels (right, front, head; 1, 2, 3 mm) whose left front top corner is bright, stored as ``codes``."""
    data = np.zeros((6, 8, 10), np.float32)
    data[:2, -2:, -2:] = 9
    turn = turn_to(np.diag([1.0, 2.0, 3.0, 1.0]), codes)
    stored = turn.apply(data)
    return Volume(stored[None].copy(), np.diag([1.0, 2.0, 3.0, 1.0]) @ turn.matrix(data.shape))


def brightest(rows: np.ndarray) -> tuple[str, str]:
    """The half of a picture in which the bright voxels lie: "left" or "right", "up" or "down"."""
    down, across = np.argwhere(rows > 1).mean(axis=0) / np.array(rows.shape)
    return ("left" if across < 0.5 else "right", "up" if down < 0.5 else "down")


@pytest.mark.parametrize("codes", ["RAS", "LPS", "ASR", "PIL", "SRA"])
def test_a_corner_is_where_radiologists_expect_it(codes: str) -> None:
    scan = corner(codes)
    assert scan.orientation == codes
    look = Look.of(scan)
    turned = look.turned(scan.data[0])
    assert turned.shape == (6, 8, 10)
    assert brightest(cut(turned, 0, 0)) == ("left", "up")  # sagittal: the front is on the left
    assert brightest(cut(turned, 1, 7)) == ("right", "up")  # coronal: the patient's left is on the right
    assert brightest(cut(turned, 2, 9)) == ("right", "up")  # axial: the front is up
    assert [look.sides(axis) for axis in range(3)] == [tuple("APSI"), tuple("RLSI"), tuple("RLAP")]
    assert [look.proportion(axis) for axis in range(3)] == pytest.approx([3 / 2, 3 / 1, 2 / 1])
    assert [look.name(axis, 0, 5) for axis in range(3)] == ["sagittal 1 of 5", "coronal 1 of 5", "axial 1 of 5"]


@pytest.mark.parametrize("codes", ["RAS", "ASR", "LIP"])
def test_a_prepared_patch_lies_as_its_scan(codes: str) -> None:
    scan = corner(codes)
    look = Look.prepared(codes, scan.spacing)
    assert np.array_equal(look.turned(scan.data[0]), Look.of(scan).turned(scan.data[0]))
    assert look.spacing == pytest.approx((1.0, 2.0, 3.0))
    assert look.axis_of(2) == "RAS".index({"L": "R", "P": "A", "I": "S"}.get(codes[2], codes[2]))


@pytest.mark.parametrize("orientation", [None, "slices"])
def test_a_grid_of_unknown_orientation_claims_nothing(orientation: str | None) -> None:
    look = Look.prepared(orientation, (1.0, 1.0, 4.0))
    assert (look.known, look.sides(2), look.name(2, 3, 9)) == (False, (), "slice 4 of 9")
    assert look.proportion(0) == 4.0


def test_a_picture_without_spacing_lies_as_stored() -> None:
    pixels = np.zeros((12, 16), np.float32)  # rows, columns
    pixels[:3, :4] = 9
    picture = Volume(pixels.T[None, :, :, None], PICTURE_AFFINE, {"unit": "pixel"})
    scene = Scene.of_volume(picture, [], LABELS)
    (panel,) = scene.planes()
    assert np.array_equal(panel.shades, pixels)
    assert (panel.title, panel.sides) == ("", ())


def test_one_slice_of_a_scan_has_its_letters() -> None:
    scan = Volume(np.zeros((1, 9, 1, 7), np.float32), np.eye(4))
    (panel,) = Scene.of_volume(scan, [], LABELS).planes()
    assert (panel.title, panel.sides) == ("coronal", tuple("RLSI"))


def test_merged_labels_have_one_color_and_one_name() -> None:
    outer = np.zeros((1, 8, 8, 8), np.uint8)
    outer[0, 1:3, 1:4, 1:4], outer[0, 3:6, 1:4, 1:4], outer[0, 5:7, 5:7, 1:4] = 1, 4, 2
    labels = Labels((Label("bones", (1, 4)), Label("disc", (2,))))
    figure = case_slices(Volume(outer.astype(np.float32), np.eye(4)), [(Volume(outer, np.eye(4)), "-")], labels)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["bones", "disc"]
    scene = Scene.of_volume(Volume(outer.astype(np.float32), np.eye(4)), [(Volume(outer, np.eye(4)), "-")], labels)
    axial = scene.panel(2, 2)
    assert [(c.label, int(c.mask.sum())) for c in axial.contours] == [(0, 15), (1, 4)]
    drawn = sheet([[axial]], labels.names).axes[0]
    assert len([c for c in drawn.collections if len(c.get_paths())]) == 2


def test_every_panel_has_the_dice_of_its_slice() -> None:
    truth, found = np.zeros((1, 8, 8, 8), np.uint8), np.zeros((1, 8, 8, 8), np.uint8)
    truth[0, 2:4, 2:4, 3], found[0, 2:4, 3:5, 3] = 1, 1
    eye = np.eye(4)
    scene = Scene.of_volume(
        Volume(truth.astype(np.float32), eye), [(Volume(truth, eye), "-"), (Volume(found, eye), "--")], LABELS
    )
    assert scene.panel(2, 3, "case").title == "case, axial 4 of 8, Dice 0.50"
    assert scene.panel(2, 0).title == "axial 1 of 8"
    styles = {contour.style for contour in scene.panel(2, 3).contours}
    assert styles == {"-", "--"}
    texts = [t.get_text() for t in sheet([scene.planes()], ("block",), styles=STYLES).legends[0].get_texts()]
    assert texts == ["block", "truth", "prediction"]


def test_many_labels_are_counted_in_the_legend() -> None:
    outer = np.zeros((1, 12, 12, 1), np.uint8)
    outer[0, :10, 3:9, 0] = np.arange(1, 11)[:, None]
    labels = Labels(tuple(Label(f"part {n}", (n,)) for n in range(1, 11)))
    figure = case_slices(Volume(outer.astype(np.float32), np.eye(4)), [(Volume(outer, np.eye(4)), "-")], labels)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*(f"part {n}" for n in range(1, NAMED + 1)), "and 2 more"]


@pytest.mark.parametrize(("inside", "name"), [(40.0, "organ"), (700.0, "bone"), (-800.0, "lung")])
def test_ct_is_shown_in_the_window_of_what_is_labelled(inside: float, name: str) -> None:
    image = np.full((4, 4, 4), -1000.0)
    image[1:] = 30.0
    image[3, 3, 3] = 400.0
    image[2, 2] = inside
    mask = image == inside
    assert gray_limits(image, mask) == HU_WINDOWS[name]
    assert gray_limits(image) == HU_WINDOWS["organ"]
    assert gray_limits(image, mask, window=(0.0, 80.0)) == (0.0, 80.0)
    assert gray_limits(image, mask, modality="MR") != HU_WINDOWS[name]
    assert gray_limits(np.abs(image), mask)[0] >= 0  # no value of MR lies below air


def test_panels_are_as_wide_as_what_they_show() -> None:
    narrow = Panel(np.zeros((40, 10)), (0, 1), 1.0)
    wide = Panel(np.zeros((10, 10)), (0, 1), 1.0)
    figure = sheet([[narrow, wide]], ())
    widths = figure.axes[0].get_subplotspec().get_gridspec().get_width_ratios()
    assert widths[0] * 2 == widths[1] == 2.5
    assert figure.get_figwidth() == pytest.approx(sum(widths))
    one = sheet([[wide]], ())
    assert one.get_figwidth() < 3


def test_titles_are_broken_behind_commas() -> None:
    assert wrapped("axial 12 of 30, Dice 0.91", 1.25) == "axial 12 of 30,\nDice 0.91"
    assert wrapped("axial 12 of 30", 3.0) == "axial 12 of 30"


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.96, 0.97, 0.98], (0.9, 0.96), (0.98, 1.01)),
        ([0.0, 1.0], (-0.03, 0.0), (1.0, 1.03)),
        ([float("inf")], (0, 0), (1, 1)),
    ],
)
def test_an_axis_shows_where_the_scores_lie(
    values: list[float], low: tuple[float, float], high: tuple[float, float]
) -> None:
    bottom, top = shown_range(values, (0, 1))
    assert low[0] <= bottom <= low[1]
    assert high[0] <= top <= high[1]


def test_colors_are_those_of_the_labels() -> None:
    from matplotlib.colors import to_hex

    mask = np.zeros((1, 6, 6, 1), np.uint8)
    mask[0, 2:4, 2:4] = 3
    labels = Labels((Label("a", (1,)), Label("b", (3,))))
    figure = case_slices(Volume(mask.astype(np.float32), np.eye(4)), [(Volume(mask, np.eye(4)), "-")], labels)
    (handle,) = figure.legends[0].get_lines()
    assert to_hex(handle.get_color()).upper() == color_of(1).upper()


def chest(lung: int) -> np.ndarray:
    """A CT of soft tissue in air, of whose 1,000 voxels of body so many are lung."""
    image = np.full((20, 10, 10), -1000.0)
    body = np.full(1000, 30.0)
    body[:lung] = -820.0
    image[5:15] = body.reshape(10, 10, 10)
    return image


@pytest.mark.parametrize(
    ("lung", "part", "name"),
    [
        (300, "", "lung"), (100, "", "organ"), (100, "CHEST", "lung"), (300, "ABDOMEN", "lung"), (100, "ABDOMEN", "organ"),
        (300, "HEAD", "organ"), (300, "CHEST_ABDOMEN", "lung"), (100, "CHEST_ABDOMEN", "organ"),
    ],
)  # fmt: skip
def test_a_ct_of_the_chest_is_shown_in_the_window_of_the_lung(lung: int, part: str, name: str) -> None:
    assert gray_limits(chest(lung), modality="CT", body_part=part) == HU_WINDOWS[name]


def test_what_lies_in_the_lung_is_shown_in_its_window_and_the_heart_is_not() -> None:
    image, nodule, heart = chest(500), np.zeros((20, 10, 10), bool), np.zeros((20, 10, 10), bool)
    nodule[7:9, 4:6, 4:6] = True
    heart[12:14, 4:6, 4:6] = True
    image[nodule] = 30.0
    assert gray_limits(image, nodule, modality="CT") == HU_WINDOWS["lung"]
    assert gray_limits(image, heart, modality="CT") == HU_WINDOWS["organ"]


def test_maps_of_a_chest_are_drawn_over_the_window_of_the_lung() -> None:
    scan = Volume(chest(300)[None].astype(np.float32), np.eye(4), {"modality": "CT", "body_part": "CHEST"})
    (panel, *_) = map_slices(scan, scan.with_data(np.ones((1, 20, 10, 10), np.float32)), "map").axes
    assert panel.images[0].get_clim() == HU_WINDOWS["lung"]
    assert Scene.of_volume(scan, [], None).limits == HU_WINDOWS["lung"]
