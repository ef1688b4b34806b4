"""Networks, losses, changes and metrics of another package: named in a recipe, checked, written into the run, used again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.own.parts import Darker, Net
from tests.tasks.scans import write_scans
from voxloom.augment import Augmenter, AugmentSettings
from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.evaluation.further import further_named, own_in
from voxloom.evaluation.scores import asked_in, score_of, split_score
from voxloom.losses import LossSettings, OwnLoss
from voxloom.networks import OwnNetworkSettings, build_network, network_settings
from voxloom.own import offered, own_part
from voxloom.recipe.recipe import Recipe
from voxloom.training.own_callbacks import own_callbacks
from voxloom.training.settings import OwnCallback

PARTS = "tests.own.parts"
NETWORK = {"kind": f"{PARTS}:Net", "dims": 3, "in_channels": 2, "out_channels": 3, "options": {"width": 5}}
METRIC = f"{PARTS}:MISSED"


def test_a_class_is_made_with_what_it_asks_for() -> None:
    settings = network_settings(NETWORK)
    assert isinstance(settings, OwnNetworkSettings)
    network = build_network(settings, seed=0)
    assert isinstance(network.network, Net)  # type: ignore[attr-defined]
    assert network.network.layers[0].weight.shape == (5, 2, 3, 3, 3)  # type: ignore[attr-defined]
    assert network(torch.zeros(1, 2, 7, 6, 5)).shape == (1, 3, 7, 6, 5)
    assert network.layer_groups()[0] == list(network.parameters())
    flat = build_network(network_settings({**NETWORK, "dims": 2}), seed=0)
    assert flat(torch.zeros(1, 2, 7, 6)).shape == (1, 3, 7, 6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "nowhere.nets:Net"}, "cannot be loaded .No module named 'nowhere'"),
        ({"kind": f"{PARTS}:Gone"}, "has no attribute 'Gone'"),
        ({"kind": f"{PARTS}:Darker"}, "Darker has no argument in_channels"),
        ({"options": {"depth": 3}}, "Net cannot be made .*depth"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        build_network(network_settings({**NETWORK, **changes}))


def test_a_network_of_another_size_is_refused() -> None:
    network = build_network(network_settings({**NETWORK, "kind": f"{PARTS}:Smaller"}))
    with pytest.raises(BadInput, match=r"gave \(1, 3, 5, 6, 5\) for images \(1, 2, 7, 6, 5\)"):
        network(torch.zeros(1, 2, 7, 6, 5))


def test_a_loss_asks_for_what_the_labels_need() -> None:
    settings = LossSettings.model_validate({"kind": f"{PARTS}:Overlap", "options": {"power": 2}})
    logits, label = torch.zeros(2, 3, 4, 4, 4), torch.zeros(2, 4, 4, 4)
    assert float(OwnLoss(settings, count=3)(logits, label)) == pytest.approx((2 / 3) ** 2)
    with pytest.raises(BadInput, match="Overlap has no argument ignore_index"):
        OwnLoss(settings, count=3, ignore_index=3)
    with pytest.raises(ValueError, match="there is no such loss"):
        LossSettings.model_validate("dise")
    with pytest.raises(ValueError, match="options are for a loss of another package"):
        LossSettings.model_validate({"kind": "dice", "options": {"a": 1}})


def test_a_change_is_drawn_from_the_seed_and_nothing_else_is() -> None:
    own = {"own": [{"kind": f"{PARTS}:Darker", "options": {"most": 1.0}, "chance": 0.5}]}
    image = torch.ones(8, 2, 6, 6, 4)
    plain, changing = (Augmenter(AugmentSettings.model_validate(s), (1, 1, 1), 2) for s in ({}, own))
    assert isinstance(changing.own.changes[0][1], Darker)
    drawn = [a.sample(8, (6, 6, 4), torch.Generator().manual_seed(3)) for a in (plain, changing)]
    assert torch.equal(drawn[0].matrix, drawn[1].matrix)
    assert drawn[0].noise_seed == drawn[1].noise_seed
    before, _ = plain.apply(image, None, drawn[0], (6, 6, 4))
    after, again = (changing.apply(image, None, drawn[1], (6, 6, 4))[0] for _ in range(2))
    assert torch.equal(after, again)
    chosen = drawn[1].own
    assert chosen is not None
    assert 0 < int(chosen.sum()) < 8
    changed = (before - after).flatten(1).abs().max(1).values > 1e-4
    assert torch.equal(changed, chosen[:, 0])
    broken = Augmenter(AugmentSettings.model_validate({"own": [f"{PARTS}:cutter"]}), (1, 1, 1), 2)
    every = broken.sample(8, (6, 6, 4), torch.Generator().manual_seed(0))
    with pytest.raises(BadInput, match=r"cutter gave \(8, 2, 6, 6, 1\)"):
        broken.apply(image, None, every, (6, 6, 4))


def test_a_callback_that_is_none_is_refused() -> None:
    for kind, says in ((f"{PARTS}:Net", "in_channels"), (f"{PARTS}:NoCallback", "no lightning.Callback")):
        with pytest.raises(BadInput, match=says):
            own_callbacks([OwnCallback(kind=kind)])


def test_a_metric_is_known_by_its_path() -> None:
    assert further_named(METRIC).goal == "min"
    assert asked_in({"nsd": 1, "case": 2, METRIC: 3}) == ["nsd", METRIC]
    assert split_score(f"{METRIC}.ball.mean") == (METRIC, "ball.mean")
    assert split_score("dice.ball.mean") == ("dice", "ball.mean")
    assert score_of(f"{METRIC}.ball").goal == "min"  # type: ignore[union-attr]
    with pytest.raises(BadInput, match="is not a voxloom.evaluation.further.Further"):
        further_named(f"{PARTS}:Net")


@pytest.fixture
def asked_anew() -> Iterator[None]:
    """What is offered is asked for once per process; not here, and what is answered here is forgotten."""
    offered.cache_clear()
    yield
    offered.cache_clear()


def test_a_short_name_of_an_installed_package(monkeypatch: pytest.MonkeyPatch, asked_anew: None) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("tiny", f"{PARTS}:Net", "voxloom.networks")
    monkeypatch.setattr("voxloom.own.entry_points", lambda group: [point] if group == "voxloom.networks" else [])
    assert offered("voxloom.networks") == {"tiny": f"{PARTS}:Net"}
    assert own_part("tiny", "voxloom.networks", "network.kind") is Net
    assert Recipe.load("auto").changed({"network.kind": "tiny"}).network == {"kind": "tiny"}
    with pytest.raises(BadInput, match="unknown network `network.kind: tony`"):
        Recipe.load("auto").changed({"network.kind": "tony"})


def test_columns_of_a_table_ask_once_what_is_offered(monkeypatch: pytest.MonkeyPatch, asked_anew: None) -> None:
    """The answer needs a file of every installed package: a table of some hundred rows took minutes."""
    groups: list[str] = []
    monkeypatch.setattr("voxloom.own.entry_points", lambda group: groups.append(group) or [])
    for _ in range(3):
        assert own_in(["case", "dice", METRIC, "hd95"]) == [METRIC]
    assert groups == ["voxloom.metrics"]


def test_a_run_with_own_parts_predicts_and_says_them(tmp_path: Path) -> None:
    """Train, predict, evaluate: all parts in one recipe."""
    (tmp_path / "data").mkdir()
    table = write_scans(tmp_path / "data", "segmentation", range(6))
    settings = {
        "network": {"kind": f"{PARTS}:Net", "options": {"width": 4}},
        "training.loss": {"kind": f"{PARTS}:Overlap", "options": {"power": 2}},
        "training.callbacks": [{"kind": f"{PARTS}:Counter", "options": {"path": str(tmp_path / "steps.txt")}}],
        "augment.own": [f"{PARTS}:Darker"], "evaluate.metrics": [METRIC], "device": "cpu", "folds.hold_out": 0.4,
        "training.steps": 12, "training.validations": 1, "training.batch": 2, "training.patch": [16, 16, 12],
        "training.precision": "fp32", "training.learning_rate": 0.01, "prepare.spacing": [2, 2, 2],
    }  # fmt: skip
    told = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    run = tmp_path / "run"
    assert voxloom(["train", str(table), "-o", str(run), *told]) == 0
    assert (tmp_path / "steps.txt").read_text() == "12"
    about = json.loads((run / "fold_0" / "model.json").read_text())
    assert about["network"]["kind"] == f"{PARTS}:Net"
    assert about["network"]["options"] == {"width": 4}
    written = Recipe.load(run / "recipe.yaml")
    assert written.training["loss"]["kind"] == f"{PARTS}:Overlap"
    assert written.augment["own"] == [f"{PARTS}:Darker"]
    figures = json.loads((run / "summary.json").read_text())["validation"]
    assert np.isfinite(figures[METRIC]["label_1"]["mean"])
    methods = (run / "methods.md").read_text()
    for part in ("Net", "Overlap", "Darker", "MISSED", "Counter"):
        assert f"{PARTS}:{part}" in methods, part
    scan = tmp_path / "data" / "s0.nii.gz"
    assert voxloom(["predict", str(run), str(scan), "-o", str(tmp_path / "out")]) == 0
    assert voxloom(["export", str(run), "--to", "zip", "-o", str(tmp_path / "run.zip")]) == 0
