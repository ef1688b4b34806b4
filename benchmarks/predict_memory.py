"""Peak memory of predicting a large volume with many labels.

Run: python benchmarks/predict_memory.py --size 512 512 600 --labels 20 [--prepared-mm 1.5] [--patch 128 128 128]
Prints one JSON line. The network is a 1x1x1 convolution, so what is measured is everything but the network. The
volume has 1 mm voxels; with another --prepared-mm the prediction travels from a resampled grid back to the source grid.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from functools import partial

import numpy as np
import torch

from voxloom.dataset.labels import Labels
from voxloom.inference import Windowing, restore_labels, stream_map
from voxloom.prepare.geometry import plan_geometry
from voxloom.prepare.reorient import Turn


def peak_gib() -> float:
    """Peak resident memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(
    size: tuple[int, int, int], labels: int, prepared_mm: float, patch: tuple[int, int, int]
) -> dict[str, object]:
    """Predict a volume of ``size`` voxels and tell the peak memory before and after, and the seconds."""
    box = tuple((0, n) for n in size)
    spacing = (prepared_mm,) * 3
    geometry = plan_geometry(size, np.eye(4), Turn(), box, spacing, None)  # type: ignore[arg-type]
    network = torch.nn.Conv3d(1, labels + 1, 1).eval()
    before = peak_gib()
    image = np.random.default_rng(0).standard_normal((1, *geometry.shape), dtype=np.float32)
    started = time.perf_counter()
    names = Labels.from_values(range(1, labels + 1))
    found = names.decode(
        restore_labels(partial(stream_map, network, image, Windowing(patch, overlap=0.5)), geometry, names)
    )
    assert found.shape == size
    return {
        "size": list(size),
        "prepared": list(geometry.shape),
        "labels": labels,
        "patch": list(patch),
        "before_gib": round(before, 2),
        "peak_gib": round(peak_gib(), 2),
        "beyond_gib": round(peak_gib() - before, 2),
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 600))
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--prepared-mm", type=float, default=1.0)
    parser.add_argument("--patch", type=int, nargs=3, default=(128, 128, 128))
    given = parser.parse_args()
    print(json.dumps(measure(tuple(given.size), given.labels, given.prepared_mm, tuple(given.patch))))


if __name__ == "__main__":
    main()
