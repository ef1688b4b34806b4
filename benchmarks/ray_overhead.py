"""What Ray costs: 200 predictions of hippocampus-like scans with ``--on local`` and on a Ray cluster of this machine, in one run.

    python benchmarks/ray_overhead.py [--scans 200] [--pairs 3]

Both sides predict the same scans with the same networks and threads, in turns. The cluster is started and its worker loads torch
before the clock runs (``docs/scale.md`` counts that apart). It has one CPU per thread of a prediction, so that both sides have the
same cores. Aim: at most 15 % over local. The written label maps are compared byte for byte.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from voxloom.crew import handed_to
from voxloom.formats import write_volume
from voxloom.machines import Cluster
from voxloom.machines.crew import RayCrew
from voxloom.run.find_scans import find_scans
from voxloom.tasks.task import task_named
from voxloom.verbs.scan_work import ScanWork, predict_scans
from voxloom.verbs.train import train
from voxloom.volume import Volume

SHAPE = (36, 50, 34)
RECIPE = {
    "network.features": [16, 32, 64], "network.strides": [[2, 2, 2], [2, 2, 2], [2, 2, 2]], "network.kernels": [[3, 3, 3]] * 3,
    "network.deep_supervision": 1, "training.patch": [40, 48, 40], "training.steps": 2, "training.validations": 1, "device": "cpu",
}  # fmt: skip


def write_scans(folder: Path, count: int, labelled: int) -> None:
    """Noise with two blobs, in nnU-Net's layout; the first ones with label maps."""
    import json

    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    for n in range(count):
        random = np.random.default_rng(n)
        label = np.zeros(SHAPE, np.uint8)
        for value, place in ((1, 0.35), (2, 0.65)):
            center = np.array(SHAPE) * [0.5, place, 0.5] + random.uniform(-3, 3, 3)
            label[(((grid - center) / [8, 6, 8]) ** 2).sum(-1) < 1] = value
        image = random.normal(100, 15, SHAPE) + 60 * label
        part = "imagesTr" if n < labelled else "imagesTs"
        write_volume(Volume(image.astype(np.float32)[None], np.eye(4)), folder / part / f"s{n:03d}_0000.nii.gz")
        if n < labelled:
            write_volume(Volume(label[None], np.eye(4)), folder / "labelsTr" / f"s{n:03d}.nii.gz")
    about = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "a": 1, "b": 2}}
    (folder / "dataset.json").write_text(json.dumps({**about, "numTraining": labelled, "file_ending": ".nii.gz"}))


def seconds_of(predictor: object, scans: list[object], out: Path) -> float:
    """Wall seconds of predicting all scans into a folder."""
    start = time.perf_counter()
    written = list(predict_scans(ScanWork(task_named("segmentation"), out), predictor, scans))  # type: ignore[arg-type]
    assert len(written) == len(scans)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        write_scans(work / "data", options.scans + 4, 4)
        from voxloom.recipe.recipe import Recipe

        run = train(work / "data", Recipe.load("auto").changed(RECIPE), out=work / "run")
        task = task_named("segmentation")
        predictor, scans = task.open(run), find_scans([work / "data" / "imagesTs"], 1)
        import ray

        ray.init(address="local", num_cpus=torch.get_num_threads(), include_dashboard=False, log_to_driver=False)
        cluster = Cluster.connect()
        with handed_to(RayCrew(cluster)):
            first = seconds_of(predictor, scans[:2], work / "warm")
        ratios = []
        for number in range(options.pairs):
            local = seconds_of(predictor, scans, work / "local")
            with handed_to(RayCrew(cluster)):
                spread = seconds_of(predictor, scans, work / "ray")
            ratios.append(spread / local)
            print(
                f"pair {number}: local {local:.2f} s, Ray {spread:.2f} s, {100 * (ratios[-1] - 1):+.1f} %", flush=True
            )
        names = sorted(path.name for path in (work / "local").glob("*.nii.gz"))
        same = all((work / "local" / name).read_bytes() == (work / "ray" / name).read_bytes() for name in names)
        print(
            f"first two scans, worker start included: {first:.1f} s; label maps are {'the same' if same else 'OTHERS'}"
        )
        print(f"median overhead {100 * (statistics.median(ratios) - 1):+.1f} % (aim: at most +15 %)")
        ray.shutdown()


if __name__ == "__main__":
    main()
