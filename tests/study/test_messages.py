"""Wrong values of recipes, sweeps and rules are told in plain words, never in those of a library; right ones are taken as meant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from voxloom.archive import load_rules
from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.networks import NetworkSettings, fill_network, network_settings
from voxloom.recipe.keys import as_bad_input
from voxloom.recipe.recipe import Recipe, section_models, section_of
from voxloom.sweep import Sweep

#: What pydantic says, and nobody who has not written the program understands.
LIBRARY = re.compile(
    r"value error|input should|valid (tuple|integer|string|dictionary)|pydantic|constrained|\[type=|tuple\[|literal\[",
    re.I,
)

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"budget": "20s3m"}, "`budget`: must be a time such as 90s, 10m, 1h30m or 2d (got '20s3m')"),
    ({"budget": "0m"}, "`budget`: must be a time above 0"),
    ({"data.labels.LV": "x"}, "`data.labels.LV`: must be a whole number or a list (got 'x')"),
    ({"data.labels.LV": [1, "x"]}, "`data.labels.LV.1`: must be a whole number (got 'x')"),
    ({"training.batch": 0}, "`training.batch`: must be at least 1 (got 0)"),
    ({"training.patch": [1, 2]}, "`training.patch.2`: is missing"),
    ({"training.monitor": "dice"}, "`training.monitor`: must be train_loss, val_loss, val_dice, or val_dice_LABEL"),
    ({"training.loss.kind": "dicee"}, "`training.loss.kind`: there is no such loss; choose of dice_ce, dice,"),
    ({"training.optimizer": "lion"}, "`training.optimizer`: must be 'adam', 'adamw', 'muon', 'ranger' or 'sgd' (got 'lion')"),
    ({"labels.merge.bone": "x"}, "`labels.merge.bone`: must be a list or 'all' (got 'x')"),
    ({"augment.scale": "a"}, "`augment.scale`: must be a number or a list (got 'a')"),
    ({"augment.scale": [2, 1]}, "`augment.scale`: the smaller size comes first, both from 0.1 to 10 (got [2, 1])"),
    ({"prepare.hu_window": [3, 1]}, "`prepare`: hu_window (3.0, 1.0): the first value must be below the second"),
    ({"folds": {"sort_by": "age"}}, "`folds`: sort_by needs a count of 2 or more"),
    ({"init.weights": "a", "init.run": "b"}, "`init`: give `weights` or `run`, not both"),
    ({"inference.postprocess": ["x"]}, "`inference.postprocess.0.step`: must be 'fill_holes',"),
    ({"training.phases": [{"steps": 1}]}, "`training.phases.0.steps`: is not a known key"),
    ({"network.features": [8, 16]}, "`network.features`: must have at least 3 entries, not 2"),
    ({"dat.labels.x": 1}, "there is no section `dat`. Did you mean `data`?"),
    ({"seed.x": 1}, "`seed` is 0, which has no keys of its own"),
    ({"network.kind": "cnn", "network.encoder": "resnet34"}, "unknown key `network.encoder`"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), WRONG, ids=[str(changes) for changes, _ in WRONG])
def test_a_wrong_value_is_told_in_plain_words(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as told:
        Recipe.load("auto").changed(changes)
    assert says in str(told.value)
    assert not LIBRARY.search(str(told.value))
    assert len(str(told.value)) < 400


WRONG_KINDS: list[Any] = ["no such word", -(10**9), {"x": {"y": 1}}, [["x"]], 1.5]


@pytest.mark.parametrize("section", section_models())
def test_no_key_tells_a_library_s_words(section: str) -> None:
    """Every key of every section gets wrong values of every kind."""
    told = [
        said(f"{section}.{name}", value) for name in section_models()[section].model_fields for value in WRONG_KINDS
    ]
    assert any(told)
    for text in told:
        assert not LIBRARY.search(text), text
        assert "\n" not in text


def said(key: str, value: Any) -> str:
    """What a recipe says of a value; "" where it is right."""
    try:
        Recipe.load("auto").changed({key: value})
    except BadInput as error:
        return str(error)
    return ""


def test_rules_and_sweeps_speak_the_same_words(tmp_path: Path) -> None:
    rules, sweep = tmp_path / "rules.yaml", tmp_path / "sweep.yaml"
    rules.write_text("channels: {MR: {modality: MR}}\nkeep: 5\n")
    sweep.write_text("data: x\nover: {training.batch: {low: 4, high: 2}}\ntrials: many\n")
    for load, words in (
        (lambda: load_rules(str(rules)), "keep: must be"),
        (lambda: Sweep.load(sweep), "`trials`: must be a whole"),
    ):
        with pytest.raises(BadInput) as told:
            load()
        assert words in str(told.value)
        assert not LIBRARY.search(str(told.value))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("3m20s", 200), ("1h30m", 5400), ("1h 30m", 5400), ("2d", 172800), ("1.5h", 5400)],
)
def test_times_as_people_write_them(text: str, seconds: float) -> None:
    assert Recipe.load("auto").changed({"budget": text}).budget_seconds == seconds


def test_keys_below_a_key_that_is_not_set_yet() -> None:
    keys = {"data.labels.LV": 5, "data.labels.RV": [1, 2], "labels.merge.heart": ["LV", "RV"]}
    changed = Recipe.load("auto").changed({**keys, "training.loss": "dice", "training.loss.smooth": 1.0})
    assert changed.data.labels == {"LV": 5, "RV": (1, 2)}
    assert changed.training["loss"] == {"kind": "dice", "smooth": 1.0}
    assert changed.labels.merge == {"heart": ("LV", "RV")}


def test_another_kind_of_network_loses_the_keys_of_the_one_before() -> None:
    base = Recipe.load("cervical-spine-2d")
    assert "encoder" in base.network
    assert base.changed({"network.kind": "cnn", "network.version": "v2"}).network == {"kind": "cnn", "version": "v2"}
    kept = base.changed({"network.kind": "fpn"}).network
    assert kept == {"kind": "fpn", "encoder": base.network["encoder"]}  # an FPN has an encoder too
    small = Recipe.load("cervical-cancer").changed({"network.kind": "msd", "budget": "1m"}).for_budget()
    assert set(small.network) <= {"kind", "dims", "depth", "width", "dilations", "form"}


PLANNED = NetworkSettings(
    dims=3, in_channels=1, out_channels=2, features=(32, 64, 128, 256), strides=((1, 1, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2)),
    kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3), (3, 3, 3)), deep_supervision=3,
)  # fmt: skip


def test_what_has_one_entry_per_level_follows_what_was_set() -> None:
    three = NetworkSettings.model_validate(fill_network(PLANNED, {"features": [8, 16, 32]}))
    assert three.strides == PLANNED.strides[:3]
    assert three.kernels == PLANNED.kernels[:3]
    assert three.deep_supervision == 2
    strides = NetworkSettings.model_validate(fill_network(PLANNED, {"strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]]}))
    assert strides.features == (32, 64, 128)
    with pytest.raises(ValueError, match="5 features, 4 strides and 4 kernels: every level needs one of each"):
        NetworkSettings.model_validate(fill_network(PLANNED, {"features": [8, 16, 32, 64, 64]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"network.features": [4, 8, 8], "network.strides": [[1, 1, 1], [2, 2, 2]]},
        {"network.kind": "monai_unet", "network.strides": [2, 2, 2]},
    ],
)
def test_what_does_not_fit_together_is_said_of_the_section(changes: dict[str, Any]) -> None:
    """And not of pydantic's name for one of several kinds."""
    kind = {"kind": changes.get("network.kind", "unet")}
    given = {key.removeprefix("network."): value for key, value in changes.items()}
    with pytest.raises(ValidationError) as caught:
        network_settings(fill_network(PLANNED, {**kind, **given}))
    assert str(as_bad_input(caught.value, section_of(caught.value), "here")).startswith("here: `network`: ")


def test_too_many_levels_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.study.conftest import write_balls

    data = write_balls(tmp_path / "balls", 4)
    levels = "network.features=[4, 4, 4, 4, 4, 4, 4, 4]"
    words = ["train", str(data), "-o", str(tmp_path / "run"), "--set", levels, "--set", "device=cpu"]
    assert voxloom(words) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "`network`: 8 features" in said
    assert len(said) < 400
    assert not LIBRARY.search(said)
