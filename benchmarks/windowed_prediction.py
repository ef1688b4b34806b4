"""Windowed prediction of 512 x 512 x 200 in windows of 128 x 128 x 64 with half overlap: what it takes beyond the network.

    python benchmarks/windowed_prediction.py [--size 512 512 200] [--width 16]

Each side runs the same network on the same volume, four windows a call, and times the network inside itself. The figure is time
over that. The network is a small one: two 3x3x3 convolutions of 16 channels and a 1x1x1 convolution to 3 labels, in float32;
``--width 1`` is a single 3x3x3 convolution from 1 channel to 3, the network of the peer's figure in issue 3 (27 ms for a window
of 1 million voxels: the least that a network can do). Both sides blend logits; Voxloom's windows are channels-last. A last
side runs the network alone, on as many windows that are in memory already, as plain PyTorch does.
"""

from __future__ import annotations

import argparse
import math
import time
from functools import partial
from typing import Any

import numpy as np
from pairs import OURS, PEERS, Side, Work, parser, report, run, spread, table

PATCH = (128, 128, 64)
BATCH = 4
ALONE = "the network alone"


class Timed:
    """A network that adds up its own seconds."""

    def __init__(self, width: int) -> None:
        import torch
        from torch import nn

        torch.manual_seed(0)
        layers: list[Any] = [nn.Conv3d(1, 3, 3, padding=1)]
        if width > 1:
            layers = [nn.Conv3d(1, width, 3, padding=1), nn.LeakyReLU(), nn.Conv3d(width, width, 3, padding=1)]
            layers += [nn.LeakyReLU(), nn.Conv3d(width, 3, 1)]
        self.network, self.wall, self.processor, self.windows = nn.Sequential(*layers).eval(), 0.0, 0.0, 0

    def __call__(self, windows: Any) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        found = self.network(windows)
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor
        self.windows += len(windows)
        return found

    def take(self) -> dict[str, float]:
        """Seconds and windows since the last call."""
        taken = {"wall": self.wall, "processor": self.processor, "windows": self.windows}
        self.wall, self.processor, self.windows = 0.0, 0.0, 0
        return taken


def volume(options: argparse.Namespace) -> np.ndarray:
    """Noise (1, I, J, K)."""
    return np.random.default_rng(0).standard_normal((1, *options.size), dtype=np.float32)


def voxloom(options: argparse.Namespace, channels_last: bool = True) -> Work:
    from voxloom.dataset.labels import Label, Labels
    from voxloom.inference import Windowing, restore_labels, stream_map
    from voxloom.prepare.geometry import plan_geometry
    from voxloom.prepare.reorient import Turn

    image, network = volume(options), Timed(options.width)
    labels = Labels((Label("a", (1,)), Label("b", (2,))))
    box = tuple((0, n) for n in options.size)
    own = plan_geometry(tuple(options.size), np.eye(4), Turn(), box, None, None)  # type: ignore[arg-type]
    stream = partial(
        stream_map, network, image, Windowing(PATCH, overlap=0.5, batch=BATCH, channels_last=channels_last)
    )

    def work() -> dict[str, float]:
        out = restore_labels(stream, own, labels)
        return {**network.take(), "labelled": float((out > 0).mean())}

    return work


def monai(options: argparse.Namespace) -> Work:
    import torch
    from monai.inferers import sliding_window_inference

    image, network = torch.from_numpy(volume(options))[None], Timed(options.width)

    def work() -> dict[str, float]:
        with torch.inference_mode():
            found = sliding_window_inference(image, PATCH, BATCH, network, overlap=0.5, mode="gaussian")
            out = found.argmax(1)
        return {**network.take(), "labelled": float((out > 0).float().mean())}

    return work


def alone(options: argparse.Namespace) -> Work:
    """The network on as many windows as the volume has, in PyTorch's own layout, with nothing to cut or to blend."""
    import torch

    network = Timed(options.width)
    windows = torch.randn(BATCH, 1, *PATCH)
    counts = (max(0, math.ceil((size - side) / (side / 2))) + 1 for size, side in zip(options.size, PATCH, strict=True))
    calls, rest = divmod(math.prod(counts), BATCH)

    def work() -> dict[str, float]:
        with torch.inference_mode():
            for _ in range(calls):
                network(windows)
            if rest:
                network(windows[:rest])
        return {**network.take(), "labelled": 0.0}

    return work


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--size", type=int, nargs=3, default=[512, 512, 200])
    made.add_argument("--width", type=int, default=16)
    options = made.parse_args()
    sides = [Side("Voxloom", OURS, voxloom), Side("MONAI", PEERS, monai)]
    sides.append(Side("Voxloom in MONAI's layout", OURS, partial(voxloom, channels_last=False)))
    sides.append(Side(ALONE, PEERS, alone))
    rounds = run(sides, options)
    if rounds is None:
        return
    lines = [
        f"- {name}: {spread([s.wall / s.result['wall'] for s in samples], 2)} times the network's own time, "
        f"{spread([s.processor / s.result['processor'] for s in samples], 2)} by processor time; "
        f"the network took {spread([s.result['processor'] for s in samples], 1)} processor seconds for "
        f"{samples[0].result['windows']} windows; {samples[0].result['labelled']:.4f} of the voxels labelled."
        for name, samples in rounds.items()
        if name != ALONE
    ]
    report(options, table(rounds) + "\n\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
