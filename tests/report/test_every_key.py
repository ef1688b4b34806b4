"""Every key of the recipe is in the text of the run, for every task that uses it; or it needs no sentence, for a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from voxloom.losses import LossKind, LossSettings
from voxloom.networks import network_kinds
from voxloom.networks.case_settings import CASE_FAMILIES
from voxloom.recipe.recipe import Recipe, section_models
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.label_maps import LABEL_MAPS
from voxloom.report.cards.marks import MARKS
from voxloom.report.cards.methods import methods_text
from voxloom.report.cards.subject import Subject
from voxloom.report.cards.whole_cases import Classes, Numbers
from voxloom.tasks.plan_page import given_keys, plan_rows
from voxloom.tasks.task import task_named
from voxloom.training.phases import Phase
from voxloom.training.settings import PostprocessStep

SUBJECTS: dict[str, Subject] = {
    "segmentation": LABEL_MAPS,
    "landmarks": MARKS,
    "classification": Classes("classification"),
    "regression": Numbers("regression"),
}
OWN = ("landmarks", "classification", "regression")
UNET = {
    "kind": "unet", "dims": 3, "in_channels": 1, "out_channels": 3, "features": [8, 16, 32],
    "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "kernels": [[3, 3, 3]] * 3,
}  # fmt: skip
ENCODER = {
    "kind": "encoder", "dims": 3, "features": [8, 16, 32], "strides": [[2, 2, 2]] * 3, "kernels": [[3, 3, 3]] * 3, "residual": True,
    "pooling": "mean", "norm": "batch", "in_channels": 1, "out_channels": 2,
}  # fmt: skip
BASE: dict[str, Any] = {
    "name": "auto", "seed": 3,
    "training": {
        "patch": [32, 40, 48], "batch": 2, "steps": 500, "optimizer": "adam", "learning_rate": 0.002, "weight_decay": 0.0001,
        "momentum": 0.9, "schedule": "one_cycle", "ema": 0.99, "gradient_clip": 12, "precision": "fp32", "validations": 4,
        "monitor": "val_dice", "loss": {"kind": "dice_ce"}, "foreground": 0.0, "keep": "best",
    },
    "prepare": {"orientation": "RAS", "spacing": [1, 1, 2], "normalize": "zscore", "image_order": "linear"},
    "inference": {"overlap": 0.5, "largest_component": []},
}  # fmt: skip

Said = tuple[Any, str] | tuple[Any, str, dict[str, Any]]
#: Key -> a value, words that the text has with it and not without it, and what else is set in both.
SAID: dict[str, Said] = {
    "name": ("my-recipe", "The recipe was my-recipe"),
    "description": ("Bones of the knee.", "my-recipe: Bones of the knee", {"name": "my-recipe"}),
    "reference": ("Doe 2031", "It follows Doe 2031", {"name": "my-recipe"}),
    "seed": (41, "seed was 41"),
    "budget": ("17m", "time budget of 17m"),
    "data.labels": ({"heart": 7}, "heart = 7"),
    "data.ignore": (255, "Voxels of value 255 were not annotated"),
    "data.exclude": (["bad7"], "excluded beforehand (bad7)"),
    "data.add": (["/x/more"], "Further data sets were trained on: more"),
    "data.external": (["/x/far"], "external data set far"),
    "data.series": (["T2 axial"], "those called T2 axial were read"),
    "data.patients": ("separate", "equal names in two of them were taken as different people"),
    "labels.merge": ({"both": ["liver", "spleen"]}, "both of liver and spleen"),
    "folds.stratify": ("age", "kept age alike on both sides"),
    "folds.sort_by": ("slices", "sorted by slices and cut into 3 blocks", {"folds.count": 3}),
    "folds.group_by": ("site", "one value of site were never divided", {"folds.count": 3}),
    "folds.leave_out": ("site", "held out all cases of one value of site"),
    "folds.over": ("added", "Only cases of the added data sets were divided"),
    "folds.file": ("/x/splits.json", "given by the file splits.json"),
    "folds.test": (0.15, "15 % of the patients were set apart as a test set"),
    "folds.test_stratify": (["source", "age"], "alike in source and age", {"folds.test": 0.15}),
    "folds.train_patients": (6, "Only 6 patients"),
    "init.weights": ("imagenet", "pretrained (imagenet; the encoder's weights)"),
    "init.run": ("/x/other-run", "from fold 0 of the run other-run"),
    "init.fold": (2, "from fold 2 of the run r", {"init.run": "/x/r"}),
    "init.part": ("all", "(all weights)", {"init.run": "/x/r"}),
    "slices.plane": ("sagittal", "so that sagittal slices follow one another"),
    "slices.neighbors": (2, "2 neighbors on either side"),
    "slices.edges": ("replicate", "the last slice again", {"slices.neighbors": 1}),
    "slices.per_volume": ("all", "took all slices of every volume once"),
    "slices.spread": (16, "saw 16 slices of the whole volume at once"),
    "slices.background": (False, "Slices without any label were not trained on"),
    "prepare.orientation": ("LPS", "reoriented to LPS"),
    "prepare.spacing": ([0.7, 0.8, 2.5], "0.7 × 0.8 × 2.5 mm"),
    "prepare.image_order": ("cubic", "cubic B-splines"),
    "prepare.crop": ("body", "cropped to the body region"),
    "prepare.joint_labels": ([4, 5], "where the bones 4 and 5 meet", {"prepare.crop": "joint"}),
    "prepare.joint_mm": (97.0, "a square of 97 mm", {"prepare.crop": "joint"}),
    "prepare.resize_to": ([128, 96, None], "resized to 128 × 96 × as scanned voxels"),
    "prepare.pad_to": ([64, 64, 32], "padded to at least 64 × 64 × 32 voxels"),
    "prepare.crop_or_pad_to": ([64, 64, 32], "cropped about the middle or padded to 64 × 64 × 32 voxels"),
    "prepare.n4": (True, "removed by N4"),
    "prepare.n4_shrink": (7, "7 times coarser", {"prepare.n4": True}),
    "prepare.n4_iterations": ([31, 21], "at most 31 and 21 iterations", {"prepare.n4": True}),
    "prepare.normalize": ("minmax", "scaled to 0 to 1"),
    "prepare.percentile_clip": ("organ", "percentiles 60 and 99"),
    "prepare.hu_window": ([-200, 300], "-200 to 300 HU"),
    "training.patch": ([24, 28, 20], "24 × 28 × 20 voxels"),
    "training.batch": (29, "saw 29 "),
    "training.steps": (777, "777 steps"),
    "training.epochs": (12.5, "12.5 passes over the training cases"),
    "training.optimizer": ("muon", "using Muon"),
    "training.learning_rate": (0.0137, "peak learning rate 0.0137"),
    "training.weight_decay": (0.0042, "weight decay 0.0042"),
    "training.momentum": (0.87, "momentum 0.87", {"training.optimizer": "sgd"}),
    "training.schedule": ("constant", "a constant schedule"),
    "training.decay": (0.013, "divided by 1 + 0.013 times the step"),
    "training.discriminative": (0.2, "falling to 0.2 times it at the first layers"),
    "training.phases": ([{"share": 1}, {"share": 3}], "It had 2 phases"),
    "training.loss": ("jaccard", "trained with Jaccard loss"),
    "training.batch_dice": (False, "the overlap taken patch by patch"),
    "training.foreground": (0.37, "37 % of the"),
    "training.callbacks": (
        [{"kind": "tests.own.parts:Counter", "options": {"path": "a.txt"}}],
        "told of every step: tests.own.parts:Counter",
    ),
    "training.gradient_clip": (0, "Gradients were not limited"),
    "training.ema": (0, "No moving average"),
    "training.precision": ("bf16", "computed in bfloat16"),
    "training.tf32": (False, "not rounded to TF32"),
    "training.deterministic": (True, "kernels that repeat themselves"),
    "training.compile": ("graphs", "started as CUDA graphs"),
    "training.validations": (9, "predicted 9 times"),
    "training.monitor": ("train_loss", "the weights with the lowest training loss were kept"),
    "training.least_gain": (0.004, "better by at least 0.004"),
    "training.patience": (7, "stop after 7 validations without a better"),
    "training.patience_epochs": (8.5, "stop after 8.5 passes over the training cases without a better"),
    "training.keep": ("last", "the weights of the last time were kept, whatever they scored"),
    "augment.batch_chance": (0.35, "in 35 % of the batches"),
    "augment.mirror": ([0, 2], "mirroring along axes i and k"),
    "augment.scale_axes": ("apart", "each axis for itself"),
    "augment.own": (
        [{"kind": "tests.own.parts:Darker", "options": {"most": 0.3}, "chance": 0.7}],
        "tests.own.parts:Darker (most 0.3) with probability 0.7",
    ),
    "augment.channel_dropout": (0.21, "dropping each channel with probability 0.21"),
    "augment.brightness": (0.31, "brightness (up to 0.31)"),
    "augment.contrast": (0.29, "contrast (up to 29 %)"),
    "augment.intensity_chance": (0.81, "contrast (up to 20 %) with probability 0.81"),
    "augment.invert_chance": (0.24, "inverted brightness with probability 0.24"),
    "augment.elastic": (4.5, "SD 4.5 mm"),
    "augment.elastic_spacing": (23.0, "control points 23 mm apart"),
    "augment.elastic_points": (5, "5 control points per axis"),
    "augment.elastic_draw": ("uniform", "elastic deformation (up to 2 mm"),
    "augment.elastic_chance": (0.62, "apart) with probability 0.62"),
    "augment.motion_degrees": (7.0, "motion (up to 7 degrees", {"augment.motion_chance": 0.2}),
    "augment.motion_mm": (8.0, "and 8 mm)", {"augment.motion_chance": 0.2}),
    "augment.motion_chance": (0.25, "mm) with probability 0.25"),
    "inference.overlap": (0.27, "overlap by 27 %"),
    "inference.mirror": ([0, 2], "mirror images along i and k"),
    "inference.largest_component": (["liver"], "Of liver only the largest connected component"),
    "inference.postprocess": (["fill_holes"], "fill holes"),
    "evaluate.metrics": (["nsd"], "nsd: normalized surface Dice"),
    "evaluate.hd95": ("pooled", "both directions pooled"),
    "evaluate.empty": ("left_out", "left out and counted as undefined"),
    "evaluate.tolerance_mm": (2.5, "tolerance 2.5 mm", {"evaluate.metrics": ["nsd"]}),
    "evaluate.beta": (3.0, "beta 3", {"evaluate.metrics": ["f_beta"]}),
    "evaluate.match": ("center", "predicted center", {"evaluate.metrics": ["lesion_f1"]}),
    "evaluate.confidence": ("max", "confidence: max probability", {"evaluate.metrics": ["froc"]}),
    "evaluate.calibration_margin_mm": (20.0, "the box around the truth and 20 mm", {"evaluate.metrics": ["voxel_ece"]}),
    "evaluate.match_iou": (0.3, "IoU of at least 0.3", {"evaluate.metrics": ["lesion_f1"]}),
    "inference.instances": (["liver"], "Single structures of liver"),
    "training.phases.share": ([{"share": 1}, {"share": 4}], "20 % of the steps, then 80 %"),
    "training.phases.frozen": ([{"frozen": True}, {}], "50 % of the steps with a frozen encoder"),
    "training.phases.scale": ([{"scale": 0.5}], "at 50 % of the resolution"),
    "training.phases.rate": ([{"rate": 0.3}], "at 0.3 times the rate"),
    "training.phases.discriminative": ([{"discriminative": 0.05}], "fall to 0.05 times it at the first layers"),
    "training.loss.kind": ({"kind": "ce"}, "trained with cross-entropy"),
    "training.loss.options": ({"kind": "tests.own.parts:Overlap", "options": {"power": 2}}, "Overlap (power 2)"),
    "training.loss.weights": ({"kind": "ce", "weights": [1, 2, 5]}, "outputs weighted 1, 2 and 5"),
    "training.loss.smooth": ({"kind": "dice", "smooth": 0.013}, "smooth 0.013"),
    "training.loss.alpha": ({"kind": "focal_tversky", "alpha": 0.77}, "alpha 0.77"),
    "training.loss.beta": ({"kind": "focal_tversky", "beta": 0.23}, "beta 0.23"),
    "training.loss.exponent": ({"kind": "focal_tversky", "exponent": 0.66}, "exponent 0.66"),
    "training.loss.gamma": ({"kind": "focal", "gamma": 3.5}, "gamma 3.5"),
    "training.loss.share": ({"kind": "tanimoto_ce", "share": 0.61}, "share 0.61"),
    "training.loss.mix": ({"kind": "tanimoto_ce", "mix": "powers"}, "a sum of powers"),
    "inference.postprocess.step": ([{"step": "smooth"}], "smooth"),
    "inference.postprocess.amount": ([{"step": "remove_small", "amount": 2.5}], "remove small 2.5"),
    "inference.postprocess.labels": ([{"step": "smooth", "labels": ["spleen"]}], "smooth of spleen"),
    "inference.postprocess.when": ([{"step": "smooth", "when": "always"}], "smooth, whatever it gains"),
    "landmarks.network": ("singlenet", "The model was SingleNet"),
    "landmarks.maps": ("landmark", "a map per level and side"),
    "landmarks.names": (["L7", "L8"], "from head to feet: L7 and L8"),
    "landmarks.target": ("ball", "a ball of radius 7 mm"),
    "landmarks.radius": (4.5, "of radius 4.5 mm"),
    "landmarks.loss": ("sigmoid_ce", "class-balanced cross-entropy of sigmoids"),
    "landmarks.output": ("softmax", "maps compete in a softmax"),
    "landmarks.weighting": ("whole", "one Dice over all maps at once"),
    "landmarks.channels": (23, "23 channels at its finest level"),
    "landmarks.max_channels": (77, "at most 77 channels"),
    "landmarks.levels": (6, "6 levels"),
    "landmarks.supervision": (True, "supervised at every level"),
    "landmarks.activation": ("elu_learned", "activation elu_learned"),
    "landmarks.he": (True, "weights drawn as by He et al."),
    "landmarks.batch_norm": (True, "with batch normalization"),
    "landmarks.dropout": (0.17, "dropout 0.17"),
    "landmarks.threshold": (0.31, "above 0.31"),
    "landmarks.position": ("peak", "the sub-voxel peak"),
    "landmarks.order": ("joint", "chosen at once that keep the order"),
    "landmarks.abstain": (0.63, "less calibrated confidence than 0.63"),
    "landmarks.within": (3.5, "within 3.5 mm"),
    "landmarks.oversample": ({"rare": 4}, "4 times where rare is given"),
    "classification.target": (["grade"], "from the column grade"),
    "classification.classes": ({"low": "<3", "high": ">3"}, "low: <3 and high: >3"),
    "classification.multi_label": (True, "Every column was a finding of its own"),
    "classification.ordinal": (True, "the steps between ordered classes"),
    "classification.raters": ("majority", "the class that most raters gave", {"classification.target": ["a", "b"]}),
    "classification.loss": ("focal", "trained with focal loss (gamma 2)"),
    "classification.gamma": (3.5, "gamma 3.5", {"classification.loss": "focal"}),
    "classification.label_smoothing": (0.07, "smoothed by 0.07"),
    "classification.class_weights": ("balanced", "weighted by the inverse of their counts"),
    "classification.balance": (0.61, "61 % of the way to equally many draws"),
    "classification.crop": (
        {"margin_mm": 7.0, "masks": ["m1", "m2"], "keep_outside": False},
        "a box around the union of the masks m1 and m2, grown by 7 mm, was looked at; voxels outside it took the smallest",
    ),
    "classification.thresholds": ([0.15, 0.6], "from a probability on, that was 0.15 and 0.6"),
    "regression.crop": (
        {"around": "point", "size_mm": [20, 30, 40], "landmark": "apex"},
        "a box of 20 × 30 × 40 mm around the point apex, was looked at",
    ),
    "regression.bands": ([0, 20, 40], "bands of the true value with the ends 0, 20 and 40"),
    "regression.loss": ("l1", "trained with absolute error"),
    "regression.delta": (0.37, "delta 0.37 SD"),
    "regression.least": (2.5, "at least 2.5"),
    "regression.most": (97.0, "at most 97"),
    "regression.target": (["age"], "a value of age"),
}
for _task in ("classification", "regression"):
    SAID |= {
        f"{_task}.covariates": (["weight"], "the network saw weight"),
        f"{_task}.oversample": ({"rare": 4}, "4 times where rare is given"),
        f"{_task}.mixup": (0.4, "mixup, Beta parameter 0.4"),
        f"{_task}.promise": (0.83, "with a chance of 83 %"),
    }
for _key, (_value, _words) in {
    "rotation": ([11.0, 12.0, 13.0], "11 × 12 × 13 degrees"), "scale": (0.13, "scaling by up to 13 %"),
    "shift": ([4.0, 5.0, 6.0], "4 × 5 × 6 mm"), "noise": (0.07, "SD up to 0.07"), "blur": ([0.6, 1.3], "SD 0.6 to 1.3 voxels"),
    "gamma": (0.37, "logarithm up to 0.37"), "low_resolution": (0.44, "lowered to 44 %"),
    "bias_field": (0.41, "bias field (up to 41 %)"),
    "remap": (0.45, "curve of brightness (up to 45 %"), "box_blur": (5, "mean over 5 voxels"), "motion_blur": (6.0, "up to 6 voxels"),
    "slice_skip": (0.23, "skipping 23 %"), "slice_interpolation": (0.26, "interpolating 26 %"),
    "ghosting": ([0.2, 0.7], "strength 0.2 to 0.7"),
    "spike": ([1.5, 2.5], "strength 1.5 to 2.5"), "anisotropy": ([2.0, 6.0], "2 to 6 times as coarse"),
}.items():  # fmt: skip
    SAID[f"augment.{_key}"] = (_value, _words, {f"augment.{_key}_chance": 0.9})
    SAID[f"augment.{_key}_chance"] = (0.77, "with probability 0.77")

#: Key of ``network:`` by family -> as in SAID.
FAMILIES: dict[str, dict[str, tuple[Any, str]]] = {
    "unet": {
        "kind": ("resunet", "a 3D residual U-Net"),
        "dims": (2, "a 2D U-Net"),
        "features": ([9, 18, 36, 72], "4 levels of 9, 18, 36 and 72 channels"),
        "strides": ([[2, 2, 1], [2, 2, 2], [2, 2, 2]], "computing on cells of 2 × 2 × 1 voxels"),
        "kernels": ([[3, 3, 1], [3, 3, 3], [3, 3, 3]], "kernels 3 × 3 × 1, 3 × 3 × 3"),
        "deep_supervision": (2, "2 finest resolutions were supervised"),
        "dropout": (0.15, "dropout 0.15"),
        "dropout_in": ("bottleneck", "convolutions of the bottleneck"),
        "norm": ("batch", "batch normalization"),
    },
    "encoder_unet": {"kind": ("fpn", "feature pyramid network"), "encoder": ("inceptionv4", "Inception-v4")},
    "dynamic_unet": {
        "kind": ("dynamic_unet", "whose decoder follows from the encoder"),
        "encoder": ("resnet50", "ResNet-50"),
        "blur": (False, "not smoothed"),
        "dropout": (0.35, "dropout 0.35 between encoder and decoder"),
    },
    "msd": {
        "kind": ("msd", "mixed-scale dense network"),
        "depth": (37, "37 layers"),
        "width": (3, "3 channels each"),
        "dilations": (7, "dilations 1 to 7"),
        "form": ("original", "reflection padding"),
    },
    "monai_unet": {
        "kind": ("monai_unet", "residual U-Net of MONAI"),
        "features": ([9, 18, 36, 72, 144], "5 levels of 9, 18, 36, 72 and 144 channels"),
        "strides": ([[2, 2, 1], 2, 2, 2], "strides 2 × 2 × 1, 2, 2 and 2"),
        "residual_units": (3, "3 convolutions in every residual unit"),
        "norm": ("batch", "batch normalization"),
        "dropout": (0.25, "dropout 0.25"),
    },
    "cnn": {"kind": ("cnn", "of the cervical spine study"), "version": ("v3_small32", "v3_small32")},
    "encoder": {
        "kind": ("encoder", "the contracting path of a 3D U-Net"),
        "features": ([9, 18, 36], "9, 18 and 36 channels"),
        "strides": ([[1, 1, 1], [2, 2, 2], [2, 2, 2]], "strides 1 × 1 × 1, 2 × 2 × 2"),
        "kernels": ([[1, 3, 3], [3, 3, 3], [3, 3, 3]], "kernels 1 × 3 × 3"),
        "residual": (False, "no residual connections"),
        "norm": ("instance", "instance normalization"),
        "pooling": ("both", "the mean and the maximum side by side"),
    },
    "resnet": {
        "kind": ("resnet", "ResNet-18"),
        "depth": (34, "ResNet-34"),
        "width": (24, "width 24"),
        "pre_activation": (True, "before the convolutions"),
        "stem_stride": (1, "a first convolution of stride 1"),
        "stem_pool": (False, "no pooling"),
    },
    "densenet": {
        "kind": ("densenet", "DenseNet-121"),
        "depth": (169, "DenseNet-169"),
        "growth": (12, "growth 12"),
        "width": (40, "width 40"),
    },
    "efficientnet": {"kind": ("efficientnet", "EfficientNet-b0"), "version": ("b3", "EfficientNet-b3")},
    "timm": {"kind": ("timm", "of the timm library"), "name": ("resnet26d", "resnet26d")},
}
#: Of every family.
SHARED = {
    "dims": (2, "2D"),
    "in_channels": (7, "from 7 input channels"),
    "out_channels": (11, "to 11 outputs"),
    "covariates": (3, "and 3 covariates"),
    "head_dropout": (0.27, "dropout 0.27 before it"),
}
#: Key -> why it needs no sentence.
SILENT = {
    "task": "the model card says what is learned; a task of another package is named",
    "device": "the machine that was used is named",
    "under_budget": "empty in the recipe of a run: its values are in the other keys",
    "pace": "the steps that were taken are said",
    "left_out": "written by a run under a budget; the validations that were taken are counted",
    "folds.count": "the folds are counted from the cases",
    "folds.hold_out": "the held-out cases are counted",
    "training.channels_last": "layout in memory; no number changes",
    "training.distances": "measured beside; where they decide, `training.monitor` says so",
    "training.workers": "who reads the patches; no number changes",
    "training.trackers": "where figures are told too; no number changes",
    "inference.batch": "windows at once; no number changes",
    "dicom.codes": "codes of DICOM results; no number changes",
    "options": "named as it is (test_keys_of_another_package_are_named)",
}
FIXED_DIMS = ("encoder_unet", "fpn", "linknet", "pspnet", "dynamic_unet", "cnn", "timm")


def keys_of(model: type[BaseModel], section: str) -> Iterator[str]:
    yield from (f"{section}.{name}" for name in model.model_fields)


def all_keys() -> set[str]:
    """Dotted keys of the recipe but for ``network:``, whose keys go by family."""
    sections = {name: model for name, model in section_models().items() if name != "network"}
    keys = {key for name, model in sections.items() for key in keys_of(model, name)}
    keys |= {*keys_of(Phase, "training.phases"), *keys_of(LossSettings, "training.loss")}
    keys |= {*keys_of(PostprocessStep, "inference.postprocess")}
    return keys | {name for name in Recipe.model_fields if name not in sections and name != "network"}


def test_every_key_has_words_or_a_reason_for_none() -> None:
    known = set(SAID) | set(SILENT)
    assert sorted(all_keys() - known) == [], "say it in report/cards, and add it to SAID; or to SILENT with the reason"
    assert sorted(known - all_keys()) == []
    assert not set(SAID) & set(SILENT)


def test_every_key_of_a_network_has_words() -> None:
    families = {**network_kinds(), **CASE_FAMILIES}
    for kind, family in families.items():
        told = next(words for name, words in FAMILIES.items() if family is families[name])
        assert sorted(set(family.model_fields) - set(told) - set(SHARED)) == [], kind


def put(recipe: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; keys below ``phases`` and their like set the whole entry."""
    parts = key.split(".")[:2]
    if len(parts) == 1:
        recipe[key] = value
    else:
        recipe.setdefault(parts[0], {})[parts[1]] = value


