"""Two processes on two cores against one process with two threads: patches per second of one training, in turns, in one run.

    python benchmarks/ddp.py [--steps 60] [--pairs 3]

Both train the network that ``recipe: auto`` plans for hippocampus (32 to 128 channels on cells of two voxels) on made-up cases held in
memory, without validations in the measured part. One process takes ``2 n`` patches a step with two threads; two processes take ``n``
each with one thread and exchange gradients by gloo: the same patches a step. Aim: at least 0.9.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WARM_UP = 5


def measure(folder: Path, batch: int, steps: int) -> None:
    """In each process: train into a folder of all, and print patches per second from the clock of its steps."""
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from dataclasses import replace

    from tests.training.fakes import BallCase, ball_training

    from voxloom.networks import NetworkSettings
    from voxloom.ranks import first, meet, part, ranks
    from voxloom.training.fit import fit

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    meet()
    network = NetworkSettings(
        dims=3, in_channels=1, out_channels=3, features=(32, 64, 128), strides=((2, 2, 2),) * 3, kernels=((3, 3, 3),) * 3,
    )  # fmt: skip
    ticks: list[float] = []
    job = ball_training(folder, steps=steps + WARM_UP, batch=batch, patch=(40, 48, 40), validations=1)
    cases = {f"case{n}": BallCase(n, (40, 50, 40)) for n in range(8)}
    job = replace(job, network=network.model_copy(update={"out_channels": 2}), train=cases, validation={})
    fit(job, device="cpu", reporter=lambda *_: ticks.append(time.perf_counter()))
    if first():
        seconds = ticks[-1] - ticks[WARM_UP - 1]
        print(json.dumps({"patches": steps * batch * ranks().size / seconds}))
    part()


def patches(processes: int, threads: int, batch: int, steps: int) -> float:
    """Patches per second of all processes together."""
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    line = [*launch, __file__, "--measure", str(batch), "--steps", str(steps)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        line += ["--folder", folder]
        told = subprocess.run(line, check=True, capture_output=True, text=True, env=surroundings)
    return float(json.loads(told.stdout.strip().splitlines()[-1])["patches"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2, help="Patches a step of each of two processes.")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.folder, options.measure, options.steps)
        return
    ratios = []
    for number in range(options.pairs):
        alone = patches(1, 2, 2 * options.batch, options.steps)
        together = patches(2, 1, options.batch, options.steps)
        ratios.append(together / alone)
        print(
            f"pair {number}: one process {alone:.2f}, two {together:.2f} patches/s, ratio {ratios[-1]:.3f}", flush=True
        )
    print(f"median ratio {statistics.median(ratios):.3f} (aim: at least 0.9)")


if __name__ == "__main__":
    main()
