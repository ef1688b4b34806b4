"""Dice, HD, HD95 and ASSD of two liver-sized masks, against SciPy's and MONAI's way, in one run on the same masks.

    python benchmarks/surface_metrics.py [--repeats 5]

Prints median seconds and ratios, pair by pair. The masks are two ellipsoids of about 1.2 million voxels in 512x512x200.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from voxloom.evaluation import mask_metrics

SPACING = (0.8, 0.8, 2.0)


def ellipsoid(center: tuple[float, float, float]) -> np.ndarray:
    """A liver-sized ellipsoid."""
    i, j, k = np.ogrid[:512, :512, :200]
    return (((i - center[0]) / 90) ** 2 + ((j - center[1]) / 70) ** 2 + ((k - center[2]) / 45) ** 2) < 1


def by_scipy(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """The same figures on the whole grid with SciPy: erosion for the surface, one distance transform per mask."""
    from scipy import ndimage

    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    maps = [ndimage.distance_transform_edt(~edge, sampling=SPACING) for edge in edges]
    one, two = maps[1][edges[0]], maps[0][edges[1]]
    both = np.concatenate([one, two])
    return float(both.max()), float(max(np.percentile(one, 95), np.percentile(two, 95))), float(both.mean())


def by_monai(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """MONAI's functions, as a user calls them."""
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    one, two = (torch.tensor(mask)[None, None].float() for mask in (a, b))
    compute_dice(one, two, include_background=True)
    hd = compute_hausdorff_distance(one, two, include_background=True, spacing=SPACING)
    hd95 = compute_hausdorff_distance(one, two, include_background=True, percentile=95, spacing=SPACING)
    assd = compute_average_surface_distance(one, two, include_background=True, symmetric=True, spacing=SPACING)
    return float(hd), float(hd95), float(assd)


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    a, b = ellipsoid((200, 250, 100)), ellipsoid((205, 247, 102))
    ours = mask_metrics(a, b, SPACING)
    print(
        "ours", [round(v, 4) for v in (ours.hd, ours.hd95, ours.assd)], "MONAI", [round(v, 4) for v in by_monai(a, b)]
    )
    rows = [
        (seconds(lambda: mask_metrics(a, b, SPACING)), seconds(lambda: by_scipy(a, b)), seconds(lambda: by_monai(a, b)))
        for _ in range(repeats)
    ]
    for n, name in enumerate(("voxloom", "SciPy", "MONAI")):
        ratio = statistics.median(row[n] / row[0] for row in rows)
        times = [row[n] for row in rows]
        print(
            f"{name:8s} median {statistics.median(times):.3f} s  min {min(times):.3f}  max {max(times):.3f}  ratio {ratio:.1f}"
        )


if __name__ == "__main__":
    main()
