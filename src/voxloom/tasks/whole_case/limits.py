"""What a run that answers for whole cases cannot do yet, and which recipe keys its training does not use. Knows no run."""

from __future__ import annotations

from voxloom.evaluation.measures import Measures
from voxloom.formats.dicom.results.objects import LABEL_MAPS

#: Verb of ``voxloom.tasks.abilities`` -> what such a run cannot do, and what to do instead.
CANNOT = {
    "predict --uncertainty": "write maps of uncertainty; its answers carry their spread over folds and views",
    "predict --maps": "write probability maps; its answers carry their probabilities",
    "predict --cutouts": "cut volumes out around points",
    "evaluate --metrics": "be measured by other metrics of label maps; its summary has every figure there is",
    **dict.fromkeys(
        (f"predict --format {name}" for name in LABEL_MAPS),
        "outline anything; its answers go into a report: --format sr",
    ),
    "show gallery": "be shown by the Dice of slices; draw whole cases: show results, or their slices: show slices",
    "review": "be reviewed by Dice; report.html lists its top losses",
    "pseudo": "give pseudo-labels",
    "rank": "rank scans by the disagreement of label maps",
    "ensemble": "be part of an ensemble of label maps",
    "export --to monai": "be exported as a MONAI bundle",
    "export --to onnx": "be exported as networks alone; share the run: export --to zip",
    "export --to torchscript": "be exported as networks alone; share the run: export --to zip",
    "export --to nnunet": "be exported to nnU-Net, which segments",
}

#: Recipe keys that such a training does not use, and why; set away from their default they are refused.
_LABELS, _WINDOWS = "it is about label maps", "whole scans are read, no windows or slices of them"
UNUSED = {
    **dict.fromkeys(
        ("data.labels", "data.ignore", "labels.merge", "prepare.joint_labels", "prepare.joint_mm"), _LABELS
    ),
    **{f"slices.{key}": _WINDOWS for key in ("plane", "neighbors", "edges", "per_volume", "spread", "background")},
    "training.loss": "the task's own section says which loss",
    "training.batch_dice": _LABELS,
    "training.distances": _LABELS,
    **{f"inference.{key}": _LABELS for key in ("largest_component", "postprocess", "instances")},
    **{f"evaluate.{key}": _LABELS for key in Measures.model_fields},
    "inference.mirror": "predict with --tta instead",
    "inference.overlap": _WINDOWS,
    "augment.slice_skip_chance": _WINDOWS,
    "augment.slice_interpolation_chance": _WINDOWS,
}
