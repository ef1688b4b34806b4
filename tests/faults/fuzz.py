"""Damaged files through every reader: each is read or refused in one line, soon, in little memory, and the process lives on.

Run it: ``python -m tests.faults.fuzz --mutants 6000 --seed 0``. A finding is printed with its kind, number and seed; the same
numbers make the same file again (``--only KIND:NUMBER`` writes it and shows the traceback).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

#: No small file may take longer (processor seconds), or more memory (bytes) beyond what the libraries take.
SECONDS, MEMORY = 10.0, 2 << 30
_HANGS_AFTER = 90.0


@dataclass(frozen=True)
class Finding:
    """A mutant that was neither read nor refused."""

    kind: str
    number: int
    what: str


def mutant(kind: Any, whole: bytes, seed: int, number: int) -> bytes:
    """Mutant ``number`` of a kind; it follows from the seed alone."""
    rng = random.Random(zlib.crc32(f"{seed}/{kind.name}/{number}".encode()))
    damaged: bytes = kind.mutate(whole, rng)
    return damaged


def fuzz(count: int, seed: int, only: Sequence[str] = ()) -> tuple[Counter[str], list[Finding]]:
    """Put ``count`` mutants, divided over the kinds, through the readers in a child process; counts and findings.

    A child that dies or hangs is a finding; another one goes on after the mutant it died of.
    """
    counts: Counter[str] = Counter()
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="fuzz é ") as folder:
        names = list(only) or json.loads(_child(["--list", "--folder", folder]).communicate()[0])
        share = -(-count // len(names))
        tasks = [(name, number) for name in names for number in range(share)]
        while tasks:
            tasks = tasks[_watch(tasks, seed, folder, counts, findings) :]
    return counts, findings


def _watch(tasks: list[tuple[str, int]], seed: int, folder: str, counts: Counter[str], findings: list[Finding]) -> int:
    """Follow one child through the tasks; how many it has done (the one that it died of included)."""
    plan = Path(folder) / "tasks.json"
    plan.write_text(json.dumps(tasks))
    errors = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, read when the child has ended
    child = _child(["--tasks", str(plan), "--seed", str(seed), "--folder", folder], errors)
    done = 0
    for line in _lines(child):
        (name, number), outcome = tasks[done], json.loads(line)
        done += 1
        counts[f"{name} {outcome['verdict']}"] += 1
        if outcome["verdict"] == "fault":
            findings.append(Finding(name, number, outcome["what"]))
    code = child.wait()
    if code == 0:
        return len(tasks)
    name, number = tasks[done]
    findings.append(
        Finding(name, number, "a hang" if code == -9 else f"the process ended with {code}: {_tail(errors)}")
    )
    counts[f"{name} fault"] += 1
    return done + 1


def _lines(child: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Lines of the child; it is killed when none comes for a while."""
    assert child.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ)
        while waiting.select(_HANGS_AFTER):
            got = os.read(child.stdout.fileno(), 1 << 16)
            if not got:
                return
            *lines, rest = (rest + got).split(b"\n")
            yield from lines
        child.kill()


def _tail(errors: IO[bytes]) -> str:
    errors.seek(0)
    return " | ".join(errors.read().decode(errors="replace").strip().splitlines()[:6])


def _child(arguments: list[str], errors: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.faults.fuzz", "--child", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)


def _serve(arguments: argparse.Namespace) -> None:
    """The child: read the mutants of one kind, one line of JSON each."""
    from tests.faults.seeds import kinds

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        known = kinds(Path(folder))
        if arguments.list:
            print(json.dumps(list(known)))
            return
        tasks = json.loads(Path(arguments.tasks).read_text())
        for name in dict(tasks):
            known[name].read(Path(folder) / name)  # the whole file is read, and the libraries are loaded
        _limit_memory()
        results = os.dup(1)
        os.dup2(2, 1)  # libraries in C print to standard output
        for name, number in tasks:
            outcome = _judge(known[name], Path(folder), arguments.seed, number)
            os.write(results, json.dumps(outcome).encode() + b"\n")


def _judge(kind: Any, folder: Path, seed: int, number: int) -> dict[str, str]:
    path = folder / kind.name / kind.file
    whole = path.read_bytes()
    path.write_bytes(mutant(kind, whole, seed, number))
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        kind.read(folder / kind.name)
    except BaseException as error:
        return {"verdict": "fault", "what": _told(error)}
    finally:
        path.write_bytes(whole)
    taken = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if taken > SECONDS or grown > MEMORY:
        return {"verdict": "fault", "what": f"{taken:.1f} s, {grown / 2**20:.0f} MiB"}
    return {"verdict": "well"}


def _told(error: BaseException) -> str:
    places = [f for f in traceback.extract_tb(error.__traceback__) if "voxloom" in f.filename]
    place = f"{Path(places[-1].filename).name}:{places[-1].lineno} {places[-1].name}" if places else ""
    return f"{type(error).__name__}: {str(error)[:300]!r} at {place}"


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY + (1 << 30), resource.RLIM_INFINITY))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*")
    for name in ("--child", "--list"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    for name in ("--tasks", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _serve(arguments)
        return 0
    counts, findings = fuzz(arguments.mutants, arguments.seed, arguments.kinds or ())
    for finding in findings:
        print(f"{finding.kind} {finding.number}: {finding.what}")
    print(dict(counts))
    print(f"{sum(counts.values())} mutants, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
