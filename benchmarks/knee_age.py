"""Age from knees: the shipped recipe `knee-age` on phantoms, against always answering the mean.

    python benchmarks/knee_age.py -o DIR [--train 200] [--test 100] [--budget 10m] [--set KEY=VALUE ...]

Phantoms for training have seed 1, those for the test seed 2. A patient has two scans (coronal and sagittal). A run that DIR has
already is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from voxloom.cli.train import parse_assignments
from voxloom.phantom import write_phantoms
from voxloom.recipe.recipe import Recipe
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.train import train


def main() -> None:
    """Print the errors of the test patients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=200)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    for name, count, seed in (("train", asked.train, 1), ("test", asked.test, 2)):
        if not (asked.out / name).exists():
            write_phantoms("knee-mr", count, asked.out / name, seed=seed)
    run = asked.out / "run"
    if not (run / "summary.json").is_file():
        recipe = Recipe.load("knee-age").changed(parse_assignments(asked.set))
        train(asked.out / "train", recipe, out=run, budget=asked.budget)
    found = evaluate_run(run, asked.out / "test").summary()["targets"]["age"]
    mean = found["mae_of_mean"]
    mae, (low, high) = found["mae"]["value"], found["mae"]["ci"]
    print(
        f"MAE {mae:.2f} years [{low:.2f}, {high:.2f}] on {found['n']} scans; always the mean: {mean:.2f}; share {mae / mean:.3f}"
    )
    print(f"R2 {found['r2']['value']:.3f}, bias {found['bias']['value']:+.2f}, intervals held {found['interval']}")


if __name__ == "__main__":
    main()