def recipe_of(task: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads(json.dumps(BASE))
    recipe["task"] = task
    recipe["network"] = (
        {} if task == "landmarks" else dict(ENCODER if task in ("classification", "regression") else UNET)
    )
    models = section_models()
    recipe["augment"] = models["augment"]().model_dump(mode="json")
    if task in OWN:
        recipe[task] = models[task]().model_dump(mode="json")
    for key, value in changes.items():
        put(recipe, key, value)
    return recipe


def text_of(folder: Path, task: str, recipe: Mapping[str, Any]) -> str:
    cases = [{"id": f"c{n}", "patient": f"p{n}", "fold": 0 if n == 3 else None, "files": {}} for n in range(4)]
    labels = {"background": 0, "liver": 1, "spleen": 2}
    about = {
        "dataset": {"name": "Toy", "channels": ["T1"], "labels": labels, "columns": {"who": "patient"}},
        "cases": cases,
    }
    figures = {"segmentation": {"dice": {}, "cases": 1}, "landmarks": {"cases": 1}}.get(task, {"cases": 1})
    facts = RunFacts(folder, about, {}, {"validation": figures}, recipe, {})
    return methods_text(facts, SUBJECTS[task])


def uses(task: str, key: str) -> bool:
    """Whether a training of the task uses a key."""
    unused, (section, *_) = task_named(task).unused, key.split(".")
    whole = ".".join(key.split(".")[:2])
    return whole not in unused and (section not in OWN or section == task)


@pytest.mark.parametrize("task", SUBJECTS)
def test_the_changed_value_is_in_the_text(tmp_path: Path, task: str) -> None:
    wrong = []
    for key in filter(lambda key: uses(task, key), SAID):
        value, words, *more = SAID[key]
        around = more[0] if more else {}
        before = text_of(tmp_path, task, recipe_of(task, around))
        after = text_of(tmp_path, task, recipe_of(task, {**around, key: value}))
        wrong += [] if words in after and words not in before else [(key, words)]
    assert not wrong


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_changed_network_is_in_the_text(tmp_path: Path, kind: str) -> None:
    family = {**network_kinds(), **CASE_FAMILIES}[kind]
    task = "classification" if kind in CASE_FAMILIES else "segmentation"
    plain = {"unet": UNET, "encoder": ENCODER}.get(kind, {})
    base = {**family.model_construct().model_dump(), "kind": kind, "dims": 3, **plain}
    before = {"in_channels": 1, "out_channels": 2, **base, **({"dims": 2} if kind in FIXED_DIMS else {})}
    changes = {**SHARED, **FAMILIES[kind]}
    for key in family.model_fields:
        value, words = changes[key]
        start = {**before, "dropout": 0.1} if key == "dropout_in" else before
        if (key == "dims" and kind in FIXED_DIMS) or value == start.get(key):
            assert words in text_of(tmp_path, task, recipe_of(task, {"network": start})), key
            continue
        assert words not in text_of(tmp_path, task, recipe_of(task, {"network": start})), key
        assert words in text_of(tmp_path, task, recipe_of(task, {"network": {**start, key: value}})), key


def choices_of(annotation: Any) -> tuple[Any, ...]:
    """The words of a Literal, also one of several that a key may be."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(
        word for part in get_args(annotation) for word in choices_of(part) if get_origin(annotation) is not tuple
    )


@pytest.mark.parametrize("task", SUBJECTS)
def test_every_word_of_a_choice_has_a_text_of_its_own(tmp_path: Path, task: str) -> None:
    for section, model in section_models().items():
        for name, field in model.model_fields.items():
            key, words = f"{section}.{name}", [w for w in choices_of(field.annotation) if isinstance(w, str)]
            if (
                section == "network"
                or key not in SAID
                or not uses(task, key)
                or len(words) < 2
                or key == "training.keep"
            ):
                continue
            around = SAID[key][2] if len(SAID[key]) == 3 else {}  # type: ignore[misc]
            texts = {word: text_of(tmp_path, task, recipe_of(task, {**around, key: word})) for word in words}
            assert len(set(texts.values())) == len(words), (key, words)
    if task == "segmentation":
        kinds = get_args(LossKind)
        texts = {kind: text_of(tmp_path, task, recipe_of(task, {"training.loss": {"kind": kind}})) for kind in kinds}
        assert len(set(texts.values())) == len(kinds)
        assert all(kind not in texts[kind] for kind in kinds if "_" in kind), "every loss has its name in words"


def test_keys_of_another_package_are_named(tmp_path: Path) -> None:
    recipe = recipe_of("regression", {"task": "mine.counting:TASK", "options": {"value": 7}})
    text = text_of(tmp_path, "regression", recipe)
    assert "mine.counting:TASK" in text
    assert "value = 7" in text


@pytest.mark.parametrize("task", SUBJECTS)
def test_every_key_that_the_recipe_sets_is_in_the_plan(task: str) -> None:
    """``plan.md`` has the value that is trained, whatever the planner had thought of."""
    planned = [
        ("dimensions", "3D", "why"), ("spacing", "9 x 9 x 9 mm", "why"), ("width", "64 channels at the first level", "why"),
        ("cells", "2 x 2 x 2 voxels", "why"), ("batch", "99", "why"), ("steps", "99", "why"), ("optimizer", "muon, rate 9", "why"),
        ("schedule", "poly", "why"), ("weights", "moving average 0.999", "why"),
    ]  # fmt: skip
    changes = {"inference.batch": 5, "training.ema": 0, "augment.noise": 0.123, "folds.count": 3}
    values = recipe_of(task, changes)
    values["landmarks"] = {"network": "unet"} if task == "landmarks" else {}
    values["network"] = values["network"] or {**UNET, "out_channels": 1}
    recipe = Recipe.check(values, "test")
    rows = {name: (value, why) for name, value, why in plan_rows(recipe, recipe, planned)}
    assert rows["batch"] == ("2", "set by the recipe: training.batch")
    assert rows["inference.batch"] == ("5", "set by the recipe")
    assert rows["weights"][0] == "as they are, no moving average"
    assert rows["spacing"][0] == "1 x 1 x 2"
    assert rows["optimizer"][0] == "adam, rate 0.002"
    assert rows["width"][0] == "8 channels at the first level"
    assert rows["steps"] == ("500", "set by the recipe: training.steps")
    assert rows["augment.noise"][0] == "0.123"
    assert "why" not in [why for _, why in rows.values()]
    said = " ".join(f"{name} {why}" for name, (_, why) in rows.items())
    assert [key for key in given_keys(recipe) if key not in said] == []
    open_ = Recipe.check(
        {"network": {"kind": "msd", "dims": 3, "in_channels": 1, "out_channels": 2}, "training": BASE["training"]}, "x"
    )
    kept = [name for name, _, _ in plan_rows(Recipe(), open_, planned)]
    assert "width" not in kept
    assert "cells" not in kept
