"""The questions of Metrics Reloaded, answered from masks whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from voxloom.cli.app import run
from voxloom.evaluation.suggest import label_answers, mask_shape, suggest
from voxloom.formats import write_volume
from voxloom.volume import Volume


def organ() -> np.ndarray:
    grid = np.indices((40, 40, 40)) - 19.5
    return np.sqrt((grid**2).sum(axis=0)) < 14


def vessel() -> np.ndarray:
    mask = np.zeros((60, 40, 40), bool)
    mask[2:58, 19:22, 19:22] = True
    return mask


def specks(count: int) -> np.ndarray:
    mask = np.zeros((40, 40, 40), bool)
    for n in range(count):
        mask[3 + 8 * n : 6 + 8 * n, 10:13, 10:13] = True
    return mask


def fits(mask: np.ndarray, *others: np.ndarray) -> dict[str, bool]:
    shapes = [mask_shape(one, (1, 1, 1)) for one in (mask, *others)]
    return {s.metric: s.fits for s in suggest(label_answers(shapes))}


def test_an_organ_a_vessel_and_lesions_get_their_own_metrics() -> None:
    assert fits(organ()) == {"dice": True, "masd": True}
    assert fits(vessel()) == {"dice": True, "nsd": True, "cldice": True, "specificity": False}
    assert fits(specks(4)) == {"dice": True, "nsd": True, "lesion_f1": True, "hd95": False, "specificity": False}
    assert fits(specks(4), specks(0))["lesion_precision"]
    assert fits(organ(), specks(1), specks(1))["relative_volume_error"]


def test_pieces_and_width_are_measured() -> None:
    shape = mask_shape(specks(4), (1, 1, 1))
    assert (shape.voxels, shape.pieces) == (4 * 27, 4)
    assert mask_shape(organ(), (1, 1, 1)).width > 15
    assert mask_shape(specks(0), (1, 1, 1)).voxels == 0


def test_the_command_says_why(tmp_path: Path, capsys) -> None:
    for n in range(2):
        for folder, data in (("imagesTr", organ().astype(np.float32) + n), ("labelsTr", organ().astype(np.uint8))):
            name = f"c{n}_0000.nii.gz" if folder == "imagesTr" else f"c{n}.nii.gz"
            write_volume(Volume(data[None], np.eye(4)), tmp_path / folder / name)
    about = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "organ": 1},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    assert run(["suggest-metrics", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["metrics"] == ["masd"]
    assert "hides" in told["labels"]["organ"]["suggestions"][1]["why"]
