"""Scans that show more of the spine than those of training: `spine-small-data` learns L3 to L5 and predicts whole lumbar scans.

    python benchmarks/lumbar_field.py --minutes 10 -o WORK [--recipe spine-small-data]

Data: `lumbar-mr` in $VOXLOOM_DATA (default ../shared/data), 32 scans. Sorted by SHA-256 of their file names the first 15 train and
the next 5 choose the weights, all cut off somewhere between the foot of L2 and 10 mm above it, with labels of L3 to L5 alone; the last
12 are the test and show everything (L1 to L5, and what lies above), as they are and with pixels of 1 mm. Each predicted vertebra is
matched with the true one that it overlaps most: its Dice, and the scans in which a level is skipped or doubled; with names in a row
and without.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
from lumbar_spine import TRAINING, VALIDATION, voxloom

#: Values of `lumbar-mr`: L5 is 1, L3 is 3, L2 is 4.
KNOWN, ABOVE = 3, 4


def lay_out(root: Path, work: Path) -> None:
    """`development` (cut off), `test` and `test-1mm` (whole) as nnU-Net folders, and the folds."""
    names = sorted((path.name for path in (root / "labelsTr").glob("*.nii.gz")), key=_hash)
    cases = [name.removesuffix(".nii.gz") for name in names]
    kept = TRAINING + VALIDATION
    random = np.random.default_rng(0)
    for case in cases:
        image, label = nib.load(root / f"imagesTr/{case}_0000.nii.gz"), nib.load(root / f"labelsTr/{case}.nii.gz")
        voxels, values, affine = np.asarray(image.dataobj), np.asarray(label.dataobj), image.affine
        if case in cases[:kept]:
            heights = np.argwhere(values == ABOVE)[:, 2]
            top = int(random.integers(heights.min(), heights.max() + 6))
            cut = np.where(values[:, :, :top] > KNOWN, 0, values[:, :, :top])
            _write(work / "development", case, voxels[:, :, :top], cut, affine)
            continue
        _write(work / "test", case, voxels, values, affine)
        fine = [each.repeat(2, axis=1).repeat(2, axis=2) for each in (voxels, values)]
        _write(work / "test-1mm", case, *fine, affine @ np.diag([1, 0.5, 0.5, 1]))
    about = json.loads((root / "dataset.json").read_text())
    for folder in ("development", "test", "test-1mm"):
        most = KNOWN if folder == "development" else len(about["labels"])
        labels = {name: value for name, value in about["labels"].items() if int(value) <= most}
        number = len(list((work / folder / "labelsTr").iterdir()))
        (work / folder / "dataset.json").write_text(json.dumps({**about, "labels": labels, "numTraining": number}))
    (work / "folds.json").write_text(json.dumps([{"train": cases[:TRAINING], "val": cases[TRAINING:kept]}]))


def _hash(name: str) -> str:
    return hashlib.sha256(name.replace(".nii.gz", "_0000.nii.gz").encode()).hexdigest()


def _write(folder: Path, case: str, image: np.ndarray, label: np.ndarray, affine: np.ndarray) -> None:
    for part, name, values in (("imagesTr", f"{case}_0000", image), ("labelsTr", case, label)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(values.astype(np.uint8), affine), folder / part / f"{name}.nii.gz")


def score(predicted: Path, truth: Path) -> tuple[float, int, int]:
    """Mean Dice of the predicted vertebrae, how many there are, and the scans in which a level is skipped or doubled."""
    dice, wrong = [], 0
    for path in sorted(predicted.glob("*.nii.gz")):
        found, true = (np.asarray(nib.load(one).dataobj).astype(int) for one in (path, truth / path.name))
        levels = []
        for value in np.unique(found[found > 0]):
            mask = found == value
            shared = np.bincount(true[mask], minlength=2)[1:]
            levels.append(int(shared.argmax()) + 1 if shared.any() else 0)
            dice.append(2 * shared.max() / (mask.sum() + (true == levels[-1]).sum()) if levels[-1] else 0.0)
        wrong += bool(np.any(np.diff(levels) != 1)) or 0 in levels
    return float(np.mean(dice)), len(dice), wrong


def main() -> None:
    """Train once, predict with and without names in a row, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--recipe", default="spine-small-data")
    parser.add_argument("-o", "--out", type=Path, required=True)
    chosen = parser.parse_args()
    work = chosen.out.resolve()
    lay_out(Path(os.environ.get("VOXLOOM_DATA", "../shared/data")).resolve() / "lumbar-mr", work)
    budget = f"{chosen.minutes:g}m"
    voxloom(work, "train", "development", "-r", chosen.recipe, "--folds", "folds.json", "--budget", budget, "-o", "run")
    summary = work / "run" / "summary.json"
    as_trained = json.loads(summary.read_text())
    print(
        "| test scans | names in a row | Dice per predicted vertebra | vertebrae | scans with a level skipped or doubled |"
    )
    print("|---|---|---|---|---|")
    for used in (False, True):
        steps = [{**s, "used": used if s["step"] == "name_in_order" else s["used"]} for s in as_trained["postprocess"]]
        summary.write_text(json.dumps({**as_trained, "postprocess": steps}))
        for test in ("test", "test-1mm"):
            out = work / f"{test}-{'row' if used else 'plain'}"
            voxloom(work, "predict", "run", f"{test}/imagesTr", "-o", str(out))
            dice, number, wrong = score(out, work / test / "labelsTr")
            print(f"| {test} | {'yes' if used else 'no'} | {dice:.3f} | {number} | {wrong} |", flush=True)
    summary.write_text(json.dumps(as_trained))


if __name__ == "__main__":
    main()
