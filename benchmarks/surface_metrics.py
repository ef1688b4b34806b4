"""Dice, HD, HD95 and ASSD of two liver-sized masks (1.2 million voxels in 512 x 512 x 200) against the peers' functions.

    python benchmarks/surface_metrics.py [--repeats 3] [--slow]

``--slow`` adds MedPy and SciPy on the whole grid, which take half a minute a call. Every side prints its HD95 and ASSD.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from pairs import OURS, PEERS, Side, Work, parser, report, run, table

SPACING = (0.8, 0.8, 2.0)


def masks() -> tuple[Any, Any]:
    """Two liver-sized ellipsoids that nearly agree."""
    i, j, k = np.ogrid[:512, :512, :200]

    def ellipsoid(center: tuple[int, int, int]) -> Any:
        return (((i - center[0]) / 90) ** 2 + ((j - center[1]) / 70) ** 2 + ((k - center[2]) / 45) ** 2) < 1

    return ellipsoid((200, 250, 100)), ellipsoid((205, 247, 102))


def voxloom(options: argparse.Namespace) -> Work:
    from voxloom.evaluation import mask_metrics

    a, b = masks()

    def work() -> list[float]:
        found = mask_metrics(a, b, SPACING)
        return [found.hd95, found.assd]

    return work


def surface_distance(options: argparse.Namespace) -> Work:
    import surface_distance as sd

    a, b = masks()

    def work() -> list[float]:
        sd.compute_dice_coefficient(a, b)
        found = sd.compute_surface_distances(a, b, SPACING)
        sd.compute_robust_hausdorff(found, 100)
        both = sd.compute_average_surface_distance(found)
        return [float(sd.compute_robust_hausdorff(found, 95)), float(sum(both) / 2)]

    return work


def monai(options: argparse.Namespace) -> Work:
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    one, two = (torch.tensor(mask)[None, None].float() for mask in masks())

    def work() -> list[float]:
        compute_dice(one, two, include_background=True)
        compute_hausdorff_distance(one, two, include_background=True, spacing=SPACING)
        hd95 = compute_hausdorff_distance(one, two, include_background=True, percentile=95, spacing=SPACING)
        assd = compute_average_surface_distance(one, two, include_background=True, symmetric=True, spacing=SPACING)
        return [float(hd95), float(assd)]

    return work


def medpy(options: argparse.Namespace) -> Work:
    from medpy.metric import binary

    a, b = masks()

    def work() -> list[float]:
        binary.dc(a, b)
        binary.hd(a, b, SPACING)
        return [float(binary.hd95(a, b, SPACING)), float(binary.assd(a, b, SPACING))]

    return work


def scipy(options: argparse.Namespace) -> Work:
    from scipy import ndimage

    a, b = masks()

    def work() -> list[float]:
        edges = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
        maps = [ndimage.distance_transform_edt(~edge, sampling=SPACING) for edge in edges]
        one, two = maps[1][edges[0]], maps[0][edges[1]]
        hd95 = max(np.percentile(one, 95), np.percentile(two, 95))
        return [float(hd95), float(np.concatenate([one, two]).mean())]

    return work


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--slow", action="store_true", help="also MedPy and SciPy on the whole grid")
    options = made.parse_args()
    sides = [
        Side("Voxloom", OURS, voxloom),
        Side("surface-distance", PEERS, surface_distance),
        Side("MONAI", PEERS, monai),
    ]
    if options.slow:
        sides += [Side("MedPy", PEERS, medpy), Side("SciPy", OURS, scipy)]
    rounds = run(sides, options)
    if rounds is None:
        return
    agree = "; ".join(f"{name} {s[-1].result[0]:.3f} and {s[-1].result[1]:.3f}" for name, s in rounds.items())
    report(options, f"{table(rounds)}\n\nHD95 and ASSD in mm: {agree}.")


if __name__ == "__main__":
    main()
