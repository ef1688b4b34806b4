"""Two or more sides of a benchmark, measured in turn on the same work. Knows no medical image.

Every side runs in a process of its own, with its own Python (ours, or the peers' in ``.venv-peers``): it prepares once, then
does the work whenever it is asked to, and says how long that took. Rounds are interleaved, so that whatever else runs on the
machine meets all sides alike; only the ratios within one round count. Wall-clock and processor seconds are both
kept: on a busy machine the second is the steadier one.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = Path(os.environ.get("VOXLOOM_PYTHON", ROOT / ".venv" / "bin" / "python"))
PEERS = Path(os.environ.get("PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
DATA = Path(os.environ.get("VOXLOOM_DATA", ROOT.parent / "shared" / "data"))

#: Work that is timed; what it returns (JSON) is kept, to see that all sides did the same.
Work = Callable[[], Any]


@dataclass(frozen=True)
class Side:
    """One way to do the work.

    Parameters
    ----------
    name : in the table.
    python : the interpreter that has its packages.
    prepare : untimed; takes the script's options and returns the work.
    """

    name: str
    python: Path
    prepare: Callable[[argparse.Namespace], Work]


@dataclass(frozen=True)
class Sample:
    """One timed piece of work: wall-clock and processor seconds, what it returned, peak memory so far in MiB."""

    wall: float
    processor: float
    result: Any
    peak_mib: float


def run(sides: Sequence[Side], options: argparse.Namespace) -> dict[str, list[Sample]] | None:
    """Time all sides ``options.repeats`` times in turn; None in the process of a side, which only serves."""
    if options.serve:
        serve(next(side for side in sides if side.name == options.serve).prepare(options))
        return None
    processes = {side.name: _start(side) for side in sides}
    try:
        for process in processes.values():
            _ask(process)  # warms up
        rounds: dict[str, list[Sample]] = {name: [] for name in processes}
        names = list(processes)
        for number in range(options.repeats):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                rounds[name].append(_ask(processes[name]))
        return rounds
    finally:
        for process in processes.values():
            process.kill()


def _start(side: Side) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores()))}
    command = [str(side.python), *sys.argv, "--serve", side.name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _ask(process: subprocess.Popen[str]) -> Sample:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("{"):
            return Sample(**json.loads(line))
    raise SystemExit(f"{process.args} ended early")


def serve(work: Work) -> None:
    """Do the work once per line of standard input; the answers are the only lines that begin with a brace."""
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), _processor_seconds()
        result = work()
        wall, processor = time.perf_counter() - wall, _processor_seconds() - processor
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print("\n" + json.dumps({"wall": wall, "processor": processor, "result": result, "peak_mib": peak}), flush=True)


def _processor_seconds() -> float:
    """Of this process, its threads and the children that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def parser(doc: str | None, repeats: int) -> argparse.ArgumentParser:
    """Options that every paired script has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repeats", type=int, default=repeats)
    made.add_argument("--serve", help=argparse.SUPPRESS)
    made.add_argument("--record", metavar="HEADING", help="put the table under this heading of RESULTS.md")
    return made


def table(rounds: dict[str, list[Sample]], unit: str = "s", scale: float = 1.0) -> str:
    """Median (minimum to maximum) per side, and its time over that of the first side, pair by pair."""
    first = next(iter(rounds))
    lines = [
        f"| who | {unit} | times {first}, pair by pair | processor time over {first}'s | peak MiB |",
        "|---|---|---|---|---|",
    ]
    for name, samples in rounds.items():
        wall = spread([sample.wall * scale for sample in samples])
        pairs = list(zip(samples, rounds[first], strict=True))
        ratio = spread([a.wall / b.wall for a, b in pairs], 2)
        busy = spread([a.processor / max(b.processor, 1e-9) for a, b in pairs], 2)
        lines.append(f"| {name} | {wall} | {ratio} | {busy} | {samples[-1].peak_mib:.0f} |")
    return "\n".join(lines)


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Median (minimum to maximum)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def report(options: argparse.Namespace, text: str) -> None:
    """Print the result with machine, date and command; with ``--record`` also into RESULTS.md, in the place of the last one."""
    command = "python " + " ".join(a for a in _without_record(sys.argv))
    whole = f"{datetime.date.today().isoformat()}, {machine()}. `{command}`\n\n{text}\n"
    print(whole)
    if options.record:
        record(ROOT / "benchmarks" / "RESULTS.md", options.record, whole)


def _without_record(arguments: Sequence[str]) -> list[str]:
    """The command without ``--record`` and ``--bundle``; of absolute paths only the name."""
    kept = [Path(arguments[0]).relative_to(ROOT).as_posix() if Path(arguments[0]).is_absolute() else arguments[0]]
    skip = False
    for argument in arguments[1:]:
        if skip or argument in ("--record", "--bundle"):
            skip = not skip
            continue
        kept.append(Path(argument).name if Path(argument).is_absolute() else argument)
    return kept


def record(path: Path, heading: str, text: str) -> None:
    """Replace what stands between the marks under a heading; a new heading goes to the end."""
    begin, end = "<!-- measured -->", "<!-- /measured -->"
    whole, block = path.read_text(encoding="utf-8"), f"{begin}\n{text}{end}"
    title = f"## {heading}\n"
    if title not in whole:
        path.write_text(f"{whole.rstrip()}\n\n{title}\n{block}\n", encoding="utf-8")
        return
    before, after = whole.split(title, 1)
    section, mark, rest = after.partition("\n## ")
    if begin in section:
        section = section[: section.index(begin)] + block + section[section.index(end) + len(end) :]
    else:
        section = f"\n{block}\n{section}"
    path.write_text(before + title + section + mark + rest, encoding="utf-8")


def cores() -> int:
    """Processor cores that may be used."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """This machine in words."""
    flags = ""
    if Path("/proc/cpuinfo").is_file():
        flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "bf16", "amx_bf16": "AMX"}
    has = [name for flag, name in known.items() if f" {flag} " in f"{flags} "]
    if "bf16" not in has:
        has.append("no bf16")
    load = f", load {os.getloadavg()[0]:.0f} from other work" if hasattr(os, "getloadavg") else ""
    return f"{cores()} cores ({', '.join([platform.machine(), *has])}), no GPU{load}"
