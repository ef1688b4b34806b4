"""Steps per second of a classification training: Voxloom's loop, a plain PyTorch one and MONAI's, on the same work.

    python benchmarks/class_step.py [--side 64] [--batch 8] [--steps 24] [--workers 0]

All sides train the residual encoder that Voxloom plans for cases of 64 x 64 x 64 voxels (two classes, batch norm; peers build it of
MONAI's ``UnetResBlock``, which hold PyTorch's own layers) in float32 with AdamW, one-cycle rates, cross-entropy, gradients clipped at
12, and read every loss. Every case is turned about all axes (up to 15 degrees) and scaled (0.9 to 1.1) in one linear resampling, then
gamma, then noise. Plain PyTorch: a ``DataLoader`` over arrays in memory, the changes on whole batches (``affine_grid``,
``grid_sample``). MONAI: ``CacheDataset`` with ``RandAffined``, ``RandAdjustContrastd``, ``RandGaussianNoised``, its ``DataLoader``.
Voxloom: the whole ``fit`` of a run, which reads prepared cases from their files, logs and writes a checkpoint. What happens before the
fifth step, as the start of Lightning, is left out on all sides.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pairs import OURS, PEERS, Sample, Side, Work, parser, report, run, spread

CASES, CLASSES, CLIP, RATE, DECAY = 48, 2, 12.0, 2e-3, 1e-2
FEATURES = (16, 32, 64, 128)
ANGLE, SCALE, LN_GAMMA, NOISE = 15.0, 0.1, 0.3, 0.1
#: Steps at the beginning of every piece of work that are not counted.
WARM_UP = 4


def arrays(side: int) -> list[tuple[np.ndarray, int]]:
    """Cases (1, side, side, side) float32 with a class."""
    random = np.random.default_rng(0)
    return [(random.standard_normal((1, side, side, side), dtype=np.float32), n % CLASSES) for n in range(CASES)]


class Watch:
    """Time of steps, from the end of the warm-up to the last step."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def step(self) -> None:
        """A step has ended."""
        self.ends.append((time.perf_counter(), time.process_time()))

    def found(self, network: Any) -> dict[str, float]:
        """Steps per second, processor seconds of one step, and the size of the network."""
        (wall, busy), (end, busy_end), steps = self.ends[WARM_UP - 1], self.ends[-1], len(self.ends) - WARM_UP
        weights = sum(p.numel() for p in network.parameters())
        return {"rate": steps / (end - wall), "busy": (busy_end - busy) / steps, "weights": weights}


def voxloom(options: argparse.Namespace) -> Work:
    from voxloom.augment import AugmentSettings
    from voxloom.networks.case_settings import case_network_settings
    from voxloom.prepare.store import Stored, open_arrays, write_arrays
    from voxloom.tasks.classification.classes import Meaning
    from voxloom.tasks.classification.objective import ClassObjective
    from voxloom.tasks.whole_case.sampling import WholeCase
    from voxloom.tasks.whole_case.settings import ClassificationSettings
    from voxloom.tasks.whole_case.training import WholeCaseTraining
    from voxloom.training.fit import fit
    from voxloom.training.settings import TrainingSettings

    class Prepared:
        """A case of the cache, as a training reads it."""

        def __init__(self, path: Path) -> None:
            self.path, self.shape, self.spacing = path, (options.side,) * 3, (1.0, 1.0, 1.0)

        @cached_property
        def stored(self) -> Stored:
            return open_arrays(self.path)

        def image(self, slices: Any = None) -> np.ndarray:
            return self.stored.read("image", None if slices is None else (slice(None), *slices))

    scratch = Path(tempfile.mkdtemp(prefix="voxloom-bench-"))
    cases = {}
    for n, (image, target) in enumerate(arrays(options.side)):
        path = write_arrays(scratch / f"{n}.voxcase", {"image": image}, {})
        cases[f"{n}"] = WholeCase(Prepared(path), np.eye(CLASSES, dtype=np.float32)[target], np.zeros(0, np.float32))
    chances = [name for name in AugmentSettings.model_fields if name.endswith("_chance")]
    always = ("batch", "rotation", "scale", "gamma", "noise")
    augment = AugmentSettings(
        rotation=(ANGLE,) * 3, scale=SCALE, gamma=LN_GAMMA, noise=NOISE,
        **{name: float(name.removesuffix("_chance") in always) for name in chances},
    )  # fmt: skip
    training = TrainingSettings(
        patch=(options.side,) * 3, batch=options.batch, steps=options.steps, optimizer="adamw", learning_rate=RATE,
        weight_decay=DECAY, schedule="one_cycle", gradient_clip=CLIP, precision="fp32", ema=options.ema, validations=1,
        monitor="train_loss", workers=options.workers,
    )  # fmt: skip
    network = case_network_settings({"kind": "encoder", "out_channels": CLASSES, "features": FEATURES})
    objective = ClassObjective(Meaning("single", ("a", "b"), (None,)), ClassificationSettings())

    def work() -> dict[str, float]:
        watch = Watch()
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            job = WholeCaseTraining(
                Path(folder), cases, {}, objective, network, training, augment, 0.0, (1.0, 1.0, 1.0), 0, {}
            )
            fit(job, device="cpu", reporter=lambda *told: watch.step())
        return watch.found(job.build_network())

    return work


def encoder() -> Any:
    """The same network of PyTorch's layers."""
    import torch
    from monai.networks.blocks.dynunet_block import UnetResBlock
    from torch import nn

    torch.manual_seed(0)
    widths = (1, *FEATURES)
    blocks = [UnetResBlock(3, a, b, 3, 2, "batch") for a, b in itertools.pairwise(widths)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(widths[-1], CLASSES))


