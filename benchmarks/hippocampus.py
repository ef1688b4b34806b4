"""Accuracy under a time budget on real MR: `recipe: auto` against a careful MONAI script, on one split, in one run.

    python benchmarks/hippocampus.py --minutes 10 --seeds 0 1 2 [--peer PATH/monai_budget.py]

Data: hippocampus of the Medical Segmentation Decathlon in $VOXLOOM_DATA (default ../shared/data), 200 labelled cases. The 40
cases whose file names come first by SHA-256 are the test set, the other 160 train. Both sides get the same wall-clock time for
training; Dice is the mean over both labels and all test cases. Runs go one after another, never side by side.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEST_CASES = 40


def split(root: Path) -> tuple[list[str], list[str]]:
    """File names for training and test."""
    names = [path.name for path in (root / "imagesTr").glob("*.nii.gz")]
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return ordered[TEST_CASES:], ordered[:TEST_CASES]


def lay_out(root: Path, work: Path) -> tuple[Path, Path]:
    """MSD folders of links: ``train`` (imagesTr, labelsTr) and ``test`` (imagesTs, labelsTs with nnU-Net's image names)."""
    training, test = split(root)
    about = json.loads((root / "dataset.json").read_text())
    for name, folder, suffix in [(n, "train", "Tr") for n in training] + [(n, "test", "Ts") for n in test]:
        for kind in ("images", "labels"):
            target = work / folder / f"{kind}{suffix}" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to((root / f"{kind}Tr" / name).resolve())
    entries = [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in training]
    about |= {"training": entries, "numTraining": len(entries), "test": [], "numTest": 0}
    (work / "train" / "dataset.json").write_text(json.dumps(about))
    return work / "train", work / "test"


def test_dice(run: Path, test: Path) -> tuple[float, float]:
    """Mean Dice over labels and test cases, and seconds per case of prediction with reading and writing."""
    import nibabel as nib
    import numpy as np

    from voxloom.run.find_scans import find_scans
    from voxloom.tasks.segmentation.predictor import Predictor
    from voxloom.tasks.task import task_named
    from voxloom.verbs.run import Run
    from voxloom.verbs.scan_work import ScanWork, predict_scans

    predictor = Predictor.of(Run(run))
    scans = find_scans([test / "imagesTs"], 1)
    start = time.perf_counter()
    work = ScanWork(task_named("segmentation"), run / "test_predictions")
    written = [path for _, path in predict_scans(work, predictor, scans)]
    seconds = (time.perf_counter() - start) / len(scans)
    scores = []
    for path in written:
        found = np.asarray(nib.load(path).dataobj)
        truth = np.asarray(nib.load(test / "labelsTs" / path.name).dataobj)
        for label in (1, 2):
            size = (found == label).sum() + (truth == label).sum()
            scores.append(2 * ((found == label) & (truth == label)).sum() / size if size else 1.0)
    return float(np.mean(scores)), seconds


def train_ours(train: Path, out: Path, minutes: float, seed: int, extra: list[str]) -> dict[str, float]:
    """One Voxloom run by its command line; wall-clock seconds of the whole command and training seconds of the run."""
    command = [sys.executable, "-m", "voxloom", "train", str(train), "-r", "auto", "-o", str(out)]
    start = time.perf_counter()
    subprocess.run([*command, "--budget", f"{minutes:g}m", "--seed", str(seed), "--device", "cpu", *extra], check=True)
    whole = time.perf_counter() - start
    last = (out / "fold_0" / "log.csv").read_text().splitlines()[-1].split(",")
    return {"steps": int(last[0]), "training_seconds": float(last[1]), "command_seconds": whole}


def run_peer(script: Path, minutes: float, train: Path, test: Path, bf16: bool) -> dict[str, object]:
    """The MONAI script's own JSON line."""
    command = [sys.executable, str(script), f"{minutes:g}", str(train), str(test), *(["--bf16"] if bf16 else [])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(output.strip().splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--peer", type=Path, help="monai_budget.py; measured once per --peer-modes")
    parser.add_argument("--peer-modes", nargs="*", choices=["fp32", "bf16"], default=["fp32"])
    parser.add_argument("--keep", type=Path, help="keep the runs here")
    parser.add_argument(
        "--set", action="append", default=[], dest="assign", help="recipe key to change, as in voxloom train"
    )
    arguments = parser.parse_args()
    root = Path(os.environ.get("VOXLOOM_DATA", Path(__file__).parents[2] / "shared" / "data")) / "hippocampus"
    work = arguments.keep or Path(tempfile.mkdtemp(prefix="voxloom-bench-"))
    extra = [part for text in arguments.assign for part in ("--set", text)]
    train, test = lay_out(root, work / "data")
    scores = []
    for seed in arguments.seeds:
        out = work / f"auto-{arguments.minutes:g}m-{seed}"
        facts = train_ours(train, out, arguments.minutes, seed, extra)
        dice, seconds = test_dice(out, test)
        scores.append(dice)
        print(
            json.dumps({"side": "voxloom", "seed": seed, "dice": round(dice, 4), **facts, "predict_s": seconds}),
            flush=True,
        )
    if scores:
        print(json.dumps({"side": "voxloom", "median_dice": round(statistics.median(scores), 4)}), flush=True)
    for mode in arguments.peer_modes if arguments.peer else []:
        facts = run_peer(arguments.peer, arguments.minutes, train, test, mode == "bf16")
        print(json.dumps({"side": f"monai {mode}", **facts}), flush=True)
    if arguments.keep is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
