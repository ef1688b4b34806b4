"""nnU-Net's side of the suite: its plan, its trainer's step and its training in the same minutes, by its own classes (v2.8).

It reads the environment at import, so it is imported after that is set. bfloat16 in the place of float16; compiled, as it does
by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

NUMBER, NAME = 504, "Dataset504_Hippocampus"
#: Seconds of training, as Voxloom's budget; and of its steps, that the time of an epoch is measured by.
BUDGET, MEASURED = 240.0, 60


def prepared(options: argparse.Namespace) -> Path:
    """Where nnU-Net's three folders lie; named in the environment."""
    root: Path = options.work / "nnunet"
    for name in ("raw", "preprocessed", "results"):
        (root / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(root / name)
    return root


def plan(options: argparse.Namespace, cases: tuple[Path, Path] | None) -> dict[str, Any]:
    """Convert, plan and preprocess the training cases."""
    assert cases is not None, "there is no hippocampus in $VOXLOOM_DATA"
    root, start = prepared(options), time.perf_counter()
    raw = root / "raw" / NAME
    shutil.rmtree(raw, ignore_errors=True)
    (raw / "imagesTr").mkdir(parents=True)
    (raw / "labelsTr").mkdir()
    images = sorted((cases[0] / "imagesTr").glob("*.nii.gz"))
    for image in images:
        stem = image.name.removesuffix(".nii.gz")
        (raw / "imagesTr" / f"{stem}_0000.nii.gz").symlink_to(image.resolve())
        (raw / "labelsTr" / image.name).symlink_to((cases[0] / "labelsTr" / image.name).resolve())
    about = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "anterior": 1, "posterior": 2}}
    (raw / "dataset.json").write_text(json.dumps({**about, "numTraining": len(images), "file_ending": ".nii.gz"}))
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

    extract_fingerprints([NUMBER], check_dataset_integrity=False)
    plan_experiments([NUMBER])
    preprocess([NUMBER], configurations=("3d_fullres",), num_processes=(os.cpu_count() or 4,))
    return {"seconds": round(time.perf_counter() - start, 1)}


def trainer_of(options: argparse.Namespace, epochs: int, fold: int | str) -> Any:
    """nnU-Net's trainer with its own plan."""
    root = prepared(options) / "preprocessed" / NAME
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    if torch.cuda.is_bf16_supported(including_emulation=False):
        torch.set_autocast_dtype("cuda", torch.bfloat16)  # its autocast names no type
    plans, dataset = (json.loads((root / name).read_text()) for name in ("nnUNetPlans.json", "dataset.json"))
    trainer = nnUNetTrainer(plans, "3d_fullres", fold, dataset, torch.device(options.device))
    trainer.num_epochs = epochs
    return trainer


def step(options: argparse.Namespace, cases: object) -> dict[str, Any]:
    """Seconds of its trainer's step, loading and augmentation included; and of Voxloom's with the same patch, batch and network."""
    import torch

    trainer = trainer_of(options, 1, "all")
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    trainer.network.train()
    for _ in range(5):
        trainer.train_step(next(trainer.dataloader_train))
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(MEASURED):
        trainer.train_step(next(trainer.dataloader_train))
    torch.cuda.synchronize()
    theirs = (time.perf_counter() - start) / MEASURED
    plan = trainer.configuration_manager
    ours = voxlooms_step(options, tuple(plan.patch_size), plan.batch_size, plan.network_arch_init_kwargs)
    return {"nnU-Net": round(theirs, 4), **ours}


def voxlooms_step(options: argparse.Namespace, patch: Any, batch: int, network: dict[str, Any]) -> dict[str, Any]:
    """Seconds of Voxloom's step at nnU-Net's plan, plain and compiled."""
    from voxloom.augment import AugmentSettings
    from voxloom.inference.precision import lower_precision
    from voxloom.networks import NetworkSettings
    from voxloom.tasks.segmentation.noise import noise_training
    from voxloom.training.compiled import NotCompiled
    from voxloom.training.settings import TrainingSettings
    from voxloom.training.timing import seconds_per_step

    levels = len(network["features_per_stage"])
    settings = NetworkSettings(
        dims=3, in_channels=1, out_channels=3, features=network["features_per_stage"], strides=network["strides"],
        kernels=network["kernel_sizes"], deep_supervision=max(1, levels - 1),
    )  # fmt: skip
    found: dict[str, Any] = {}
    for name, how in (("Voxloom", None), ("Voxloom, compiled", "kernels")):
        training = TrainingSettings.model_validate(
            {
                "patch": patch,
                "batch": batch,
                "precision": lower_precision(options.device),
                "compile": how,
                "optimizer": "sgd",
            }
        )
        job = noise_training(settings, training, AugmentSettings(), (1.0, 1.0, 1.0))
        try:
            found[name] = round(seconds_per_step(job, device=options.device, steps=20), 4)
        except NotCompiled as error:
            found[name] = str(error)[:100]
    return found


def train(options: argparse.Namespace, cases: tuple[Path, Path] | None) -> dict[str, Any]:
    """As many epochs as fit into Voxloom's budget by the time of the first ones; Dice of the same test cases."""
    assert cases is not None, "there is no hippocampus in $VOXLOOM_DATA"
    import numpy as np
    import torch

    trial = trainer_of(options, 1, "all")
    trial.num_iterations_per_epoch, trial.num_val_iterations_per_epoch = MEASURED, 5
    start = time.perf_counter()
    trial.run_training()
    compiling = time.perf_counter() - start
    trial.on_train_epoch_start()
    start = time.perf_counter()
    for _ in range(MEASURED):
        trial.train_step(next(trial.dataloader_train))
    torch.cuda.synchronize()
    per_step = (time.perf_counter() - start) / MEASURED
    del trial
    iterations = 50
    epochs = max(2, int((BUDGET - min(compiling, 60)) / (per_step * (iterations + 5))))
    trainer = trainer_of(options, epochs, "all")
    trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = iterations, 5
    start = time.perf_counter()
    trainer.run_training()
    seconds = time.perf_counter() - start
    scores = [_dice(trainer, image, cases[1]) for image in sorted((cases[1] / "imagesTs").glob("*.nii.gz"))]
    return {
        "Dice of 40 test cases": round(float(np.mean(scores)), 4), "seconds": round(seconds, 1),
        "steps": epochs * iterations,
    }  # fmt: skip


def _dice(trainer: Any, image: Path, test: Path) -> float:
    """Mean Dice of both labels of a case, predicted by its own predictor with mirrors."""
    import nibabel as nib
    import numpy as np
    import torch
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=trainer.device, allow_tqdm=False)
    network = getattr(trainer.network, "_orig_mod", trainer.network)
    network.decoder.deep_supervision = False
    predictor.manual_initialization(
        network, trainer.plans_manager, trainer.configuration_manager, [network.state_dict()], trainer.dataset_json,
        type(trainer).__name__, trainer.inference_allowed_mirroring_axes,
    )  # fmt: skip
    with torch.inference_mode():
        voxels, facts = SimpleITKIO().read_images([str(image)])
        found = predictor.predict_single_npy_array(voxels, facts, None, None, False)
    name = image.name.replace("_0000.nii.gz", ".nii.gz")
    truth = np.asarray(nib.load(test / "labelsTs" / name).dataobj).transpose(2, 1, 0)
    scores = []
    for label in (1, 2):
        size = (found == label).sum() + (truth == label).sum()
        scores.append(2 * ((found == label) & (truth == label)).sum() / size if size else 1.0)
    return float(np.mean(scores))
