"""Ten times the work: how time and memory of prepare, predict and evaluate grow with cases, voxels and labels.

    python benchmarks/growth.py

Every figure comes from a process of its own, which does the small work once to be warm, then the work that is measured. Linear
means that ten times the work takes ten times the processor seconds; memory is the peak beyond what the warm process
held. Volumes are noise with boxes as labels; the network of predict is a 3x3x3 convolution.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from pairs import OURS, parser, report

SMALL = (64, 64, 50)


def boxes(shape: tuple[int, int, int], labels: int) -> np.ndarray:
    """A label map (I, J, K) with one box per label."""
    found = np.zeros(shape, np.uint8)
    step = (shape[0] - 8) // labels
    for n in range(labels):
        found[4 + n * step : 4 + n * step + max(1, step - 1), 8:-8, 8:-8] = n + 1
    return found


def write_set(root: Path, cases: int, shape: tuple[int, int, int]) -> None:
    """nnU-Net raw folders of ``cases`` volumes with two labels."""
    import json

    from voxloom.formats import write_volume
    from voxloom.volume import Volume

    for n in range(cases):
        image = np.random.default_rng(n).normal(size=(1, *shape)).astype(np.float32)
        write_volume(Volume(image, np.eye(4)), root / "imagesTr" / f"case{n:03d}_0000.nii.gz")
        write_volume(Volume(boxes(shape, 2)[None], np.eye(4)), root / "labelsTr" / f"case{n:03d}.nii.gz")
    about = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "a": 1, "b": 2}}
    (root / "dataset.json").write_text(json.dumps({**about, "numTraining": cases, "file_ending": ".nii.gz"}))


def prepare(cases: int, factor: int, labels: int) -> Callable[[], object]:
    from voxloom.dataset import Dataset
    from voxloom.prepare import Cache, PrepareSettings

    root = Path(tempfile.mkdtemp())
    write_set(root, cases, (SMALL[0], SMALL[1], SMALL[2] * factor))
    data = Dataset(root)
    return lambda: Cache(tempfile.mkdtemp()).prepare(data, PrepareSettings(spacing=(1.25, 1.25, 1.25)), workers=1)


def predict(cases: int, factor: int, labels: int) -> Callable[[], object]:
    import torch

    from voxloom.dataset.labels import Labels
    from voxloom.inference import Windowing, restore_labels, stream_map
    from voxloom.prepare.geometry import plan_geometry
    from voxloom.prepare.reorient import Turn

    torch.set_num_threads(1)
    shape = (SMALL[0], SMALL[1], SMALL[2] * factor)
    geometry = plan_geometry(shape, np.eye(4), Turn(), tuple((0, n) for n in shape), (1.0, 1.0, 1.0), None)
    network = torch.nn.Conv3d(1, labels + 1, 3, padding=1).eval()
    image = np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)
    names = Labels.from_values(range(1, labels + 1))

    def work() -> None:
        for _ in range(cases):
            stream = partial(stream_map, network, image, Windowing((32, 32, 32), overlap=0.5, batch=2))
            names.decode(restore_labels(stream, geometry, names))

    return work


def evaluate(cases: int, factor: int, labels: int) -> Callable[[], object]:
    from voxloom.dataset.labels import Labels
    from voxloom.evaluation import evaluate_case
    from voxloom.volume import Volume

    truth = boxes((SMALL[0] * 2, SMALL[1] * 2, SMALL[2] * factor), labels)
    pair = [Volume(data[None], np.eye(4)) for data in (np.roll(truth, 1, axis=1), truth)]
    names = Labels.from_values(range(1, labels + 1))

    def work() -> None:
        for _ in range(cases):
            evaluate_case(pair[0], pair[1], names)

    return work


JOBS = {"prepare": prepare, "predict": predict, "evaluate": evaluate}


def measure(job: str, cases: int, factor: int, labels: int) -> str:
    """Processor seconds and MiB beyond the warm process of one piece of work, as text."""
    import resource
    import time

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    JOBS[job](1, 1, 1)()
    work = JOBS[job](cases, factor, labels)
    before, start = peak(), time.process_time()
    work()
    return f"{time.process_time() - start:.4f} {peak() - before:.1f}"


def measured(job: str, cases: int, factor: int, labels: int, repeats: int) -> tuple[float, float]:
    """The least seconds and MiB of several processes."""
    command = [str(OURS), __file__, "--measure", job, *map(str, (cases, factor, labels))]
    found = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:] for _ in range(repeats)
    ]
    return min(float(s) for s, _ in found), min(float(m) for _, m in found)


def rows(repeats: int) -> list[str]:
    """One line of the table per job and what grows."""
    lines = ["| work | ten times the | small, s | ten times, s | factor | MiB beyond, small | ten times |"]
    lines.append("|---|---|---|---|---|---|---|")
    kinds = {"cases": (4, 1, 1), "voxels": (1, 1, 1), "labels": (1, 1, 2)}
    grown = {"cases": (40, 1, 1), "voxels": (1, 10, 1), "labels": (1, 1, 20)}
    for job in JOBS:
        for kind, small in kinds.items():
            if (job, kind) == ("prepare", "labels"):
                continue
            (s0, m0), (s1, m1) = (measured(job, *args, repeats) for args in (small, grown[kind]))
            lines.append(f"| {job} | {kind} | {s0:.3f} | {s1:.3f} | {s1 / s0:.1f} | {m0:.0f} | {m1:.0f} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.measure:
        job, *numbers = options.measure
        print(measure(job, *map(int, numbers)))
        return
    report(options, "\n".join(rows(options.repeats)))


if __name__ == "__main__":
    main()
