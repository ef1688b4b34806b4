"""What people do with runs: predict and correct, compare two readers, follow the queue, order a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.serve.conftest import Small
from tests.serve.page.conftest import Site, at, drawn, open_case, serving
from voxloom.serve.engine import Engine
from voxloom.serve.service import Service
from voxloom.serve.store import Store


@pytest.fixture(scope="module")
def page(open_page: Callable[..., Page], site: Site) -> Page:
    found = open_page()
    found.goto(site.url)
    found.on("dialog", lambda dialog: dialog.accept())
    return found


def annotate(page: Page, site: Site, author: str, u: int) -> None:
    """Save a drawing of one author."""
    page.goto(f"{site.url}/#/cases")
    page.evaluate(f"localStorage.setItem('voxloom.author', '{author}')")
    page.reload()
    open_case(page, site, "scan_a")
    page.evaluate("voxloom.tools.radius = 3; voxloom.viewer.goTo([10, 8, 6])")
    page.keyboard.press("b")
    page.mouse.click(*at(page, "axial", u, 8))
    page.keyboard.press("Control+s")
    expect(page.locator("#status")).to_contain_text("Saved labels")


def test_two_annotators_are_blind_and_then_compared(page: Page, site: Site) -> None:
    annotate(page, site, "EF", 8)
    first = drawn(page)
    page.goto(f"{site.url}/#/cases")
    page.evaluate("localStorage.removeItem('voxloom.author')")
    page.reload()
    open_case(page, site, "scan_a")
    assert not drawn(page).any(), "nor does somebody without a name"
    page.goto(f"{site.url}/#/cases")
    page.evaluate("localStorage.setItem('voxloom.author', 'GH')")
    page.reload()
    open_case(page, site, "scan_a")
    expect(page.get_by_text("None of yours yet.")).to_be_visible()
    assert not drawn(page).any(), "the second does not see what the first one drew"
    annotate(page, site, "GH", 9)
    second = drawn(page)
    page.goto(f"{site.url}/#/compare")
    page.get_by_label("Case", exact=True).select_option("scan_a")
    page.get_by_label("First", exact=True).select_option("EF")
    page.get_by_label("Second", exact=True).select_option("GH")
    page.get_by_role("button", name="Compare", exact=True).click()
    table = page.get_by_role("table", name="Labels, EF and GH")
    both = ((first == 1) & (second == 1)).sum()
    dice = 2 * both / ((first == 1).sum() + (second == 1).sum())
    expect(table.get_by_role("row").nth(1)).to_contain_text(f"bright{dice:.3f}")
    expect(page.get_by_role("table", name="bright: medians")).to_contain_text("EF – GH")


@pytest.fixture(scope="module")
def balls(engine: Engine, small: Small, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two scans that the run can read, without any truth."""
    store = Store.of(small.scans, tmp_path_factory.mktemp("balls"), channels=("MR",))
    with serving(Service(engine, store)) as found:
        yield found


def test_a_prediction_is_corrected_and_the_version_says_from_which_run(page: Page, balls: Site) -> None:
    page.goto(balls.url)
    page.evaluate("localStorage.setItem('voxloom.author', 'KL')")
    page.reload()
    case = balls.service.store.ids()[0]
    open_case(page, balls, case)
    page.get_by_role("button", name="Predict and correct").click()
    expect(page.locator("#status")).to_have_text("Predicted. You can correct it now.", timeout=60000)
    predicted = page.evaluate("voxloom.viewer.map.data.filter((place) => place).length")
    page.keyboard.press("b")
    page.mouse.click(*at(page, "axial", 1, 1))
    assert page.evaluate("voxloom.viewer.map.data.filter((place) => place).length") > predicted
    page.keyboard.press("Control+s")
    expect(page.locator("#status")).to_contain_text("Saved labels")
    version = balls.saved(case)[-1][0]
    assert (version.parent["run"], version.author) == ("balls", "KL")
    expect(page.locator(".versions li").first).to_contain_text("from balls")
    page.goto(f"{balls.url}/#/loop")
    expect(page.get_by_text("1 of 2 cases without a known truth are annotated.")).to_be_visible()
    expect(page.get_by_role("img", name="Dice of predictions with their corrections")).to_be_visible()
    page.get_by_role("button", name="Next case").click()
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.evaluate("document.documentElement.dataset.ready") == balls.service.store.ids()[1]


def test_pages_of_runs_loop_and_training_tell_what_the_service_knows(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/#/runs")
    expect(page.get_by_role("table", name="Runs that predict")).to_contain_text("balls")
    page.get_by_role("button", name="Report of balls").click()
    expect(page.frame_locator("iframe").locator("body")).to_contain_text("balls")
    page.goto(f"{site.url}/#/loop")
    expect(page.get_by_label("Start from", exact=True)).to_have_value("balls")
    page.goto(f"{site.url}/#/train")
    expect(page.get_by_label("Recipe", exact=True)).to_contain_text("auto")
    page.get_by_label("Budget of time").fill("soon")
    page.get_by_label("Name of the new run").fill("next")
    page.get_by_role("button", name="Train", exact=True).click()
    assert not site.service.trainings.orders(), "a budget that is none is not sent"
