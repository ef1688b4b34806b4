"""A service in front of a real PACS: what MONAI Label's client does with its series, and OHIF, as MONAI Label ships it, in Chromium.

Pictures of the viewer are kept in the folder that $VOXLOOM_ARTEFACTS names, for people to look at.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import monailabel
import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from pydicom import dcmread

from tests.serve.monailabel.learned import CENTERS, NAMES, phantom, train_balls, write_series
from tests.serve.monailabel.live import live
from tests.serve.orthanc import Orthanc, tool
from voxloom.formats import read_label
from voxloom.serve.engine import Engine
from voxloom.serve.http.app import create_app
from voxloom.serve.http.guard import Security
from voxloom.serve.http.monailabel import Desk, monailabel_part
from voxloom.serve.pacs import Pacs
from voxloom.serve.service import Service
from voxloom.serve.store import Store

#: Whether the first pane tells which plane it shows.
SHOWN = r"() => /I:\s*\d/.test(document.querySelector('[data-cy=viewport-pane]')?.innerText ?? '')"
#: Milliseconds that a browser on a busy machine may take.
WAIT = 120_000
OHIF = Path(monailabel.__file__).parent / "endpoints" / "static" / "ohif"


@dataclass(frozen=True)
class Clinic:
    """A service in front of a PACS that holds one series."""

    desk: Desk
    address: str
    study: str
    series: str


@pytest.fixture(scope="module")
def clinic(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("clinic")
    run = train_balls(folder)
    write_series(folder / "series")
    orthanc.upload(sorted((folder / "series").iterdir()))
    header = dcmread(next((folder / "series").iterdir()), stop_before_pixels=True)
    engine = Engine({"balls": run}, device="cpu")
    service = Service(engine, Store.of(None, folder / "state", channels=("MR",)))
    desk = Desk(service, Pacs(orthanc.dicom_web))
    with live(create_app(service, Security(), [monailabel_part(desk, OHIF)])) as address:
        yield Clinic(desk, address, header.StudyInstanceUID, header.SeriesInstanceUID)
    engine.close()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1280, "height": 800})
        browser.close()


class Axial:
    """The pane of axial planes: which plane it shows, and its voxels."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pane = page.locator("[data-cy=viewport-pane]").first
        page.wait_for_function(SHOWN, timeout=WAIT)

    @property
    def plane(self) -> int:
        """Number of the plane (k), from the text "I: 7 (7/20)" in its corner; OHIF counts from the top."""
        number, count = re.search(r"\((\d+)/(\d+)\)", self.pane.inner_text()).groups()  # type: ignore[union-attr]
        return int(count) - int(number)

    def go(self, plane: int) -> None:
        """Turn the wheel until a plane is shown."""
        self.pane.hover()
        for _ in range(60):
            if (now := self.plane) == plane:
                return
            self.page.mouse.wheel(0, 100 if plane < now else -100)
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the wheel does not lead to plane {plane}")

    def pixels(self) -> NDArray[np.float64]:
        """What is seen, (rows, columns, 3)."""
        self.page.wait_for_timeout(500)
        return np.array(Image.open(BytesIO(self.pane.screenshot())).convert("RGB"), float)

    def voxels(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Mean color of each voxel of the plane, (I, J, 3): i to the right, j down."""
        pixels = self.pixels()
        gray = (pixels.max(-1) > 40) & (np.ptp(pixels, axis=-1) < 5)
        columns = np.flatnonzero(gray[self.middle(gray)].mean(0) > 0.5)
        rows = np.flatnonzero(gray[:, columns].mean(1) > 0.5)
        image = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        down, right = np.linspace(0, len(image), shape[1] + 1), np.linspace(0, image.shape[1], shape[0] + 1)
        return np.array(
            [
                [image[int(t) + 1 : int(b), int(left) + 1 : int(r)].mean((0, 1)) for t, b in itertools.pairwise(down)]
                for left, r in itertools.pairwise(right)
            ]
        )

    @staticmethod
    def middle(seen: NDArray[np.bool_]) -> slice:
        """Some rows around the middle of the pane, which the image fills."""
        return slice(len(seen) // 2 - 40, len(seen) // 2 + 40)


def keep(page: Page, name: str, otherwise: Path) -> Path:
    """A picture of the viewer, kept where $VOXLOOM_ARTEFACTS says, else in the folder of the test."""
    path = Path(os.environ.get("VOXLOOM_ARTEFACTS") or otherwise) / f"{name}.png"
    page.screenshot(path=str(path))  # makes the folder
    return path


def run_model(page: Page, clinic: Clinic) -> Axial:
    """Open the study, connect the panel of MONAI Label to the service, and run the model, as people do."""
    page.goto(f"{clinic.address}/ohif/monai-label?StudyInstanceUIDs={clinic.study}", timeout=WAIT)
    page.locator("[data-cy=confirm-and-hide-button]").click(timeout=WAIT)
    axial = Axial(page)
    assert page.locator("#monailabelServerURL").input_value() == f"{clinic.address}/"
    page.locator(".monaiLabelPanel button.actionButton").first.click()
    run = page.locator(".tab-content button", has_text="Run").first
    run.wait_for(timeout=WAIT)
    page.wait_for_timeout(2000)  # the panel makes its segments a second after it has connected
    with page.expect_response(lambda answer: "/infer/" in answer.url, timeout=WAIT) as told:
        run.click()
    assert told.value.status == 200
    page.wait_for_timeout(1000)
    return axial


def test_a_mask_lies_on_its_anatomy(clinic: Clinic, page: Page, tmp_path: Path) -> None:
    axial, (_, truth) = run_model(page, clinic), phantom()
    predicted = read_label(clinic.desk.service.store.prediction(clinic.series, "balls")).data[0]
    colors = {}
    for name, (i, j, k) in CENTERS.items():
        assert predicted[i, j, k] == truth[i, j, k] == NAMES[name], "the network finds the middle of each ball"
        axial.go(k)
        voxels = axial.voxels(truth.shape[:2])
        with Image.open(keep(page, f"ohif-{name}", tmp_path)) as picture:
            assert picture.size == (1280, 800)
        colored = np.ptp(voxels, axis=-1) > 20  # the image is grey
        mask = predicted[:, :, k] > 0
        assert 2 * (colored & mask).sum() / (colored.sum() + mask.sum()) > 0.8, "pixels of the mask lie on its voxels"
        assert colored[i, j]
        ball = truth[:, :, k] > 0
        assert (colored & ball).sum() > 0.5 * ball.sum(), "and on the anatomy"
        colors[name] = voxels[(predicted[:, :, k] == NAMES[name]) & colored].mean(0)
    assert np.abs(colors["bright"] - colors["dark"]).max() > 20, "each label has a color of its own"


def test_a_series_of_the_pacs_is_predicted_corrected_and_goes_back(
    clinic: Clinic, orthanc: Orthanc, tmp_path: Path
) -> None:
    client = MONAILabelClient(clinic.address, tmpdir=str(tmp_path), client_id="ana")
    assert client.info()["datastore"]["total"] == 1
    found = client.next_sample("first", {})
    assert (found["id"], found["StudyInstanceUID"]) == (clinic.series, clinic.study)
    file, params = client.infer("balls", clinic.series, {})
    assert set(params["label_names"]) == set(NAMES)
    kept = client.save_label(clinic.series, file, params={"model": "balls"})
    (series,) = orthanc.find("Series", Modality="SEG")
    stored = dcmread(BytesIO(orthanc.instances(series["ID"])[0]))
    assert (stored.SOPInstanceUID, stored.StudyInstanceUID) == (kept["seg"], clinic.study)
    assert stored.ReferencedSeriesSequence[0].SeriesInstanceUID == clinic.series
    assert [item.SegmentLabel for item in stored.SegmentSequence] == list(NAMES)
    assert {item.SegmentAlgorithmType for item in stored.SegmentSequence} == {"MANUAL"}
    assert stored.pixel_array.sum() == (read_label(file).data > 0).sum()
    stats = client.info()["datastore"]
    assert (stats["completed"], stats["label_tags"]) == (1, {"original": 1, "final": 1})
    assert client.next_sample("first", {}) == {}
    assert "seg" not in client.save_label(clinic.series, file, tag="draft"), "a draft stays here"
    assert len(orthanc.find("Series", Modality="SEG")) == 1


def test_the_answer_as_dicom_seg(clinic: Clinic) -> None:
    answer = requests.post(f"{clinic.address}/infer/balls?image={clinic.series}&output=dicom_seg", timeout=60)
    assert answer.headers["content-type"] == "application/dicom"
    made = dcmread(BytesIO(answer.content))
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == clinic.series
    assert {item.SegmentAlgorithmType for item in made.SegmentSequence} == {"AUTOMATIC"}


@pytest.mark.parametrize("image", ["1.2.3.4.5", "../../etc/passwd", "*"])
def test_what_the_pacs_lacks_is_not_there(clinic: Clinic, image: str) -> None:
    answer = requests.post(f"{clinic.address}/infer/balls", params={"image": image}, timeout=60)
    assert answer.status_code == 404
