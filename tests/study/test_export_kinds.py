"""Every kind of run can be exported, and MONAI's own loader gets the label map of ``voxloom predict`` from its bundle.

Prediction and bundle read the same ``model.json`` and weights, so runs of many kinds are made by changing those of one run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.study.conftest import Trained
from tests.study.test_shipped import CASES, SMALL, as_yaml
from voxloom.cli.app import run as voxloom
from voxloom.dataset import Labels
from voxloom.evaluation import dice_score
from voxloom.export.export import own_preparation
from voxloom.files import read_json, write_json
from voxloom.formats import read_label, read_volume, write_volume
from voxloom.networks import build_network, network_settings
from voxloom.phantom import write_phantoms
from voxloom.recipe.recipe import Recipe
from voxloom.recipe.shipped import recipe_names
from voxloom.training.weights import save_weights
from voxloom.verbs.run import Run
from voxloom.volume import Volume

FLAT = {"patch": [16, 16, 1]}
NETWORK_2D = {"dims": 2, "in_channels": 1, "out_channels": 3}
LEVELS_2D = {"features": [4, 8, 8], "strides": [[1, 1], [2, 2], [2, 2]], "kernels": [[3, 3], [3, 3], [3, 3]]}
LEVELS_3D = {"features": [4, 8, 8], "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "kernels": [[3, 3, 3]] * 3}
MENDED = {"step": "fill_holes", "label": "bright", "amount": 1.0, "used": True}
#: Kind -> what differs in ``model.json`` (sections are laid over; a whole ``network`` gets new weights), and in ``summary.json``.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "resize_to": ({"prepare": {"resize_to": [24, 24, 16]}}, {}),
    "pad_to": ({"prepare": {"pad_to": [40, 32, 24]}}, {}),
    "percentile_clip": ({"prepare": {"percentile_clip": "organ"}}, {}),
    "n4": ({"prepare": {"n4": True, "n4_iterations": [2]}}, {}),
    "crop": ({"prepare": {"crop": "body"}}, {}),
    "cubic": ({"prepare": {"image_order": "cubic"}}, {}),
    "orientation": ({"prepare": {"orientation": "ASR"}}, {}),
    "slices last": ({"prepare": {"orientation": "slices"}}, {}),
    "postprocess": ({}, {"postprocess": [MENDED], "largest_component": []}),
    "largest_activation": ({}, {"postprocess": [{**MENDED, "step": "largest_activation", "label": "dark"}]}),
    "mirror": ({"inference": {"mirror": [0, 1]}}, {}),
    "missing channels": ({"channel_dropout": 0.2}, {}),
    "merged labels": ({"labels": {"background": 0, "all": [3, 207]}, "network": {"kind": "unet", **LEVELS_3D, "dims": 3,
                       "in_channels": 1, "out_channels": 1}}, {"largest_component": []}),
    "overlapping regions": ({"labels": {"background": 0, "whole": [3, 207], "core": [207]}, "network": {"kind": "unet",
                             **LEVELS_3D, "dims": 3, "in_channels": 1, "out_channels": 2}}, {"largest_component": []}),
    "msd": ({"network": {"kind": "msd", "dims": 3, "in_channels": 1, "out_channels": 3, "depth": 3}}, {}),
    "uneven cells": ({"network": {"kind": "unet", **LEVELS_3D, "strides": [[2, 2, 1], [2, 2, 2], [1, 1, 2]], "dims": 3,
                      "in_channels": 1, "out_channels": 3}}, {}),
    "slices": ({**FLAT, "network": {"kind": "unet", **NETWORK_2D, **LEVELS_2D}}, {}),
    "sagittal slices": ({**FLAT, "slices": {"plane": "sagittal"}, "prepare": {"orientation": "ASR"},
                         "network": {"kind": "cnn", **NETWORK_2D, "version": "v3_small32"}}, {}),
    "2.5D": ({**FLAT, "slices": {"neighbors": 1}, "network": {"kind": "unet", **NETWORK_2D, **LEVELS_2D, "in_channels": 3}}, {}),
    "dynamic U-Net": ({"patch": [32, 32, 1], "network": {"kind": "dynamic_unet", **NETWORK_2D, "encoder": "resnet34"}}, {}),
}  # fmt: skip
#: Kinds that MONAI has words for.
PLAIN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as trained": ({}, {}),
    "minmax": ({"prepare": {"normalize": ["minmax"]}}, {}),
    "window": ({"prepare": {"hu_window": [60, 150], "normalize": ["minmax"]}}, {}),
    "nonzero": ({"prepare": {"normalize": ["zscore_nonzero"]}}, {}),
    "own grid": ({"prepare": {"spacing": None, "orientation": None}}, {}),
    "dropout between": (
        {
            "network": {
                "kind": "unet",
                **LEVELS_3D,
                "dims": 3,
                "in_channels": 1,
                "out_channels": 3,
                "dropout": 0.2,
                "dropout_in": "contracting",
            }
        },
        {},
    ),
    "unsorted labels": ({"labels": {"background": 0, "dark": 207, "bright": 3}}, {"largest_component": ["dark"]}),
}


def made(trained: Trained, place: Path, about: Mapping[str, Any], summary: Mapping[str, Any]) -> Run:
    """A run of another kind; a whole ``network`` has random weights, the same in both folds."""
    shutil.copytree(trained.run.folder, place)
    for fold in place.glob("fold_*"):
        described = read_json(fold / "model.json")
        for key, value in about.items():
            laid = isinstance(value, dict) and key not in ("network", "labels")
            described[key] = {**described[key], **value} if laid else value
        if "network" in about:
            seed = 4 if about["network"]["kind"] == "dynamic_unet" else 3  # one that says more than one label
            network = build_network(network_settings(about["network"]), seed=seed)
            described["precision"] = (
                "fp32"  # random answers lie so close that bfloat16 changes them; a bundle computes in float32
            )
            save_weights(fold, network.state_dict(), described)
        write_json(fold / "model.json", described)
    write_json(place / "summary.json", {**read_json(place / "summary.json"), **summary})
    return Run(place)


def monai_predicts(bundle: Path, scan: Path) -> Volume:
    """The label map that MONAI's loader gets from the bundle."""
    from monai.bundle import ConfigParser

    write_volume(read_volume(scan), bundle / "images" / "ball13.nii.gz")
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    parser["bundle_root"], parser["device"] = str(bundle), "$torch.device('cpu')"
    parser.parse()
    parser.get_parsed_content("run")
    return read_label(bundle / "eval" / "ball13_seg.nii.gz")