def trained(options: argparse.Namespace, batches: Callable[[], Iterator[tuple[Any, Any]]]) -> dict[str, float]:
    """The loop that a script has: steps over (image, class) until there are enough of them."""
    import torch
    from torch.nn import functional

    network, watch, done = encoder(), Watch(), 0
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=options.steps)
    while done < options.steps:
        for image, target in batches():
            loss = functional.cross_entropy(network(image), target)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
            rates.step()
            loss.item()
            watch.step()
            done += 1
            if done == options.steps:
                break
    return watch.found(network)


def plain(options: argparse.Namespace) -> Work:
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader, Dataset

    kept = arrays(options.side)

    class Cases(Dataset[Any]):
        def __len__(self) -> int:
            return len(kept)

        def __getitem__(self, n: int) -> Any:
            return kept[n]

    loader = DataLoader(Cases(), options.batch, shuffle=True, num_workers=options.workers, drop_last=True)

    def turned(count: int) -> Any:
        """Rotation and scale, (B, 3, 4)."""
        angles = torch.deg2rad((2 * torch.rand(count, 3) - 1) * ANGLE)
        whole = torch.eye(3).repeat(count, 1, 1)
        for axis in range(3):
            a, b = [n for n in range(3) if n != axis]
            one = torch.eye(3).repeat(count, 1, 1)
            c, s = angles[:, axis].cos(), angles[:, axis].sin()
            one[:, a, a], one[:, b, b], one[:, a, b], one[:, b, a] = c, c, -s, s
            whole = whole @ one
        scale = 1 + (2 * torch.rand(count, 1, 1) - 1) * SCALE
        return torch.cat([whole * scale, torch.zeros(count, 3, 1)], 2)

    def changed(image: Any) -> Any:
        grid = functional.affine_grid(turned(len(image)), list(image.shape), align_corners=False)
        image = functional.grid_sample(image, grid, align_corners=False)
        across = (1, 2, 3, 4)
        mean, sd = image.mean(across, keepdim=True), image.std(across, keepdim=True)
        low, high = image.amin(across, keepdim=True), image.amax(across, keepdim=True)
        power = torch.exp((2 * torch.rand(len(image), 1, 1, 1, 1) - 1) * LN_GAMMA)
        image = ((image - low) / (high - low)) ** power
        image = (image - image.mean(across, keepdim=True)) / image.std(across, keepdim=True) * sd + mean
        return image + torch.randn_like(image) * torch.rand(len(image), 1, 1, 1, 1) * NOISE

    return lambda: trained(options, lambda: ((changed(image), target) for image, target in loader))


def monai(options: argparse.Namespace) -> Work:
    from monai.data import CacheDataset, DataLoader
    from monai.transforms import Compose, EnsureTyped, RandAdjustContrastd, RandAffined, RandGaussianNoised

    turn = float(np.deg2rad(ANGLE))
    transforms = Compose([
        EnsureTyped("image"),
        RandAffined("image", prob=1, rotate_range=(turn,) * 3, scale_range=(SCALE,) * 3, padding_mode="zeros"),
        RandAdjustContrastd("image", prob=1, gamma=(float(np.exp(-LN_GAMMA)), float(np.exp(LN_GAMMA))), retain_stats=True),
        RandGaussianNoised("image", prob=1, std=NOISE),
    ])  # fmt: skip
    rows = [{"image": image, "label": target} for image, target in arrays(options.side)]
    kept = CacheDataset(rows, transforms, progress=False)
    loader = DataLoader(kept, batch_size=options.batch, shuffle=True, num_workers=options.workers, drop_last=True)
    return lambda: trained(options, lambda: ((batch["image"].as_tensor(), batch["label"]) for batch in loader))


def row(name: str, samples: list[Sample], first: list[Sample]) -> str:
    """One side as a line of the table."""
    rates = [sample.result["rate"] for sample in samples]
    pairs = list(zip(samples, first, strict=True))
    ratio = spread([ours.result["rate"] / own.result["rate"] for own, ours in pairs], 2)
    busy = spread([own.result["busy"] / ours.result["busy"] for own, ours in pairs], 2)
    weights = samples[0].result["weights"]
    return f"| {name} | {weights} | {spread(rates, 2)} | {ratio} | {busy} | {samples[-1].peak_mib:.0f} |"


def main() -> None:
    made = parser(__doc__, repeats=7)
    made.add_argument("--side", type=int, default=64, help="voxels of a case along each axis")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--steps", type=int, default=24)
    made.add_argument("--workers", type=int, default=0, help="reading processes of every side")
    made.add_argument(
        "--ema", type=float, default=0.0, help="decay of Voxloom's average of the weights, which the others lack"
    )
    options = made.parse_args()
    sides = [Side("Voxloom", OURS, voxloom), Side("plain PyTorch", PEERS, plain), Side("MONAI", PEERS, monai)]
    with tempfile.TemporaryDirectory(prefix="voxloom-bench-") as scratch:
        os.environ["TMPDIR"] = scratch  # of all sides, which are killed in the end
        rounds = run(sides, options)
    if rounds is None:
        return
    head = "| who | weights | steps per second | Voxloom's over it, pair by pair | processor time over Voxloom's | peak MiB |"
    lines = [head, "|---|---|---|---|---|---|", *(row(n, s, rounds["Voxloom"]) for n, s in rounds.items())]
    report(options, "\n".join(lines))


if __name__ == "__main__":
    main()
