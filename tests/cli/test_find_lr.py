"""``voxloom train --find-lr``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run
from voxloom.formats import write_volume
from voxloom.volume import Volume

pytestmark = pytest.mark.drawn


def test_it_writes_plot_and_table_and_suggests_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "discs"
    for n in range(3):
        random = np.random.default_rng(n)
        mask = np.zeros((24, 24), np.uint8)
        mask[8:16, 6 + n : 14 + n] = 255
        image = np.clip(random.normal(80, 15, mask.shape) + 0.4 * mask, 0, 255).astype(np.uint8)
        for name, pixels in (("images", image), ("masks", mask)):
            write_volume(Volume(pixels[None, ..., None], np.diag([-1.0, -1.0, 1.0, 1.0])), data / name / f"d{n}.png")
    keys = ["training.patch=[16, 16, 1]", "training.batch=2", "network.kind=msd", "network.depth=2", "device=cpu"]
    changes = [part for key in keys for part in ("--set", key)]
    out = tmp_path / "rates"
    assert run(["train", str(data), "--find-lr", "-o", str(out), "--json", *changes]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["rates"]) == len(found["losses"]) > 20
    assert found["rates"][0] == pytest.approx(1e-6)
    assert found["suggestion"] in found["rates"]
    assert found["valley"] in found["rates"]
    assert (out / "find_lr.png").stat().st_size > 1000
    assert len((out / "find_lr.csv").read_text().splitlines()) == len(found["rates"]) + 1
    assert not list(out.glob("fold_*/model.safetensors"))
    assert run(["train", str(data), "--find-lr", "-o", str(out), *changes]) == 2
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("seed: 3\n")
    capsys.readouterr()
    assert (
        run(["train", str(data), "-r", str(recipe), "--find-lr", "-o", str(tmp_path / "more"), "--seed", "5", *changes])
        == 0
    )
    step = capsys.readouterr().out.split("Next: ")[1].strip()
    words = shlex.split(step)
    assert words[:5] == ["voxloom", "train", str(data), "-r", str(recipe)]
    assert words[-1].startswith("training.learning_rate=")
    assert set(changes) | {"--seed", "5"} <= set(words), "the training is that which was tried"