@pytest.mark.parametrize("kind", [*KINDS, *PLAIN])
def test_monai_gets_the_label_map_of_voxloom(kind: str, trained: Trained, tmp_path: Path) -> None:
    run = made(trained, tmp_path / "run", *{**KINDS, **PLAIN}[kind])
    bundle = run.export(tmp_path / "bundle")
    scan = trained.unseen / "imagesTr" / "ball13_0000.nii.gz"
    theirs, ours = monai_predicts(bundle, scan), run.predict(scan)
    assert theirs.same_grid(ours)
    assert len(np.unique(ours.data)) > 1, "an empty label map would prove nothing"
    assert (own_preparation(bundle) is None) == (kind in PLAIN)
    least = 0.999 if kind in PLAIN else 1.0
    assert np.mean(theirs.data == ours.data) >= least
    readme, about = (bundle / "docs" / "README.md").read_text(), read_json(bundle / "configs" / "metadata.json")
    assert ("voxloom" in about["required_packages_version"]) == (kind in KINDS)
    assert ("Voxloom is not needed" in readme) == (kind in PLAIN)


@pytest.mark.parametrize("kind", ["as trained", "resize_to"])
def test_a_scan_stored_in_another_order_of_axes(kind: str, trained: Trained, tmp_path: Path) -> None:
    run = made(trained, tmp_path / "run", *{**KINDS, **PLAIN}[kind])
    straight = read_volume(trained.unseen / "imagesTr" / "ball13_0000.nii.gz")
    turned = Volume(np.ascontiguousarray(straight.data.transpose(0, 2, 3, 1)), straight.affine[:, [1, 2, 0, 3]])
    write_volume(turned, tmp_path / "turned.nii.gz")
    theirs, ours = monai_predicts(run.export(tmp_path / "bundle"), tmp_path / "turned.nii.gz"), run.predict(turned)
    assert theirs.same_grid(turned)
    assert np.mean(theirs.data == ours.data) >= 0.999


def test_every_shipped_recipe_of_label_maps_is_exported_below() -> None:
    from tests.study.test_shipped import VARIANTS

    tested = {*CASES, *VARIANTS, "auto", "cervical-cancer", "spine-small-data"}
    recipes = {name: Recipe.load(name) for name in recipe_names()}
    assert {name for name, recipe in recipes.items() if not recipe.landmarks and recipe.task is None} <= tested


OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "cervical-cancer": ("pelvis-mr", {
        "network.features": [4, 8, 8], "network.strides": [2, 2], "prepare.crop_or_pad_to": [32, 32, 16],
        "prepare.spacing": [4, 4, 4], "training.patch": [32, 32, 16], "training.batch": 1, "training.epochs": None,
        "folds.stratify": None,
    }),
    "spine-small-data": ("lumbar-mr", {
        "network.features": [4, 8, 8], "network.strides": [2, 2], "prepare.spacing": [4, 4, 4],
        "prepare.crop_or_pad_to": [32, 32, 8], "training.patch": [32, 32, 8], "training.batch": 1, "training.epochs": None,
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", [*CASES, *OTHERS])
def test_the_run_of_a_shipped_recipe_is_exported(name: str, tmp_path: Path) -> None:
    kind, changes = {**CASES, **OTHERS}[name]
    changes = {**SMALL, **changes, "training.steps": 2, "folds.count": 1, "folds.sort_by": None}
    data = write_phantoms(kind, 4, tmp_path / "data", seed=3)
    assignments = [part for key, value in changes.items() for part in ("--set", f"{key}={as_yaml(value)}")]
    assert voxloom(["train", str(data), "-r", name, "-o", str(tmp_path / "run"), *assignments]) == 0
    run, bundle = Run(tmp_path / "run"), tmp_path / "bundle"
    run.export(bundle)
    (bundle / "images").mkdir()
    case = next(path.name.removesuffix(".nii.gz") for path in sorted((data / "labelsTr").iterdir()))
    scans = sorted((data / "imagesTr").glob(f"{case}_*.nii.gz"))
    for scan in scans:
        shutil.copy(scan, bundle / "images")
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    parser["bundle_root"], parser["device"] = str(bundle), "$torch.device('cpu')"
    parser.parse()
    parser.get_parsed_content("run")
    (written,) = (bundle / "eval").glob("*.nii.gz")
    assert own_preparation(bundle), "no shipped recipe is MONAI's alone; the README says so"
    ours = run.predict(scans[0]) if len(scans) == 1 else None
    if ours is None:
        assert voxloom(["predict", str(run.folder), *map(str, scans), "-o", str(tmp_path / "out")]) == 0
        ours = read_label(next((tmp_path / "out").glob("*.nii.gz")))
    assert np.array_equal(read_label(written).data, ours.data)


def monai_line(bundle: Path, configs: str) -> subprocess.CompletedProcess[str]:
    """The command of the bundle's README, run in the bundle."""
    words = ["-m", "monai.bundle", "run", "--bundle_root", ".", "--config_file", configs]
    return subprocess.run(
        [sys.executable, *words],
        cwd=bundle,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )


@pytest.mark.parametrize("kind", ["as trained", "resize_to", "overlapping regions"])
def test_the_documented_commands_work_and_give_the_dice(kind: str, trained: Trained, tmp_path: Path) -> None:
    run = made(trained, tmp_path / "run", *{**KINDS, **PLAIN}[kind])
    bundle = run.export(tmp_path / "a bundle")
    readme = (bundle / "docs" / "README.md").read_text()
    assert "pip install monai nibabel pytorch-ignite fire" in readme
    lines = [line.strip() for line in readme.splitlines() if line.startswith("    python -m monai.bundle")]
    configs = [line.split("--config_file ")[1].strip('"') for line in lines]
    scores = []
    for n in (12, 13):
        (bundle / "images").mkdir(exist_ok=True)
        (bundle / "labels").mkdir(exist_ok=True)
        shutil.copy(trained.unseen / "imagesTr" / f"ball{n}_0000.nii.gz", bundle / "images" / f"ball{n}.nii.gz")
        shutil.copy(trained.unseen / "labelsTr" / f"ball{n}.nii.gz", bundle / "labels" / f"ball{n}.nii.gz")
        found = run.predict(bundle / "images" / f"ball{n}.nii.gz").data[0]
        truth = read_label(bundle / "labels" / f"ball{n}.nii.gz").data[0]
        labels = Labels.from_nnunet(read_json(run.folds[0].folder / "model.json")["labels"])
        pairs = zip(labels.masks(found), labels.masks(truth), strict=True)
        scores.append(np.mean([dice_score(one, true) for (_, one), (_, true) in pairs]))
    for config in configs:
        result = monai_line(bundle, config)
        assert result.returncode == 0, result.stderr[-9000:]
        assert len(list((bundle / "eval").glob("*_seg.nii.gz"))) == 2
    told = next(line for line in result.stdout.splitlines() if line.startswith("mean Dice"))
    assert float(told.split()[-1]) == pytest.approx(np.mean(scores), abs=2e-3)


def test_a_bundle_names_no_case_and_no_place(trained: Trained, tmp_path: Path) -> None:
    run = made(trained, tmp_path / "run", *KINDS["resize_to"])
    bundle = run.export(tmp_path / "bundle")
    for path in (p for p in bundle.rglob("*") if p.is_file() and p.suffix not in (".safetensors", ".pt")):
        text = path.read_text()
        assert "ball0" not in text, path
        assert str(trained.data) not in text, path
    assert json.loads((bundle / "models" / "run" / "data.json").read_text())["shared"] is True
