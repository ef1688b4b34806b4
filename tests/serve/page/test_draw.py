"""Drawing in the browser: what is saved is what was drawn, voxel for voxel."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.serve.page.conftest import SHAPE, SPACING, Site, at, drag, drawn, grid, open_case, voxel_at

CASE = "scan_a"


@pytest.fixture(scope="module")
def page(open_page: Callable[..., Page], site: Site) -> Page:
    found = open_page()
    open_case(found, site, CASE)
    found.fill("#author", "AB")
    found.keyboard.press("Tab")
    return found


@pytest.fixture(autouse=True)
def empty_map(page: Page) -> Iterator[None]:
    """Each test begins with an empty map, the brush of one voxel, and a look at the middle; none may make a script fail."""
    page.evaluate("voxloom.tools.radius = 0; voxloom.tools.ball = false; voxloom.viewer.goTo([10, 8, 6])")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Start from").select_option("empty")
    expect(page.locator("#status")).to_have_text("You can correct it now.")
    page.keyboard.press("Escape")
    page.locator("canvas[data-plane=axial]").focus()
    assert not drawn(page).any()
    yield
    assert page.faults == []  # type: ignore[attr-defined]


def save(page: Page) -> None:
    page.keyboard.press("Control+s")
    expect(page.locator("#status")).to_contain_text("Saved")


def values_of(mask: NDArray[np.uint8]) -> dict[tuple[int, ...], int]:
    """Voxel -> value, of all that are labelled."""
    return {tuple(int(n) for n in voxel): int(mask[tuple(voxel)]) for voxel in np.argwhere(mask)}


def test_a_saved_mask_is_what_was_drawn_in_three_planes(page: Page, site: Site) -> None:
    expected = np.zeros(SHAPE, np.uint8)
    for digit, value, plane in (("1", 3, "axial"), ("2", 207, "coronal"), ("1", 3, "sagittal")):
        page.keyboard.press("b")
        page.keyboard.press(digit)
        drag(page, plane, (2, 3), (7, 3))
        for u in range(2, 8):
            expected[voxel_at(page, plane, u, 3)] = value
    save(page)
    version, path = site.saved(CASE)[-1]
    saved = nib.load(path)
    assert values_of(np.asarray(saved.dataobj)) == values_of(expected)
    assert np.array_equal(saved.affine, nib.load(site.service.store.image(CASE, 0)).affine)
    assert (version.author, version.tag, dict(version.parent)) == ("AB", "draft", {})
    assert version.seconds is not None
    assert version.seconds > 0


def test_what_was_saved_comes_back_and_a_second_save_is_a_second_version(page: Page, site: Site) -> None:
    page.keyboard.press("b")
    drag(page, "axial", (5, 5), (9, 9))
    save(page)
    before, count = drawn(page), len(site.saved(CASE))
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    assert np.array_equal(drawn(page), before)
    page.keyboard.press("b")
    page.evaluate("voxloom.tools.radius = 0")
    drag(page, "axial", (1, 1), (1, 2))
    save(page)
    versions = site.saved(CASE)
    assert len(versions) == count + 1
    assert dict(versions[-1][0].parent) == {"version": versions[-2][0].version}


@pytest.mark.parametrize("ball", [False, True])
def test_a_brush_is_a_disc_or_a_ball_in_millimetres(page: Page, ball: bool) -> None:
    page.keyboard.press("b")
    page.evaluate(f"voxloom.tools.radius = 4; voxloom.tools.ball = {str(ball).lower()}")
    page.mouse.click(*at(page, "coronal", 9, 5))
    center = voxel_at(page, "coronal", 9, 5)
    away = (np.indices(SHAPE) - np.reshape(center, (3, 1, 1, 1))) * np.reshape(SPACING, (3, 1, 1, 1))
    expected = (away**2).sum(0) <= 16
    if not ball:
        expected &= away[1] == 0
    assert np.array_equal(drawn(page) > 0, expected)


def test_undo_and_redo_move_over_strokes_of_all_tools(page: Page) -> None:
    page.keyboard.press("b")
    drag(page, "axial", (3, 3), (8, 3))
    first = drawn(page)
    page.keyboard.press("e")
    drag(page, "axial", (5, 3), (6, 3))
    second = drawn(page)
    assert (np.count_nonzero(first), np.count_nonzero(second)) == (6, 4)
    page.keyboard.press("Control+z")
    assert np.array_equal(drawn(page), first)
    page.keyboard.press("Control+z")
    assert not drawn(page).any()
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+y")
    assert np.array_equal(drawn(page), second)
    page.keyboard.press("Control+z")
    page.keyboard.press("b")
    drag(page, "axial", (1, 1), (1, 1))
    after = drawn(page)
    page.keyboard.press("Control+y")
    assert np.array_equal(drawn(page), after), "a new stroke ends what can be redone"


def test_other_labels_stay_where_they_are_kept(page: Page) -> None:
    page.keyboard.press("b")
    page.keyboard.press("1")
    drag(page, "axial", (4, 4), (6, 4))
    page.keyboard.press("2")
    page.get_by_label("keep other labels").check()
    drag(page, "axial", (2, 4), (8, 4))
    page.get_by_label("keep other labels").uncheck()
    assert np.bincount(drawn(page).ravel(), minlength=3)[1:].tolist() == [3, 4]


def test_fill_takes_a_closed_outline_and_refuses_an_open_one(page: Page) -> None:
    page.keyboard.press("b")
    drag(page, "axial", (3, 3), (9, 3), (9, 9), (3, 9), (3, 4))
    outline = np.count_nonzero(drawn(page))
    page.keyboard.press("f")
    page.mouse.click(*at(page, "axial", 6, 6))
    assert (outline, np.count_nonzero(drawn(page))) == (24, 49)
    page.mouse.click(*at(page, "axial", 12, 12))
    assert np.count_nonzero(drawn(page)) == 49
    expect(page.locator("#status")).to_contain_text("open")


def test_click_to_segment_finds_the_bright_box_and_grow_stops_at_its_border(page: Page) -> None:
    page.keyboard.press("c")
    page.evaluate("voxloom.tools.reach = 100; voxloom.tools.tolerance = 5; voxloom.viewer.goTo([8, 7, 5])")
    box = np.zeros(SHAPE, bool)
    box[6:12, 5:10, 3:9] = True
    u, v = page.evaluate("""() => { const p = voxloom.viewer.planes.axial; const c = voxloom.viewer.cursor;
        return [p.flipAcross ? p.size[0] - 1 - c[p.across] : c[p.across], p.flipDown ? p.size[1] - 1 - c[p.down] : c[p.down]]; }""")
    page.mouse.click(*at(page, "axial", u, v))
    assert np.array_equal(drawn(page) > 0, box)
    page.get_by_role("button", name="Shrink").click()
    inner = np.zeros(SHAPE, bool)
    inner[7:11, 6:9, 4:8] = True
    assert np.array_equal(drawn(page) > 0, inner)
    for _ in range(4):
        page.get_by_role("button", name="Grow").click()
    grown = drawn(page) > 0
    assert not (grown & ~box).any()
    assert grown.sum() > 0.8 * box.sum()


def test_interpolation_fills_empty_slices_between_drawn_ones(page: Page) -> None:
    page.keyboard.press("b")
    page.evaluate("voxloom.tools.radius = 5")
    for k in (2, 6):
        page.evaluate(f"voxloom.viewer.goSlice('axial', {k})")
        page.mouse.click(*at(page, "axial", 9, 8))
    page.get_by_role("button", name="Interpolate").click()
    expect(page.locator("#status")).to_have_text("3 axial slices filled between drawn ones.")
    found = drawn(page)
    assert all(np.array_equal(found[:, :, k], found[:, :, 2]) for k in range(3, 7)), "between like discs lie like discs"
    assert not found[:, :, 7:].any()
    assert not found[:, :, :2].any()


def test_the_brush_works_from_the_keyboard(page: Page) -> None:
    page.keyboard.press("b")
    page.locator("canvas[data-plane=axial]").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    found = {tuple(int(n) for n in voxel) for voxel in np.argwhere(drawn(page))}
    assert len(found) == 3
    assert (10, 8, 6) in found
    assert {voxel[2] for voxel in found} == {6, 7}


def test_nobody_saves_without_a_name(page: Page, site: Site) -> None:
    count = len(site.saved(CASE))
    page.evaluate("localStorage.removeItem('voxloom.author'); document.getElementById('author').value = ''")
    page.keyboard.press("b")
    drag(page, "axial", (3, 3), (4, 3))
    page.keyboard.press("Control+s")
    expect(page.locator("#status")).to_contain_text("name or initials")
    assert len(site.saved(CASE)) == count
    page.fill("#author", "AB")
    page.keyboard.press("Tab")
    save(page)
    assert len(site.saved(CASE)) == count + 1


def test_a_grid_is_shown_as_radiologists_expect(page: Page) -> None:
    """The patient's right lies left on the screen, front and head lie up, whatever the order of the voxels."""
    affine = grid()
    for plane, across, down in (("axial", 0, 1), ("coronal", 0, 2), ("sagittal", 1, 2)):
        near, right, below = (affine[:3, :3] @ voxel_at(page, plane, *pixel) for pixel in ((2, 2), (9, 2), (2, 9)))
        assert (right - near)[across] < 0, f"{plane} across"
        assert (below - near)[down] < 0, f"{plane} down"
