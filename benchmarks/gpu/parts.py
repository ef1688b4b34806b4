"""The parts of the suite: ``python benchmarks/gpu/parts.py NAME --device cuda --work DIR [--short]`` prints one JSON object.

Each raises AssertionError with a sentence where what it checks is not so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/hippocampus.py
import hippocampus as accuracy
import numpy as np
import torch

from voxloom.augment import Augmenter, AugmentSettings
from voxloom.inference.device import card_of
from voxloom.inference.precision import lower_precision
from voxloom.inference.windowing import Windowing
from voxloom.inference.windows import stream_map
from voxloom.networks import build_network
from voxloom.tasks.segmentation.noise import noise_training
from voxloom.training.body_plan import Body, network_for
from voxloom.training.compiled import NotCompiled
from voxloom.training.fit import build_module, fit
from voxloom.training.job import Job
from voxloom.training.pace import Pace
from voxloom.training.settings import TrainingSettings
from voxloom.training.steps import take_step
from voxloom.training.timing import seconds_per_step
from voxloom.training.weights import load_weights

#: Largest differences between a card and a processor: of a loss after some steps, and of a probability.
LOSS_DIFFERS, PROBABILITY_DIFFERS = 2e-2, 5e-3


def wait(device: str) -> None:
    """Until the card has done all that it was given."""
    if device != "cpu":
        getattr(torch, torch.device(device).type).synchronize()


def training(options: argparse.Namespace, folder: Path | None = None, **more: Any) -> Job:
    """A training on noise: 128 cubed, 32 channels; with ``--short`` 16 cubed, 4 channels."""
    side, width = (16, 4) if options.short else (128, 32)
    patch, spacing = (side, side, side), (1.0, 1.0, 1.0)
    settings = TrainingSettings.model_validate(
        {"patch": patch, "batch": 2, "optimizer": "muon", "learning_rate": 0.01, **more}
    )
    network = network_for(1, 3, patch, spacing, 3, Body(width, False, settings.precision))
    job = noise_training(network, settings, AugmentSettings(noise_chance=0.0), spacing)
    if folder is None:
        return job
    from dataclasses import replace

    return replace(job, folder=folder)


def losses_and_weights(options: argparse.Namespace) -> dict[str, Any]:
    """The same first steps on the processor and on the card, in float32 without TF32, for every optimizer."""
    found, small = {}, argparse.Namespace(**{**vars(options), "short": True})
    for optimizer in ("adamw", "muon", "ranger", "sgd"):
        losses = []
        for device in ("cpu", options.device):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            job = training(small, optimizer=optimizer, learning_rate=0.003)
            module = build_module(job, Pace(6)).to(device)
            module.network.train()
            made, sampler = module.configure_optimizers(), job.build_sampler()
            losses.append([take_step(module, made, sampler, n, 12.0) for n in range(6)])
        furthest = max(abs(a - b) for a, b in zip(*losses, strict=True))
        assert furthest < LOSS_DIFFERS, f"{optimizer}: losses differ by {furthest:.4f}"
        found[optimizer] = f"{furthest:.1e}"
    return found


def predictions(options: argparse.Namespace) -> dict[str, Any]:
    """Windows with half overlap and mirrors on the processor and on the card."""
    small = argparse.Namespace(**{**vars(options), "short": True})
    network = build_network(training(small).network, seed=0).eval()  # type: ignore[attr-defined]
    image = np.random.default_rng(0).standard_normal((1, 40, 36, 30), dtype=np.float32)
    maps = []
    for device in ("cpu", options.device):
        windowing = Windowing((16, 16, 16), device=torch.device(device), tta_axes=(0, 1))
        slabs = stream_map(network.to(device), image, windowing)
        maps.append(np.concatenate([np.moveaxis(slab.values, slab.axis + 1, 0) for slab in slabs]))
    furthest = float(np.abs(maps[0] - maps[1]).max())
    assert furthest < PROBABILITY_DIFFERS, f"probabilities differ by {furthest:.4f}"
    return {"largest difference of a probability": f"{furthest:.1e}"}


def resume_and_kill(options: argparse.Namespace) -> dict[str, Any]:
    """A training that is killed and goes on ends near one that was not, with ``deterministic`` in the same weights."""
    small, steps = argparse.Namespace(**{**vars(options), "short": True}), 12
    more = {"steps": steps, "validations": 2, "deterministic": True, "precision": lower_of(options.device)}
    folders = [options.work / "resume" / name for name in ("whole", "killed")]
    shutil.rmtree(options.work / "resume", ignore_errors=True)
    fit(training(small, folders[0], **more), device=options.device)

    class Killed(Exception):
        pass

    def kill(step: int, *told: Any) -> None:
        if step == 8:
            raise Killed

    from voxloom.training import callbacks

    callbacks.SAVE_EVERY = 0.0
    try:
        fit(training(small, folders[1], **more), device=options.device, reporter=kill)
    except Killed:
        fit(training(small, folders[1], **more), device=options.device, resume=True)
    one, other = (load_weights(folder)[0] for folder in folders)
    furthest = max(float((one[name].float() - other[name].float()).abs().max()) for name in one)
    assert furthest < 1e-2, f"weights differ by {furthest:.4f} after a resumption"
    return {"bit for bit": furthest == 0, "largest difference of a weight": f"{furthest:.1e}"}


def lower_of(device: str) -> str:
    """The lower precision of a card; float32 on a processor, where the suite only shows that it runs."""
    return "fp32" if device == "cpu" else lower_precision(device)


def step(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a whole step: precision, layout, compiled; and what a step waits for."""
    found: dict[str, Any] = {}
    lower = lower_of(options.device)
    variants: dict[str, dict[str, Any]] = {
        "fp32": {"precision": "fp32", "tf32": False}, "tf32": {"precision": "fp32"}, lower: {"precision": lower},
        "channels first": {"precision": lower, "channels_last": False}, "sgd": {"precision": lower, "optimizer": "sgd"},
        "kernels": {"precision": lower, "compile": "kernels"}, "graphs": {"precision": lower, "compile": "graphs"},
    }  # fmt: skip
    if options.short:
        variants = {name: variants[name] for name in ("fp32", "channels first")}
    for name, more in variants.items():
        try:
            seconds = seconds_per_step(
                training(options, **more), device=options.device, steps=2 if options.short else 10
            )
            found[name] = round(seconds, 4)
        except NotCompiled as error:
            found[name] = str(error)[:120]
    if options.device.startswith("cuda"):
        found["GiB at the most"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return found


def determinism(options: argparse.Namespace) -> dict[str, Any]:
    """What the switch costs, and whether two trainings then end in the same weights."""
    small = argparse.Namespace(**{**vars(options), "short": True})
    lower, times, hashes = lower_of(options.device), {}, []
    for name in ("free", "deterministic"):
        job = training(options, precision=lower, deterministic=name == "deterministic")
        times[name] = round(seconds_per_step(job, device=options.device, steps=2 if options.short else 8), 4)
    for n in range(2):
        folder = options.work / "deterministic" / str(n)
        shutil.rmtree(folder, ignore_errors=True)
        job = training(small, folder, precision=lower, deterministic=True, steps=6, validations=1)
        hashes.append(fit(job, device=options.device).weights_sha256)
    return {**times, "the same weights twice": hashes[0] == hashes[1]}


def windowed(options: argparse.Namespace) -> dict[str, Any]:
    """512 x 512 x 600 with 20 labels in windows of 128 cubed with half overlap, network, blending and labels."""
    size, side, width, count = ((40, 40, 32), 16, 4, 5) if options.short else ((512, 512, 600), 128, 16, 20)
    settings = network_for(1, count, (side, side, side), (1.0, 1.0, 1.0), 3, Body(width, False, "fp32"))
    network = build_network(settings, seed=0).eval().to(options.device)
    image = np.random.default_rng(0).standard_normal((1, *size), dtype=np.float32)
    lower = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(lower_of(options.device))
    start, labelled = time.perf_counter(), 0
    windowing = Windowing((side, side, side), batch=2, device=torch.device(options.device), autocast_dtype=lower)
    most_likely = lambda scores: scores.argmax(0, keepdim=True).to(torch.uint8)
    slabs = stream_map(network, image, windowing, reading=most_likely)
    for slab in slabs:
        labelled += int(slab.values.size)
    wait(options.device)
    assert labelled == math.prod(size), "every voxel has a label"
    found = {"seconds": round(time.perf_counter() - start, 2), "voxels": labelled}
    if options.device.startswith("cuda"):
        found["GiB at the most"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return found


def augmentation(options: argparse.Namespace) -> dict[str, Any]:
    """Patches per second with every usual change in every patch."""
    side, batches = (16, 3) if options.short else (128, 30)
    chances = [name for name in AugmentSettings.model_fields if name.endswith("_chance")]
    off = (
        "shift",
        "box_blur",
        "motion_blur",
        "slice_skip",
        "slice_interpolation",
        "ghosting",
        "motion",
        "spike",
        "anisotropy",
    )
    always = {name: float(name.removesuffix("_chance") not in off) for name in chances}
    augmenter = Augmenter(AugmentSettings.model_validate(always), (1.0, 1.0, 1.0))
    image = torch.randn(2, 1, side, side, side).to(options.device)
    label = torch.randint(0, 3, (2, side, side, side)).to(options.device)
    generator = torch.Generator().manual_seed(0)

    def once() -> None:
        augmenter.apply(image, label, augmenter.sample(2, (side, side, side), generator), (side, side, side))

    once()
    wait(options.device)
    start = time.perf_counter()
    for _ in range(batches):
        once()
    wait(options.device)
    return {"patches per second": round(2 * batches / (time.perf_counter() - start), 1)}


def cases_of(options: argparse.Namespace) -> tuple[Path, Path] | None:
    """Hippocampus as two folders of links, train and test (``benchmarks/hippocampus.py``); None without the data."""
    data = Path(os.environ.get("VOXLOOM_DATA", "../shared/data"))
    root = next(
        (data / name for name in ("hippocampus", "Task04_Hippocampus") if (data / name / "dataset.json").is_file()),
        None,
    )
    if root is None:
        return None
    place: Path = options.work / "cases"
    shutil.rmtree(place, ignore_errors=True)
    train, test = accuracy.lay_out(root, place)
    return train, test


def hippocampus(options: argparse.Namespace) -> dict[str, Any]:
    """`recipe: auto` with ``--budget 4m``; Dice of the 40 test cases. With ``--short`` a phantom and ten seconds."""
    run = options.work / "hippocampus"
    shutil.rmtree(run, ignore_errors=True)
    if options.short:
        train = options.work / "phantom"
        shutil.rmtree(train, ignore_errors=True)
        verb("phantom", "head-mr", "-o", str(train), "-n", "5")
        settings = {
            "training.steps": 2,
            "training.validations": 1,
            "network.features": [4, 8, 8],
            "training.patch": [16] * 3,
        }
        settings |= {"network.strides": [[1] * 3, [2] * 3, [2] * 3], "network.kernels": [[3] * 3] * 3}
        settings |= {"prepare.spacing": [4.0, 4.0, 8.0], "training.precision": "fp32"}
        more = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    else:
        found = cases_of(options)
        assert found is not None, "there is no hippocampus in $VOXLOOM_DATA: voxloom get msd-hippocampus"
        train, more = found[0], ["--budget", "4m"]
    start = time.perf_counter()
    verb("train", str(train), "-o", str(run), "--device", options.device, *more)
    seconds = round(time.perf_counter() - start, 1)
    if options.short:
        return {"seconds": seconds, "Dice held out": round(float(last_row(run)["val_dice"]), 4)}
    dice, per_case = accuracy.test_dice(run, found[1])
    return {"Dice of 40 test cases": round(dice, 4), "seconds": seconds, "seconds per case": round(per_case, 3)}


def verb(*words: str) -> None:
    """A command of Voxloom in this process."""
    from voxloom.cli.app import run

    assert run(list(words)) == 0, f"voxloom {' '.join(words[:2])} failed"


def last_row(run: Path) -> dict[str, str]:
    import csv

    return list(csv.DictReader((run / "fold_0" / "log.csv").open()))[-1]


def peer(name: str) -> Callable[[argparse.Namespace], dict[str, Any]]:
    """A part of nnU-Net's, left out where it is not there."""

    def part(options: argparse.Namespace) -> dict[str, Any]:
        if options.short:
            return {"left out": "a short run does not install nnunetv2"}
        import nnunet

        found: dict[str, Any] = getattr(nnunet, name)(options, cases_of(options))
        return found

    return part


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    **{
        part.__name__: part
        for part in (
            losses_and_weights, predictions, resume_and_kill, step, determinism, windowed, augmentation, hippocampus,
        )
    },
    "nnunet_plan": peer("plan"), "nnunet_step": peer("step"), "nnunet_hippocampus": peer("train"),
}  # fmt: skip


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("part", choices=PARTS)
    made.add_argument("--device", default="cuda")
    made.add_argument("--work", type=Path, required=True)
    made.add_argument("--short", action="store_true")
    options = made.parse_args()
    if options.device == "cpu":
        assert card_of("cpu") is None
    print(json.dumps(PARTS[options.part](options)))


if __name__ == "__main__":
    main()
