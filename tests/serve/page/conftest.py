"""A service with the page, and a browser that looks at it.

Two cases of two channels on a small oblique grid that is stored left-handed, and the run of ``tests.serve.conftest``, whose labels
have the values 3 and 207.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from voxloom.points import Point, write_points
from voxloom.serve.engine import Engine
from voxloom.serve.http.app import create_app
from voxloom.serve.http.guard import Security
from voxloom.serve.http.server import Listening, open_socket, server_of
from voxloom.serve.service import Service
from voxloom.serve.store import Store

#: Matrix and spacing in mm of the cases: all numbers differ, so that no mixed-up axis goes unnoticed.
SHAPE, SPACING = (20, 16, 12), (1.5, 2.0, 3.0)
LANDMARKS = [(level, side) for level in ("L1", "L2", "L3") for side in ("left", "right")]
BROWSER = os.environ.get("VOXLOOM_CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium")


def grid() -> NDArray[np.float64]:
    """An affine whose first axis runs to the left, turned by ten degrees about the head-feet axis."""
    turn = np.radians(10)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-SPACING[0], SPACING[1], SPACING[2]])
    affine[:3, 3] = (14, -13, -20)
    return affine


def scan(seed: int) -> NDArray[np.int16]:
    """A bright box in a darker, faintly noisy scan."""
    data = np.random.default_rng(seed).normal(100, 2, SHAPE)
    data[6:12, 5:10, 3:9] += 400
    return data.astype(np.int16)


def write_cases(folder: Path) -> Path:
    """The data set, in nnU-Net's layout: the first case has a truth and points, the second has neither."""
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / name).mkdir(parents=True)
    box = np.zeros(SHAPE, np.uint8)
    box[6:12, 5:10, 3:9] = 207
    for n, (case, part) in enumerate((("scan_a", "imagesTr"), ("scan_b", "imagesTs"))):
        for channel in range(2):
            image = nib.Nifti1Image(scan(2 * n + channel), grid())
            nib.save(image, folder / part / f"{case}_{channel:04d}.nii.gz")
    nib.save(nib.Nifti1Image(box, grid()), folder / "labelsTr" / "scan_a.nii.gz")
    (folder / "points").mkdir()
    marks = [
        Point(name, side, (20.0 if side == "right" else -20.0, 0, -10.0 * n))
        for n, (name, side) in enumerate(LANDMARKS)
    ]
    write_points(marks, folder / "points" / "scan_a.csv", case="scan_a")
    about = {
        "channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "bright": 3, "dark": 207},
        "numTraining": 1, "file_ending": ".nii.gz",
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


@dataclass(frozen=True)
class Site:
    """A running service."""

    url: str
    service: Service

    def saved(self, case: str) -> list[tuple[Any, Path]]:
        """Versions of a case with their files."""
        drawings = self.service.store.drawings(case)
        return [(version, drawings.file(version)) for version in self.service.store.versions(case)]


@contextmanager
def serving(service: Service) -> Iterator[Site]:
    """A service on a free port of loopback, in a thread."""
    where = Listening(port=0)
    socket = open_socket(where)
    server = server_of(create_app(service, Security()), where)
    thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Site(f"http://127.0.0.1:{socket.getsockname()[1]}", service)
    service.trainings.close()
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The two cases, served; the engine is closed by its own fixture."""
    with serving(Service(engine, Store.of(write_cases(tmp_path_factory.mktemp("site") / "cases")))) as found:
        yield found


@pytest.fixture(scope="module")
def open_page() -> Iterator[Callable[..., Page]]:
    """Opens pages of one browser; what a page throws or refuses to load fails the test that sees it."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, headless=True, args=["--no-sandbox"])

        def make(width: int = 1280, height: int = 720, touch: bool = False) -> Page:
            context = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch)
            page = context.new_page()
            page.faults = []  # type: ignore[attr-defined]
            page.on("pageerror", lambda error: page.faults.append(str(error)))  # type: ignore[attr-defined]
            return page

        yield make
        browser.close()


def open_case(page: Page, site: Site, case: str) -> None:
    """Open a case in the viewer and wait until it can be worked on."""
    page.goto(f"{site.url}/#/case/{case}")
    page.wait_for_selector("html[data-ready]", state="attached", timeout=20000)


def at(page: Page, plane: str, u: float, v: float) -> tuple[float, float]:
    """Where the center of a pixel of a plane lies on the page."""
    script = "([plane, u, v]) => voxloom.viewer.panes.find((pane) => pane.name === plane).pageAt([u, v])"
    x, y = page.evaluate(script, [plane, u, v])
    return x, y


def voxel_at(page: Page, plane: str, u: int, v: int) -> tuple[int, int, int]:
    """The voxel (i, j, k) that a pixel of a plane shows."""
    script = "([plane, u, v]) => voxloom.viewer.panes.find((pane) => pane.name === plane).voxelAt([u, v])"
    i, j, k = page.evaluate(script, [plane, u, v])
    return i, j, k


def drag(page: Page, plane: str, *pixels: tuple[float, float], button: str = "left") -> None:
    """Press at the first pixel, move over the others, let go."""
    page.mouse.move(*at(page, plane, *pixels[0]))
    page.mouse.down(button=button)  # type: ignore[arg-type]
    for pixel in pixels[1:]:
        page.mouse.move(*at(page, plane, *pixel), steps=4)
    page.mouse.up(button=button)  # type: ignore[arg-type]


def drawn(page: Page) -> NDArray[np.uint8]:
    """The map under the pen, (I, J, K), places of labels."""
    values = page.evaluate("() => Array.from(voxloom.viewer.map.data)")
    return np.array(values, np.uint8).reshape(SHAPE, order="F")
