"""Augmented batches with the same list of transforms: Voxloom, batchgeneratorsv2 (nnU-Net's) and TorchIO.

    python benchmarks/augmented_batches.py [--patch 64 64 64] [--batch 2]

Every transform is applied to every patch: rotation, scaling and elastic deformation in one resampling of image (linear) and
label (nearest), then blur, brightness and contrast, gamma, noise, and lower resolution. Voxels are read from memory. One
thread of one process per side.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from pairs import OURS, PEERS, Side, Work, parser, report, run, table


def window(options: argparse.Namespace) -> tuple[Any, Any]:
    """Images (B, 1, *patch) and labels (B, *patch), as torch tensors."""
    import torch

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    image = random.standard_normal((options.batch, 1, *options.patch), dtype=np.float32)
    label = random.integers(0, 3, (options.batch, *options.patch)).astype(np.uint8)
    return torch.from_numpy(image), torch.from_numpy(label)


def voxloom(options: argparse.Namespace) -> Work:
    import torch

    from voxloom.augment import Augmenter, AugmentSettings

    image, label = window(options)
    always = ("batch", "rotation", "scale", "elastic", "blur", "intensity", "gamma", "noise", "low_resolution")
    chances = [name for name in AugmentSettings.model_fields if name.endswith("_chance")]
    settings = AugmentSettings(**{name: float(name.removesuffix("_chance") in always) for name in chances})
    augmenter, generator = Augmenter(settings, (1.0, 1.0, 1.0)), torch.Generator().manual_seed(0)

    def work() -> list[int]:
        for _ in range(options.batches):
            drawn = augmenter.sample(len(image), tuple(options.patch), generator)
            found, changed = augmenter.apply(image, label, drawn, options.patch)
        return [*found.shape, *changed.shape]

    return work


def batchgenerators(options: argparse.Namespace) -> Work:
    import torch
    from batchgeneratorsv2.helpers.scalar_type import RandomScalar  # noqa: F401  (fails early on another layout)
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

    image, label = window(options)
    turn = float(np.deg2rad(20))
    every = ComposeTransforms([
        SpatialTransform(
            tuple(options.patch), 0, False, p_elastic_deform=1, elastic_deform_scale=(0, 0.2),
            elastic_deform_magnitude=(0, 0.2), p_rotation=1, rotation=(-turn, turn), p_scaling=1, scaling=(1 / 1.2, 1.2),
            bg_style_seg_sampling=False,
        ),
        GaussianBlurTransform(blur_sigma=(0.5, 1.0), synchronize_channels=True, p_per_channel=1),
        MultiplicativeBrightnessTransform(multiplier_range=BGContrast((0.8, 1.2)), synchronize_channels=True, p_per_channel=1),
        ContrastTransform(BGContrast((0.8, 1.2)), preserve_range=False, synchronize_channels=True, p_per_channel=1),
        GammaTransform(BGContrast((0.74, 1.35)), p_invert_image=0, synchronize_channels=True, p_per_channel=1, p_retain_stats=1),
        GaussianNoiseTransform(noise_variance=(0, 0.1), p_per_channel=1, synchronize_channels=True),
        SimulateLowResolutionTransform((0.5, 1), True, True, 0, p_per_channel=1),
    ])  # fmt: skip

    def work() -> list[int]:
        for _ in range(options.batches):
            found = [every(image=x, segmentation=y[None].to(torch.int16)) for x, y in zip(image, label, strict=True)]
            batch = torch.stack([one["image"] for one in found]), torch.stack([one["segmentation"] for one in found])
        return [*batch[0].shape, *batch[1].shape]

    return work


def torchio(options: argparse.Namespace) -> Work:
    import torch
    import torchio as tio

    image, label = window(options)
    every = tio.Compose([
        tio.RandomAffine(scales=(1 / 1.2, 1.2), degrees=20),
        tio.RandomElasticDeformation(num_control_points=7, max_displacement=4),
        tio.RandomBlur(std=(0.5, 1.0)),
        tio.RandomGamma(log_gamma=0.3),
        tio.RandomNoise(std=(0, 0.1)),
        tio.RandomAnisotropy(downsampling=(1, 2)),
    ])  # fmt: skip

    def one(x: Any, y: Any) -> tuple[Any, Any]:
        subject = every(tio.Subject(image=tio.ScalarImage(tensor=x), label=tio.LabelMap(tensor=y[None])))
        return subject["image"].data, subject["label"].data

    def work() -> list[int]:
        for _ in range(options.batches):
            found = [one(x, y) for x, y in zip(image, label, strict=True)]
            batch = torch.stack([x for x, _ in found]), torch.stack([y for _, y in found])
        return [*batch[0].shape, *batch[1].shape]

    return work


def main() -> None:
    made = parser(__doc__, repeats=5)
    made.add_argument("--patch", type=int, nargs=3, default=[64, 64, 64])
    made.add_argument("--batch", type=int, default=2)
    made.add_argument("--batches", type=int, default=5, help="per timed piece of work")
    options = made.parse_args()
    sides = [
        Side("Voxloom", OURS, voxloom),
        Side("batchgeneratorsv2", PEERS, batchgenerators),
        Side("TorchIO", PEERS, torchio),
    ]
    rounds = run(sides, options)
    if rounds is not None:
        report(options, table(rounds, "s per batch", 1 / options.batches))


if __name__ == "__main__":
    main()
