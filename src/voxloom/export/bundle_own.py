"""A MONAI bundle that runs Voxloom's own preparation, network and post-processing: what is in its configuration files.

Knows MONAI's configuration language and the classes of ``voxloom.export.bundled``. Which runs need it is decided by ``export``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxloom.export.share import strip_run
from voxloom.run.run import Run

#: Where the run lies in the bundle.
RUN_FOLDER = "models/run"
_CLASSES = "voxloom.export.bundled"


def save_run(run: Run, bundle: Path) -> None:
    """The run without what names patients, as the bundle's model."""
    strip_run(run, bundle / RUN_FOLDER, cards=False)


def inference_config(about: dict[str, Any]) -> dict[str, Any]:
    """``inference.json``: predicts every scan of ``dataset_dir`` and writes label maps into ``output_dir``."""
    largest = max(
        int(value) for given in about["labels"].values() for value in (given if isinstance(given, list) else [given])
    )
    return {
        "imports": ["$import monai", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "run_dir": f"$@bundle_root + '/{RUN_FOLDER}'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "data": {"_target_": f"{_CLASSES}.scans_in", "folder": "@dataset_dir", "run": "@run_dir"},
        "network_def": {"_target_": f"{_CLASSES}.BundledRun", "folder": "@run_dir", "device": "$str(@device)"},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": [{"_target_": f"{_CLASSES}.ReadScan"}]},
        "dataset": {"_target_": "Dataset", "data": "@data", "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False, "num_workers": 0,
        },
        "inferer": {"_target_": "SimpleInferer"},
        "save": {
            "_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_postfix": "seg",
            "separate_folder": False, "resample": True, "output_dtype": "$torch.int32" if largest > 255 else "$torch.uint8",
        },
        "postprocessing": {"_target_": "Compose", "transforms": ["@save"]},
        "handlers": [],
        "evaluator": {
            "_target_": "SupervisedEvaluator", "device": "@device", "val_data_loader": "@dataloader", "network": "@network",
            "inferer": "@inferer", "postprocessing": "@postprocessing", "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }  # fmt: skip


def evaluate_config(about: dict[str, Any]) -> dict[str, Any]:
    """``evaluate.json``: laid over ``inference.json``; adds the label and mean Dice."""
    truth = {"_target_": f"{_CLASSES}.ReadTruth", "labels": about["labels"], "regions_order": about["regions_order"]}
    return {
        "labels_dir": "$@bundle_root + '/labels'",
        "data": {
            "_target_": f"{_CLASSES}.labelled_scans_in",
            "folder": "@dataset_dir",
            "labels": "@labels_dir",
            "run": "@run_dir",
        },
        "postprocessing": {"_target_": "Compose", "transforms": ["@save", truth]},
        "+evaluator": {"key_val_metric": mean_dice(include_background=True)},
        "run": ["$@evaluator.run()", "$print('mean Dice', @evaluator.state.metrics['mean_dice'])"],
    }


def mean_dice(**settings: Any) -> dict[str, Any]:
    """MONAI's mean Dice of ``pred`` and ``label``."""
    outputs = "$monai.handlers.from_engine(['pred', 'label'])"
    return {"mean_dice": {"_target_": "MeanDice", "output_transform": outputs, **settings}}
