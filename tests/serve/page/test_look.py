"""Looking, points, the pages, and that people with other hands and eyes can use them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.serve.page.conftest import SHAPE, Site, at, drag, open_case, voxel_at
from voxloom.points import read_points

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
PAGES = ("cases", "loop", "compare", "train", "runs", "case/scan_a", "nothing")


@pytest.fixture(scope="module")
def page(open_page: Callable[..., Page], site: Site) -> Page:
    found = open_page()
    open_case(found, site, "scan_a")
    return found


def state(page: Page, what: str) -> Any:
    """A value of the viewer."""
    return page.evaluate(f"voxloom.viewer.{what}")


def test_wheel_arrows_and_slider_move_the_slice(page: Page) -> None:
    page.evaluate("voxloom.viewer.goTo([10, 8, 6])")
    page.mouse.move(*at(page, "axial", 5, 5))
    page.mouse.wheel(0, 100)
    page.mouse.wheel(0, 100)
    page.mouse.wheel(0, -100)
    assert state(page, "cursor[2]") == 7
    page.locator("canvas[data-plane=axial]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("PageUp")
    assert state(page, "cursor[2]") == 1
    page.keyboard.press("End")
    assert state(page, "cursor[2]") == SHAPE[2] - 1
    page.get_by_label("coronal slice", exact=True).fill("3")
    assert state(page, "cursor[1]") == 3
    expect(page.locator("section[aria-label='coronal plane'] .pane-title")).to_contain_text("coronal 4/16")


def test_a_click_looks_at_the_voxel_under_it(page: Page) -> None:
    page.keyboard.press("v")
    page.mouse.click(*at(page, "sagittal", 4, 7))
    assert state(page, "cursor") == list(voxel_at(page, "sagittal", 4, 7))


def test_right_drag_widens_and_shifts_the_window(page: Page) -> None:
    low, high = state(page, "channels[0].window")
    drag(page, "axial", (5, 5), (9, 5), button="right")
    wider = state(page, "channels[0].window")
    assert wider[1] - wider[0] > 1.1 * (high - low)
    assert np.isclose(sum(wider), low + high)
    drag(page, "axial", (5, 5), (5, 9), button="right")
    assert sum(state(page, "channels[0].window")) < sum(wider)
    page.get_by_label("Window", exact=True).select_option("full")
    page.get_by_label("Window", exact=True).select_option("auto")
    assert state(page, "channels[0].window") == [low, high]


def test_channels_stand_side_by_side_and_follow_one_cursor(page: Page) -> None:
    page.get_by_label("View", exact=True).select_option("channels")
    assert page.locator("canvas.slice").count() == 2
    slices = page.evaluate("voxloom.viewer.panes.map((pane) => [pane.channel, pane.slice])")
    page.locator("canvas.slice").first.focus()
    page.keyboard.press("ArrowUp")
    after = page.evaluate("voxloom.viewer.panes.map((pane) => [pane.channel, pane.slice])")
    assert [channel for channel, _ in after] == [0, 1]
    assert len({n for _, n in after}) == 1
    assert after[0][1] == slices[0][1] - 1
    page.get_by_label("View", exact=True).select_option("planes")


def colors_under(page: Page, plane: str, u: int, v: int) -> list[int]:
    """Red, green and blue where a pixel of a plane is drawn."""
    script = """([plane, u, v]) => { const pane = voxloom.viewer.panes.find((p) => p.name === plane); pane.draw();
        const box = pane.canvas.getBoundingClientRect(), [x, y] = pane.pageAt([u, v]), ratio = pane.canvas.width / box.width;
        return Array.from(pane.canvas.getContext("2d").getImageData((x - box.left) * ratio, (y - box.top) * ratio, 1, 1).data) }"""
    return list(page.evaluate(script, [plane, u, v]))[:3]


def test_the_truth_lies_over_the_bright_box(page: Page) -> None:
    page.evaluate("voxloom.viewer.goTo([8, 7, 5])")
    inside = [
        p
        for p in np.ndindex(20, 16)
        if 6 <= voxel_at(page, "axial", *p)[0] < 12 and 5 <= voxel_at(page, "axial", *p)[1] < 10
    ]
    inner, outer = inside[len(inside) // 2], (1, 1)
    grey, dark = colors_under(page, "axial", *inner), colors_under(page, "axial", *outer)
    assert max(grey) - min(grey) < 3
    assert min(grey) > 200
    page.get_by_label("Truth", exact=True).check()
    page.locator(".layer", has_text="Truth").get_by_label("outline").uncheck()
    expect(page.locator("#status")).to_have_text("")
    colored = colors_under(page, "axial", *inner)
    assert max(colored) - min(colored) > 60, "a label has a colour"
    assert colors_under(page, "axial", *outer) == dark
    page.keyboard.press("Escape")
    page.locator("canvas[data-plane=axial]").focus()
    page.keyboard.press("o")
    assert colors_under(page, "axial", *inner) == grey
    page.keyboard.press("o")
    page.get_by_label("Truth", exact=True).uncheck()


def test_digits_choose_labels_and_a_question_mark_tells_the_keys(page: Page) -> None:
    page.locator("canvas[data-plane=axial]").focus()
    page.keyboard.press("2")
    assert state(page, "place") == 2
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)


@pytest.fixture(scope="module")
def solid(page: Page) -> Page:
    """The same page with its 3D view."""
    page.get_by_role("button", name="Show 3D").click()
    expect(page.get_by_role("button", name="Update 3D")).to_be_visible(timeout=20000)
    return page


def test_the_3d_view_shows_something(solid: Page) -> None:
    pixels = solid.evaluate("""() => { const nv = voxloom.viewer.render3d.nv; nv.drawScene(); const gl = nv.gl;
        const all = new Uint8Array(4 * gl.canvas.width * gl.canvas.height);
        gl.readPixels(0, 0, gl.canvas.width, gl.canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, all);
        let bright = 0; for (let n = 0; n < all.length; n += 4) bright += all[n] > 40; return bright / (all.length / 4) }""")
    assert 0.005 < pixels < 0.98


#: Where the scene changed since the picture that was kept: the middle of the pixels, in shares of the canvas, and how many.
CHANGED = """async ([turned, keep]) => { const solid = voxloom.viewer.render3d; solid.turned = turned; await solid.update();
    solid.nv.drawScene(); const gl = solid.nv.gl, [w, h] = [gl.canvas.width, gl.canvas.height], all = new Uint8Array(4 * w * h);
    gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, all);
    if (keep) { window.kept = all; return null; }
    let [x, y, n] = [0, 0, 0];
    for (let p = 0; p < w * h; p++) {
        const away = Math.max(...[0, 1, 2].map((c) => Math.abs(all[4 * p + c] - window.kept[4 * p + c])));
        if (away > 30) [x, y, n] = [x + (p % w), y + Math.floor(p / w), n + 1];
    }
    return [x / n / w, y / n / h, n]; }"""
#: A block of 3 x 3 x 3 voxels about one gets the first label, or none.
BLOCK = """([i, j, k, place]) => { const { map } = voxloom.viewer, [w, h] = map.dims;
    for (const z of [-1, 0, 1]) for (const y of [-1, 0, 1]) for (const x of [-1, 0, 1])
        map.data[i + x + w * (j + y + h * (k + z))] = place; }"""


@pytest.mark.parametrize(("turned", "voxel"), [((150, 15), (17, 13, 9)), ((40, 60), (10, 8, 6))])
def test_points_lie_in_the_3d_view_where_labels_of_their_voxels_do(
    solid: Page, site: Site, turned: tuple[int, int], voxel: tuple[int, int, int]
) -> None:
    """In the corner of an oblique grid, and inside the bright box, through which they shine."""
    affine = site.service.store.images.header(site.service.store.case("scan_a")).affine
    mm = (affine @ [*voxel, 1])[:3].tolist()
    solid.evaluate(CHANGED, [turned, True])
    solid.evaluate(BLOCK, [*voxel, 1])
    block = solid.evaluate(CHANGED, [turned, False])
    solid.evaluate(BLOCK, [*voxel, 0])
    solid.evaluate("(mm) => voxloom.viewer.marks.load([{ name: '', side: '', mm }])", mm)
    point = solid.evaluate(CHANGED, [turned, False])
    solid.evaluate("voxloom.viewer.marks.load([])")
    assert min(block[2], point[2]) > 20
    assert np.hypot(block[0] - point[0], block[1] - point[1]) < 0.015, "in shares of the canvas"


def test_points_of_a_layer_are_seen_in_the_3d_view(solid: Page) -> None:
    solid.evaluate(CHANGED, [(150, 15), True])
    solid.get_by_label("Truth, points", exact=True).check()
    expect(solid.locator("#status")).to_have_text("")
    assert solid.evaluate(CHANGED, [(150, 15), False])[2] > 60
    solid.get_by_label("Truth, points", exact=True).uncheck()


@pytest.fixture(scope="module")
def pointing(open_page: Callable[..., Page], site: Site) -> Page:
    """The case without points, of a data set that has landmarks."""
    found = open_page()
    found.goto(site.url)
    found.evaluate("localStorage.setItem('voxloom.author', 'AB')")
    open_case(found, site, "scan_b")
    return found


def test_level_and_side_of_points_follow_from_their_place(pointing: Page, site: Site) -> None:
    page = pointing
    page.keyboard.press("p")
    marked = []
    for slice_, rows in ((16, (10, 1, 5)), (3, (5, 10, 1)), (15, (1,))):  # in no order, one landmark on two slices
        page.evaluate(f"voxloom.viewer.goSlice('sagittal', {slice_})")
        for v in rows:
            page.mouse.click(*at(page, "sagittal", 7, v))
            marked.append((slice_, v))
    affine = site.service.store.images.header(site.service.store.case("scan_b")).affine
    expect(page.get_by_text("All landmarks are marked.")).to_be_visible()
    page.keyboard.press("Control+s")
    expect(page.locator("#status")).to_contain_text("Saved points")
    _, path = site.saved("scan_b")[-1]
    points = read_points(path)
    assert len(points) == 7
    level = {1: "L1", 5: "L2", 10: "L3"}
    found = set()
    for point in points:
        i, _, k = np.linalg.solve(affine[:3, :3], np.array(point.position) - affine[:3, 3])
        v = min(level, key=lambda row: abs(SHAPE[2] - 1 - row - k))
        assert abs(SHAPE[2] - 1 - v - k) < 0.2, "the mark lies where the click was"
        assert point.name == level[v]
        assert point.side == ("right" if i < 10 else "left"), "the first axis of the grid runs to the left"
        found.add((round(i), v))
    assert found == set(marked)


def test_points_are_undone_redone_and_removed(pointing: Page) -> None:
    page = pointing
    page.keyboard.press("p")
    count = "voxloom.viewer.marks.list.length"
    before = page.evaluate(count)
    page.evaluate("voxloom.viewer.goSlice('sagittal', 8)")
    page.mouse.click(*at(page, "sagittal", 2, 2))
    assert page.evaluate(count) == before + 1
    page.keyboard.press("Control+z")
    assert page.evaluate(count) == before
    page.keyboard.press("Control+y")
    page.keyboard.down("Control")
    page.mouse.click(*at(page, "sagittal", 2, 2))
    page.keyboard.up("Control")
    assert page.evaluate(count) == before


SERIOUS = """async () => (await axe.run(document)).violations.filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => [v.id, v.nodes.map((node) => node.html)])"""


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious_and_a_tablet_is_wide_enough(
    open_page: Callable[..., Page], site: Site, name: str
) -> None:
    page = open_page(touch=True)
    page.goto(f"{site.url}/#/{name}")
    page.locator("h1").wait_for()
    if name.startswith("case/"):
        page.wait_for_selector("html[data-ready]", state="attached")
    page.evaluate(AXE)
    assert page.evaluate(SERIOUS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.set_viewport_size({"width": 820, "height": 1180})
    assert page.evaluate("document.documentElement.scrollWidth") <= 820
    if name.startswith("case/"):
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.touchscreen.tap(*at(page, "axial", 4, 4))
        assert state(page, "cursor") == list(voxel_at(page, "axial", 4, 4)), "a finger is a pointer"
    assert "scan" not in page.title(), "a title names no case"
    assert page.faults == []  # type: ignore[attr-defined]
    page.context.close()
