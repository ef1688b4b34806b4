"""`spine-small-data` on real lumbar MR: Dice per vertebra with 15 training scans, and on contrasts that training never saw.

    python benchmarks/lumbar_spine.py --minutes 20 -o WORK [--recipe spine-small-data]

Data: `lumbar-mr` in $VOXLOOM_DATA (default ../shared/data), 32 scans. Sorted by SHA-256 of their file names the first 15 train, the
next 5 choose the weights, the last 12 are the test. Prints the figures of the test: per label, per structure counted from the head,
and under the stress `contrast`. The run and all tables stay in WORK.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

TRAINING, VALIDATION = 15, 5


def lay_out(root: Path, work: Path) -> None:
    """nnU-Net folders of links, `development` and `test`, and the folds."""
    names = sorted(path.name for path in (root / "imagesTr").glob("*.nii.gz"))
    names.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    cases = [name.removesuffix("_0000.nii.gz") for name in names]
    kept = TRAINING + VALIDATION
    for folder, ids in (("development", cases[:kept]), ("test", cases[kept:])):
        for part, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
            (work / folder / part).mkdir(parents=True)
            for case in ids:
                (work / folder / part / f"{case}{ending}").symlink_to((root / part / f"{case}{ending}").resolve())
        about = json.loads((root / "dataset.json").read_text()) | {"numTraining": len(ids)}
        (work / folder / "dataset.json").write_text(json.dumps(about))
    (work / "folds.json").write_text(json.dumps([{"train": cases[:TRAINING], "val": cases[TRAINING:kept]}]))


def voxloom(work: Path, *line: str) -> None:
    """Run a command; a failure ends the benchmark."""
    print("$ voxloom", *line, flush=True)
    subprocess.run([sys.executable, "-m", "voxloom", *line], cwd=work, check=True)


def main() -> None:
    """Train, evaluate, stress."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--recipe", default="spine-small-data")
    parser.add_argument("-o", "--out", type=Path, required=True)
    chosen = parser.parse_args()
    root = Path(os.environ.get("VOXLOOM_DATA", "../shared/data")) / "lumbar-mr"
    work = chosen.out.resolve()
    lay_out(root, work)
    budget = f"{chosen.minutes:g}m"
    voxloom(work, "train", "development", "-r", chosen.recipe, "--folds", "folds.json", "--budget", budget, "-o", "run")
    voxloom(work, "evaluate", "run", "test")
    voxloom(work, "stress", "run", "test", "--only", "contrast", "--cases", "0", "-o", "stress")


if __name__ == "__main__":
    main()
