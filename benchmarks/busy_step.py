"""How a training step suffers from other work on the machine, by how threads wait at barriers.

Four 3D convolutions, forward and backward in bfloat16, in processes of their own, beside ``--busy`` loops in sessions of their own;
the forms take turns. Prints milliseconds per step by the clock and of processor time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

FORMS = {
    "spinning (OpenMP's own choice)": {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": ""},
    "asleep at once": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": ""},
    "GOMP_SPINCOUNT=10000": {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=40000 (voxloom)": {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": "40000"},
    "GOMP_SPINCOUNT=150000": {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": "150000"},
    "one thread": {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": "", "OMP_NUM_THREADS": "1"},
}


def measure(steps: int) -> None:
    """In a process of its own: print the seconds of every step, and their processor time."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    widths = ((1, 32), (32, 32), (32, 32), (32, 3))
    layers = [m for a, b in widths for m in (nn.Conv3d(a, b, 3, padding=1), nn.InstanceNorm3d(b), nn.LeakyReLU())]
    network, image = nn.Sequential(*layers), torch.randn(2, 1, 32, 48, 40)
    for step in range(steps + 2):
        start, before = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            loss = network(image).float().square().mean()
        loss.backward()
        if step > 1:
            print(time.perf_counter() - start, time.process_time() - before)


def main() -> None:
    """Measure all forms in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=2, help="busy loops beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        measure(chosen.steps)
        return
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(chosen.busy)
    ]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in FORMS}
    try:
        for _ in range(chosen.rounds):
            for name, settings in FORMS.items():
                environment = {key: value for key, value in {**os.environ, **settings}.items() if value}
                line = [sys.executable, __file__, "--measure", "--steps", str(chosen.steps)]
                out = subprocess.run(line, capture_output=True, text=True, check=True, env=environment).stdout
                found[name] += [(float(a), float(b)) for a, b in (row.split() for row in out.splitlines())]
    finally:
        for loop in loops:
            loop.kill()
    print(f"{chosen.busy} busy loops; ms per step, median (mean) by the clock, mean of processor time")
    for name, steps in found.items():
        clock, computed = zip(*steps, strict=True)
        told = f"{1000 * statistics.median(clock):7.0f} ({1000 * statistics.mean(clock):.0f})"
        print(f"{name:32} {told}  {1000 * statistics.mean(computed):.0f}")


if __name__ == "__main__":
    main()
