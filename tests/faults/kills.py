"""kill -9 at random moments of prepare, train, predict, evaluate and inspect: nothing corrupt, all resumable, weights bit-identical.

Run it: ``python -m tests.faults.kills --kills 210 --seed 0``. Every command runs in a forked child, which is killed either after a
random time or at a random file operation (open, rename, remove: the moments when a file is half there). After each kill
every file that carries a final name is read; when a command has been killed often enough it is let finish, and what it
wrote must equal what an undisturbed run wrote.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TINY = {
    "network.features": "[2, 4, 4]",
    "network.strides": "[[1, 1, 1], [2, 2, 2], [2, 2, 2]]",
    "network.kernels": "[[3, 3, 3], [3, 3, 3], [3, 3, 3]]",
    "network.deep_supervision": "1",
    "training.patch": "[16, 16, 16]",
    "training.batch": "1",
    "training.steps": "8",
    "training.validations": "2",
    "inference.overlap": "0",
    "training.precision": "fp32",
    "training.learning_rate": "0.01",
    "inference.largest_component": "[]",
    "device": "cpu",
}
#: Share of the kills that each command gets.
SHARES = {"prepare": 4, "train": 8, "predict": 4, "evaluate": 4, "inspect": 2}


@dataclass
class Tally:
    """Kills so far, by command, and what was wrong after one."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SHARES, 0))
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """One command that can be begun again: its arguments, where it writes, and the digests of what must come out."""

    name: str
    arguments: Callable[[Path], list[str]]
    digests: Callable[[Path], dict[str, str]]


def run(arguments: list[str], log: Path, kill_after: float | None = None, kill_at: int | None = None) -> int:
    """Run a command line in a forked child; its exit code, -9 when it was killed.

    ``kill_after`` seconds the parent kills it; at its ``kill_at``-th file operation it kills itself.
    """
    child = os.fork()
    if child == 0:
        _victim(arguments, log, kill_at)
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _victim(arguments: list[str], log: Path, kill_at: int | None) -> None:
    """The child: a checkpoint after every step, its output in ``log``, and perhaps a kill at a file operation."""
    from voxloom.cli.app import run as command
    from voxloom.training import callbacks
    from voxloom.verbs import evaluate as evaluation

    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    callbacks.SAVE_EVERY = 0.0
    evaluation.report_run = lambda folder, path=None: folder  # type: ignore[assignment]  # pictures are most of the time
    operations = 0

    def count(event: str, details: tuple[object, ...]) -> None:
        nonlocal operations
        if event in ("os.rename", "os.remove") or (event == "open" and _is_ours(details)):
            operations += 1
            if operations == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    code = 99
    try:
        code = command(arguments)
        log.with_name("log.operations").write_text(str(operations))
    finally:
        os._exit(code)


def _is_ours(details: tuple[object, ...]) -> bool:
    """A file of the work, not of a library."""
    return "kills é" in str(details[0])


def harass(work: Work, root: Path, count: int, rng: random.Random, tally: Tally) -> None:
    """Kill a command ``count`` times, in rounds of up to ten on one folder, each round ended by an undisturbed run."""
    seconds, events, expected = _undisturbed(work, root / f"{work.name} whole")
    done = 0
    for number in range(10 * count):
        if done >= count:
            return
        place = root / f"{work.name} {number}"
        place.mkdir()
        for _ in range(min(rng.choice((1, 2, 5, 10)), count - done)):
            by_time = rng.random() < 0.5
            when = {"kill_after": rng.uniform(0, seconds)} if by_time else {"kill_at": rng.randint(1, max(1, events))}
            if run(work.arguments(place), place / "log", **when) == -signal.SIGKILL:  # type: ignore[arg-type]
                done += 1
                tally.kills[work.name] += 1
            tally.findings += [f"{work.name} after a kill ({when}): {fault}" for fault in corrupt_files(place)]
        code = run(work.arguments(place), place / "log")
        if code != 0:
            tally.findings.append(f"{work.name} cannot be taken up again: {(place / 'log').read_text()[-400:]}")
        elif work.digests(place) != expected:
            tally.findings.append(f"{work.name} came out otherwise: {work.digests(place)} against {expected}")
        elif leftovers(place):
            tally.findings.append(f"{work.name} left {leftovers(place)} behind")
        shutil.rmtree(place)


def _undisturbed(work: Work, place: Path) -> tuple[float, int, dict[str, str]]:
    """Seconds and file operations of a whole run, and what it wrote."""
    place.mkdir()
    start = time.monotonic()
    code = run(work.arguments(place), place / "log")
    seconds = time.monotonic() - start
    assert code == 0, (place / "log").read_text()[-2000:]
    faults = corrupt_files(place)
    assert not faults, faults
    return seconds, int((place / "log.operations").read_text()), work.digests(place)


