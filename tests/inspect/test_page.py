"""The page: complete in itself, true to the patient's sides, and safe against names with markup."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voxloom.cli.app import run
from voxloom.dataset import Dataset
from voxloom.dataset.inspect import find_problems, fingerprint, inspect_text, suggest
from voxloom.recipe.recipe import Recipe
from voxloom.report.case_picture import draw_case
from voxloom.report.charts import Scale, strip_chart
from voxloom.report.inspect_page import choose_cases, write_inspect_page
from voxloom.tasks.choice import chosen_task

from .conftest import SHAPE, Make, block, volume

_VOID = {"meta", "img", "input", "br", "link", "image", "path", "circle", "rect"}


class _Balanced(HTMLParser):
    """Counts open elements."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag


def page_of(dataset: Dataset, path: Path) -> str:
    found = fingerprint(dataset)
    write_inspect_page(dataset, found, find_problems(dataset, found), suggest(found), path)
    return path.read_text()


def test_complete_in_itself(make: Make, tmp_path: Path) -> None:
    html = page_of(make(6, labels={"c02": block(3)}), tmp_path / "page.html")
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert html.count("<figure>") == 6
    assert 'class="problem is-error"' in html
    parser = _Balanced()
    parser.feed(html)
    assert parser.open == []


def test_names_with_markup(make: Make, tmp_path: Path) -> None:
    made = make(2, names={"background": 0, "<script>x</script>": 1})
    cases = [replace(case, id=f"<b>{case.id}") for case in made]
    html = page_of(Dataset.from_cases("<i>set", cases, made.channels, made.labels), tmp_path / "p.html")
    assert "<script>x" not in html
    assert "<b>c0" not in html
    assert "<i>set" not in html


def test_a_broken_case_does_not_stop_the_page(make: Make, tmp_path: Path) -> None:
    made = make(3)
    Path(str(made["c01"].images["MR"])).write_bytes(b"half")
    html = page_of(made, tmp_path / "page.html")
    assert html.count("<figure>") == 2


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_the_right_of_the_patient_is_on_the_left(make: Make, flip: float) -> None:
    data = np.zeros(SHAPE, np.uint8)
    side = slice(9, 12) if flip > 0 else slice(0, 3)
    data[side, :, :] = 200
    made = make(1, images={"c00": data}, labels={"c00": block()}, affines={"c00": np.diag([flip, 1.0, 1.0, 1.0])})
    picture = draw_case((made["c00"], made.labels, made.channels))
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(picture.images[0]))))
    assert picture.plane == "axial"
    assert pixels[:, :3].min() > pixels[:, 3:].max()


def test_the_front_is_up_and_contours_follow(make: Make) -> None:
    data, mask = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    data[0:4, 8:10, :] = 200
    mask[0:4, 8:10, 5] = 1
    made = make(1, images={"c00": data}, labels={"c00": mask})
    picture = draw_case((made["c00"], made.labels, made.channels))
    assert (picture.index, picture.width, picture.height) == (6, 12, 10)
    numbers = np.array(re.findall(r"-?[\d.]+", picture.contours[0][1]), dtype=float).reshape(-1, 2)
    np.testing.assert_allclose(numbers.min(axis=0), (8, 0), atol=0.51)
    np.testing.assert_allclose(numbers.max(axis=0), (12, 2), atol=0.51)


def test_pictures_keep_rows_and_columns(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    pixels = np.zeros((20, 30), np.uint8)
    pixels[:5, :10] = 200
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    Image.fromarray((pixels > 0).astype(np.uint8)).save(tmp_path / "masks" / "a.png")
    made = Dataset(tmp_path)
    picture = draw_case((made["a"], made.labels, made.channels))
    shown = np.array(Image.open(io.BytesIO(base64.b64decode(picture.images[0]))))
    np.testing.assert_array_equal(shown > 100, pixels > 100)


def test_cases_with_problems_are_pictured(make: Make) -> None:
    made = make(12, labels={"c11": block(0)})
    found = fingerprint(made)
    chosen = choose_cases(found, find_problems(made, found), most=4)
    assert chosen[0] == "c11"
    assert len(chosen) == len(set(chosen)) == 4


def test_scales() -> None:
    assert Scale(1, 1000, 0, 300, log=True)(10) == 100
    assert Scale(0, 10, 100, 0)(2.5) == 75
    assert Scale(0, 10, 0, 1).ticks() == [0, 2, 4, 6, 8, 10]
    assert Scale(3, 3, 0, 10)(3) == 5
    assert strip_chart({"a": [0.0]}, "t", "ml", ["red"]) == ""


def test_text(make: Make) -> None:
    made = make(6, images={"c01": volume(1, 100)})
    found = fingerprint(made)
    text = inspect_text(found, find_problems(made, found), suggest(found))
    assert "Toy: 6 cases, segmentation" in text
    assert "12 x 10 x 8 voxels" in text
    assert "warning: the intensity scale" in text
    assert "Spacing: 1 x 1 x 1 mm" in text


def test_the_command(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(make(3, labels={"c01": block(3)}).root)
    assert run(["inspect", root, "-o", str(tmp_path / "out"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert Path(result["page"]) == tmp_path / "out" / "inspect.html"
    assert result["problems"][0]["severity"] == "error"
    assert run(["inspect", root]) == 0
    out = capsys.readouterr().out
    assert "label value 3 not declared" in out
    assert "Next: voxloom inspect" in out


@pytest.mark.parametrize(
    ("targets", "task"), [(("a", "b", "a"), "classification"), (("1.5", "2.25", "3.5"), "regression")]
)
def test_a_set_of_whole_cases_is_trained_next(
    targets: tuple[str, ...], task: str, make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((make(3).root / "imagesTr").iterdir())
    rows = [f"c{n},{path},{target}" for n, (path, target) in enumerate(zip(images, targets, strict=True))]
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(["id,image,target", *rows]))
    assert run(["inspect", str(table), "-o", str(tmp_path / "a.html"), "--workers", "1"]) == 0
    told = capsys.readouterr()
    assert f"learned by {task}" in told.out + told.err
    assert f"Next: voxloom train {table} -o RUN" in told.out
    assert chosen_task(Dataset(table), Recipe.load("auto"))[0].name == task


def test_a_wrong_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
