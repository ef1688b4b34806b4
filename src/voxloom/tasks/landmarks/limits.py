"""What a run on points cannot do, and which recipe keys a training on points does not use. Knows no run."""

from __future__ import annotations

from voxloom.evaluation.measures import Measures
from voxloom.formats.dicom.results.objects import LABEL_MAPS

#: Verb of ``voxloom.tasks.abilities`` -> what such a run cannot do, and what to do instead.
CANNOT = {
    "predict --tta": "average over mirror images (--tta), since sides would change places",
    "predict --uncertainty": "write maps of uncertainty; its points carry a confidence each",
    "evaluate --metrics": "be measured by metrics of label maps; its summary has every figure there is",
    **dict.fromkeys(
        (f"predict --format {name}" for name in LABEL_MAPS),
        "outline anything; its points go into a report: --format sr",
    ),
    **dict.fromkeys(
        ("show batch", "show results", "show slices", "show gallery", "show kernels", "show activations"),
        "be drawn with contours of labels; its report.html shows its points",
    ),
    "review": "be reviewed by Dice",
    "compare": "be compared by Dice; compare its points: voxloom points A/test/predictions B/test/predictions --truth POINTS",
    **dict.fromkeys(
        ("fairness", "sample-size", "mixed"),
        "be read as figures of cases; its metrics.csv has a row per landmark for a table of yours",
    ),
    "stress": "be stressed by Dice",
    "calibrate": "predict a Dice; the confidences of its points are calibrated in training",
    "pseudo": "give pseudo-labels",
    "rank": "rank scans by the disagreement of label maps",
    "ensemble": "be part of an ensemble of label maps; put two sets of points together: voxloom combine",
    "export --to monai": "be exported as a MONAI bundle",
    "export --to onnx": "be exported as networks alone; share the run: export --to zip",
    "export --to torchscript": "be exported as networks alone; share the run: export --to zip",
    "export --to nnunet": "be exported to nnU-Net, which segments",
    "init.run": "give first weights to a network for label maps",
}

#: Recipe keys that a training on points does not use, and why; set away from their default they are refused.
UNUSED = {
    "data.labels": "it is about label maps",
    "data.ignore": "it is about label maps",
    **{f"evaluate.{key}": "it is about label maps" for key in Measures.model_fields},
    "labels.merge": "it is about label maps; `landmarks.maps` says what shares a map",
    "slices.plane": "`landmarks.network` says how slices are seen",
    "slices.neighbors": "`landmarks.network` says how slices are seen",
    "slices.edges": "`landmarks.network` says how slices are seen",
    "slices.per_volume": "`training.steps` says how many windows are drawn",
    "slices.spread": "`landmarks.network` says how slices are seen",
    "slices.background": "`training.foreground` says how many windows show a mark",
    "prepare.joint_labels": "a joint is found by label maps",
    "prepare.joint_mm": "a joint is found by label maps",
    "training.discriminative": "all its layers learn at one rate",
    "training.phases": "it has one phase",
    "training.loss": "`landmarks.loss` says which loss",
    "training.distances": "it is about label maps",
    "training.batch_dice": "`landmarks.weighting` says how its loss is taken",
    "augment.slice_skip": "slices are not skipped",
    "augment.slice_skip_chance": "slices are not skipped",
    "augment.slice_interpolation": "slices are not interpolated",
    "augment.slice_interpolation_chance": "slices are not interpolated",
    "inference.mirror": "left and right would change places",
    "inference.largest_component": "it is about label maps; `landmarks.order` chooses among candidates",
    "inference.postprocess": "it is about label maps; `landmarks.order` chooses among candidates",
    "inference.instances": "it is about label maps",
}
