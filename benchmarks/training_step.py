"""Share of the processor's peak in a training step, against nnU-Net's and a MONAI script's step.

    python benchmarks/training_step.py [--width 16] [--patch 40 48 40]

The peak is a large channels-last Conv3d (32 to 32 channels, 48 x 64 x 48, batch 4) in the precision that the planner may
use on this machine, timed right after every step in the same process. FLOPs are those of the network's convolutions forward
and backward, counted by torch. Voxloom's step is whole (reading, augmentation, forward, backward, update), as are the
script's (a residual UNet, affine augmentation, AdamW); nnU-Net's trainer gets batches that are ready.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pairs import OURS, PEERS, Sample, Side, Work, parser, report, run, spread

BATCH = 2


def processor_seconds() -> float:
    """Of this process and its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_work(half: bool) -> tuple[Callable[[], Any], float]:
    """A large convolution and its FLOPs."""
    import torch

    dtype, last = (torch.bfloat16 if half else torch.float32), torch.channels_last_3d
    convolution = torch.nn.Conv3d(32, 32, 3, padding=1).to(dtype).to(memory_format=last)
    x = torch.randn(4, 32, 48, 64, 48).to(dtype).contiguous(memory_format=last)

    def work() -> Any:
        with torch.inference_mode():
            return convolution(x)

    return work, 2.0 * 27 * 32 * 32 * 4 * 48 * 64 * 48


def flops_of(step: Callable[[], Any]) -> float:
    """FLOPs of one step's convolutions and matrix products, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def against_peak(step: Callable[[], Any], half: bool) -> Work:
    """Time a step, then the convolution; the speeds of both in GFLOP per processor second and per second."""
    step()
    flops = flops_of(step)
    peak, peak_flops = peak_work(half)
    peak()

    def timed(work: Callable[[], Any], size: float) -> tuple[float, float]:
        wall, processor = time.perf_counter(), processor_seconds()
        work()
        return size / (time.perf_counter() - wall) / 1e9, size / (processor_seconds() - processor) / 1e9

    def work() -> dict[str, float]:
        (wall, processor), (peak_wall, peak_processor) = timed(step, flops), timed(peak, peak_flops)
        return {
            "gflop": flops / 1e9, "speed": processor, "peak": peak_processor,
            "share": processor / peak_processor, "wall_share": wall / peak_wall,
        }  # fmt: skip

    return work


def voxloom(options: argparse.Namespace) -> Work:
    import torch

    from voxloom.augment import AugmentSettings
    from voxloom.inference.precision import TOLERABLE, bf16_slowdown
    from voxloom.networks import NetworkSettings, plan_levels
    from voxloom.tasks.segmentation.noise import noise_training
    from voxloom.training.fit import build_module
    from voxloom.training.pace import Pace
    from voxloom.training.settings import TrainingSettings

    half = bf16_slowdown("cpu") <= TOLERABLE
    strides, kernels = plan_levels(options.patch, (1.0, 1.0, 1.0), max_levels=4)
    features = tuple(options.width * 2**n for n in range(len(strides)))
    network = NetworkSettings(
        dims=3, in_channels=1, out_channels=3, features=features, strides=strides, kernels=kernels, deep_supervision=3
    )
    settings = TrainingSettings(patch=tuple(options.patch), batch=BATCH, precision="bf16" if half else "fp32", steps=9)
    job = noise_training(network, settings, AugmentSettings(), (1.0, 1.0, 1.0))
    module, sampler = build_module(job, Pace(9)), job.build_sampler()
    optimizer = module.configure_optimizers()

    def step() -> None:
        image, label = (torch.from_numpy(a) for a in sampler.read(0))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = module.training_step((0, image, label.long()), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return against_peak(step, half)


def nnunet(options: argparse.Namespace) -> Work:
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
    from torch import nn

    stages, features = 4, [options.width * 2**n for n in range(4)]
    network = PlainConvUNet(
        1, stages, features, nn.Conv3d, 3, [1, 2, 2, 2], [2] * stages, 3, [2] * (stages - 1), conv_bias=True,
        norm_op=nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True}, deep_supervision=True,
    )  # fmt: skip
    dice = {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}
    one = DC_and_CE_loss(dice, {}, weight_ce=1, weight_dice=1, dice_class=MemoryEfficientSoftDiceLoss)
    loss = DeepSupervisionWrapper(one, [0.57, 0.29, 0.14])
    optimizer = torch.optim.SGD(network.parameters(), 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True)
    image = torch.randn(BATCH, 1, *options.patch)
    labels = [torch.randint(0, 3, (BATCH, 1, *(n // 2**k for n in options.patch))).float() for k in range(3)]

    def step() -> None:
        optimizer.zero_grad()
        loss(network(image), labels).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()

    return against_peak(step, False)


def monai(options: argparse.Namespace) -> Work:
    import torch
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet
    from torch.nn import functional

    width = options.width
    network = UNet(3, 1, 3, (width, 2 * width, 4 * width, 8 * width), (2, 2, 2), num_res_units=2, norm="instance")
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4)
    loss = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)
    x, y = torch.randn(BATCH, 1, *options.patch), torch.randint(0, 3, (BATCH, 1, *options.patch)).float()
    turn = (
        torch.eye(3, 4)[None].repeat(BATCH, 1, 1)
        + 0.1 * torch.from_numpy(np.random.default_rng(0).random((BATCH, 3, 4))).float()
    )

    def step() -> None:
        grid = functional.affine_grid(turn, list(x.shape), align_corners=False)
        image = functional.grid_sample(x, grid, align_corners=False)
        label = functional.grid_sample(y, grid, mode="nearest", align_corners=False)
        value = loss(network(image + 0.05 * torch.randn_like(image)), label)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return against_peak(step, False)


def row(name: str, samples: list[Sample]) -> str:
    """One side as a line of the table."""
    found = [sample.result for sample in samples]
    share, wall = (spread([100 * f[key] for f in found], 0) for key in ("share", "wall_share"))
    speed, peak = (spread([f[key] for f in found], 0) for key in ("speed", "peak"))
    return f"| {name} | {found[0]['gflop']:.1f} | {speed} | {peak} | {share} % | {wall} % |"


def main() -> None:
    made = parser(__doc__, repeats=7)
    made.add_argument("--width", type=int, default=16)
    made.add_argument("--patch", type=int, nargs=3, default=[40, 48, 40])
    options = made.parse_args()
    sides = [Side("Voxloom", OURS, voxloom), Side("nnU-Net", PEERS, nnunet), Side("MONAI script", PEERS, monai)]
    rounds = run(sides, options)
    if rounds is None:
        return
    head = "| who | GFLOP a step | GFLOP per processor second | of the large convolution | share of it | by the clock |"
    report(options, "\n".join([head, "|---|---|---|---|---|---|", *(row(n, s) for n, s in rounds.items())]))


if __name__ == "__main__":
    main()