def corrupt_files(folder: Path) -> list[str]:
    """Files under a final name that are not whole. Hidden names are what a killed writer leaves."""
    faults = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            try:
                _read(path)
            except Exception as error:
                faults.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return faults


def _read(path: Path) -> None:
    """Read a file as its ending asks."""
    import yaml
    from safetensors.torch import load_file

    from voxloom.formats import read_label
    from voxloom.prepare.store import open_arrays
    from voxloom.recipe.recipe import Recipe
    from voxloom.training.checkpoint import read_checkpoint

    if path.suffix == ".voxcase":
        open_arrays(path).verify()
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".safetensors":
        load_file(path)
    elif path.suffix == ".ckpt":
        read_checkpoint(path)
    elif path.name == "author.yaml":
        assert isinstance(yaml.safe_load(path.read_text()), dict)
    elif path.suffix == ".yaml":
        Recipe.load(path)
    elif path.suffix == ".gz":
        read_label(path)
    elif path.suffix == ".csv":
        assert path.read_text().endswith("\n")
    elif path.suffix == ".html":
        assert "</html>" in path.read_text()
    elif path.suffix == ".png":
        from PIL import Image

        Image.open(path).verify()


def leftovers(folder: Path) -> list[str]:
    """Temporary files that are still there."""
    return [str(p.relative_to(folder)) for p in folder.rglob(".*") if ".part" in p.name]


def digests(folder: Path, *patterns: str) -> dict[str, str]:
    """SHA-256 of the files whose content does not depend on the time of day."""
    found = sorted(p for pattern in patterns for p in folder.glob(pattern))
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()[:12] for p in found}


def works(data: Path, trained: Path) -> dict[str, Work]:
    """The commands, on one small data set and one trained run."""

    def train(place: Path) -> list[str]:
        began = (place / "run" / "recipe.yaml").is_file()
        sets = [f"--set={key}={value}" for key, value in TINY.items()]
        return ["train", str(data), "-o", str(place / "run"), *(["--resume"] if began else [*sets])]

    labels, images = data / "labelsTr", data / "imagesTr"
    predictions = trained / "fold_0" / "predictions"
    commands: dict[str, tuple[Callable[[Path], list[str]], tuple[str, ...]]] = {
        "prepare": (
            lambda p: ["prepare", str(data), "-r", "auto", "-o", str(p / "cache"), "--workers", "1"],
            ("cache/*.voxcase",),
        ),
        "train": (train, ("run/fold_*/model.safetensors", "run/fold_*/predictions/*.gz", "run/fold_*/metrics.csv")),
        "predict": (lambda p: ["predict", str(trained), str(images), "-o", str(p / "out")], ("out/*.nii.gz",)),
        "evaluate": (
            lambda p: [
                "evaluate",
                "--pred",
                str(predictions),
                "--truth",
                str(labels),
                "-o",
                str(p / "out"),
                "--workers",
                "1",
            ],
            ("out/*.csv", "out/*.json"),
        ),
        "inspect": (lambda p: ["inspect", str(data), "-o", str(p / "page.html"), "--workers", "1"], ("page.html",)),
    }
    return {
        name: Work(name, command, lambda p, files=files: digests(p, *files))
        for name, (command, files) in commands.items()
    }  # type: ignore[misc]


def campaign(count: int, seed: int, only: list[str] | None = None) -> Tally:
    """Kill every command its share of ``count`` times."""
    import torch

    from tests.study.conftest import write_balls

    torch.set_num_threads(1)
    rng, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory(prefix="kills é ") as folder:
        root = Path(folder)
        data = write_balls(root / "data", 4)
        trained = root / "trained"
        place = root / "t"
        place.mkdir()
        assert run(works(data, trained)["train"].arguments(place), root / "log") == 0, (root / "log").read_text()
        shutil.move(place / "run", trained)
        for name in only or SHARES:
            share = -(-count * SHARES[name] // sum(SHARES[n] for n in (only or SHARES)))
            start = time.monotonic()
            harass(works(data, trained)[name], root, share, rng, tally)
            print(f"{name}: {tally.kills[name]} kills, {time.monotonic() - start:.0f} s", flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=210)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=list(SHARES))
    arguments = parser.parse_args()
    tally = campaign(arguments.kills, arguments.seed, arguments.only)
    for finding in tally.findings:
        print(finding)
    print(f"{sum(tally.kills.values())} kills {tally.kills}, {len(tally.findings)} findings")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
