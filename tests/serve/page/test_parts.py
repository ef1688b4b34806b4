"""Parts of the page by themselves, in the browser: files, planes, names of points, interpolation; and trainings as they are told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.serve.page.conftest import Site

READ = """async () => { const { readNifti } = await import("/page/js/volume/nifti.js");
  const found = await readNifti(await fetch("/given.nii"));
  return { dims: found.dims, affine: found.affine, values: Array.from(found.data, (v) => v * found.slope + found.inter) } }"""
COPY = """async () => { const { readNifti, writeNifti } = await import("/page/js/volume/nifti.js");
  const found = await readNifti(await fetch("/given.nii"));
  const bytes = writeNifti(found, Uint16Array.from(found.data, (v) => Math.abs(v)));
  let text = ""; for (const byte of bytes) text += String.fromCharCode(byte); return btoa(text) }"""


@pytest.fixture(scope="module")
def page(open_page: Callable[..., Page], site: Site) -> Page:
    found = open_page()
    found.goto(f"{site.url}/#/runs")
    found.locator("h1").wait_for()
    return found


def give(page: Page, image: nib.Nifti1Image, packed: bool) -> None:
    """Let the page find an image at /given.nii."""
    data = image.to_bytes()
    page.unroute("**/given.nii")
    page.route("**/given.nii", lambda route: route.fulfill(body=gzip.compress(data) if packed else data))


def place(*, sform: bool) -> np.ndarray:
    """An oblique affine; for a qform one that a quaternion holds."""
    turn = np.radians(20)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-0.5, 0.75, 3.0])
    affine[:3, 3] = (10, -20, 30.5)
    if sform:
        affine[0, 1] = 0.1  # a shear, which no quaternion holds
    return affine


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float32", "float64", "int64", ">i2", ">f4"])
def test_every_kind_of_voxel_is_read(page: Page, kind: str) -> None:
    data = np.arange(60).reshape(5, 4, 3, order="F").astype(kind)
    header = nib.Nifti1Header(endianness=">" if kind.startswith(">") else "<")
    image = nib.Nifti1Image(data, place(sform=True), header, dtype=data.dtype)
    give(page, image, packed=kind == "int16")
    found = page.evaluate(READ)
    assert found["dims"] == [5, 4, 3]
    assert found["values"] == list(range(60))
    assert np.allclose(found["affine"], image.affine, atol=1e-6)


def test_slope_intercept_and_qform_are_read(page: Page) -> None:
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(2.0, -1000.0)
    image.set_sform(None, 0)
    image.set_qform(place(sform=False), 1)
    image = nib.Nifti1Image.from_bytes(image.to_bytes())
    give(page, image, packed=True)
    found = page.evaluate(READ)
    assert np.allclose(found["values"], image.get_fdata().ravel(order="F"))
    assert np.allclose(found["affine"], place(sform=False), atol=1e-5)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_a_written_mask_has_the_place_of_the_image_and_nothing_else_of_its_header(page: Page, endian: str) -> None:
    import base64

    data = np.arange(60, dtype=np.dtype(np.int16).newbyteorder(endian)).reshape(5, 4, 3, order="F")
    image = nib.Nifti1Image(data, place(sform=True), nib.Nifti1Header(endianness=endian))
    image.header["descrip"], image.header["db_name"] = b"DOE^JANE", b"DOE^JANE"
    give(page, image, packed=False)
    raw = base64.b64decode(page.evaluate(COPY))
    found = nib.Nifti1Image.from_bytes(raw)
    assert np.array_equal(np.asarray(found.dataobj), data)
    assert np.array_equal(found.affine, nib.Nifti1Image.from_bytes(image.to_bytes()).affine)
    assert b"DOE" not in raw


NAME = """async ([marks, given]) => { const { nameByPlace, scheme } = await import("/page/js/points/naming.js");
  const landmarks = ["L1", "L2"].flatMap((name) => ["left", "right"].map((side) => ({ name, side })));
  return nameByPlace(marks.map((mm) => ({ mm })), scheme(landmarks), given).map((m) => `${m.name} ${m.side}`) }"""


@pytest.mark.parametrize(
    ("marks", "names"),
    [
        ([[20, 0, 40], [-20, 0, 10], [21, 2, 41]], ["L1 right", "L1 left", "L1 right"]),
        ([[-3, 0, 10], [-4, 0, 60]], ["L2 left", "L1 left"]),  # one side only: the middle of the image divides
        ([[30, 0, 60], [30, 0, 30], [30, 0, 0], [-9, 0, 5]], ["L1 right", "L2 right", " ", "L1 left"]),  # one too many
        ([[25, 0, 0], [60, 0, 30]], ["L1 left", "L1 right"]),  # a patient beside the middle of the image
    ],
)
def test_names_follow_from_places(page: Page, marks: list[list[float]], names: list[str]) -> None:
    found = page.evaluate(NAME, [marks, {"middle": 0}])
    assert sorted(found) == sorted(names)


def test_interpolation_between_shapes_of_two_sizes_is_between_them(page: Page) -> None:
    script = """async () => { const { interpolate } = await import("/page/js/edit/interpolate.js");
      const dims = [21, 21, 5], data = new Uint8Array(21 * 21 * 5);
      for (const [k, r] of [[0, 4], [4, 8]]) for (let j = 0; j < 21; j++) for (let i = 0; i < 21; i++)
        if ((i - 10) ** 2 + (j - 10) ** 2 <= r * r) data[i + 21 * (j + 21 * k)] = 1;
      const plane = { across: 0, down: 1, through: 2, size: [21, 21], mm: [1, 1], count: 5, flipAcross: true, flipDown: false };
      interpolate({ dims, data, put(at, value) { data[at] = value; } }, plane, 1);
      return [0, 1, 2, 3, 4].map((k) => data.slice(441 * k, 441 * (k + 1)).reduce((a, b) => a + b)) }"""
    areas = page.evaluate(script)
    radii = np.sqrt(np.array(areas) / np.pi)
    assert np.allclose(radii, [4, 5, 6, 7, 8], atol=0.35)


def job(state: str) -> dict[str, Any]:
    """A training as the service tells it."""
    return {
        "id": "t1", "kind": "train", "state": state, "progress": 0.4, "message": "", "created": 0, "started": 1, "ended": None,
        "about": {"run": "next", "budget": "30m"}, "result": {}, "error": None,
    }  # fmt: skip


def test_a_training_shows_curves_and_is_stopped_and_resumed(open_page: Callable[..., Page], site: Site) -> None:
    page, told = open_page(), {"state": "running"}
    rows = [
        {"fold": 0, "step": s, "seconds": s, "lr": 0.1, "train_loss": 1 / s, "val_dice": 1 - 1 / s} for s in (1, 2, 4)
    ]

    def answer(route: Route) -> None:
        path = route.request.url.rsplit("/api/jobs", 1)[1]
        if path.endswith("/stop"):
            told["state"] = "cancelled"
        if path.endswith("/resume"):
            told["state"] = "running"
        body: Any = [job(told["state"])] if path == "" else rows if path.endswith("/log") else job(told["state"])
        route.fulfill(content_type="application/json", body=json.dumps(body))

    page.route("**/api/jobs**", answer)
    page.route("**/api/jobs/**", answer)
    page.goto(f"{site.url}/#/train")
    box = page.get_by_label("Training next", exact=True)
    expect(box.get_by_role("img", name="Loss")).to_have_attribute("aria-label", "Loss. train_loss: last 0.25")
    expect(box.get_by_role("img", name="Score")).to_have_attribute(
        "aria-label", "Score of held-out cases. val_dice: last 0.75"
    )
    box.get_by_role("button", name="Stop").click()
    expect(box.get_by_role("button", name="Go on")).to_be_visible()
    box.get_by_role("button", name="Go on").click()
    expect(box.get_by_role("button", name="Stop")).to_be_visible()
    assert page.faults == []  # type: ignore[attr-defined]
    page.context.close()
