"""Runs the parts of the suite one after another, each in a process of its own, and keeps what they found.

    python benchmarks/gpu/suite.py [--device cuda] [--minutes 10] [--short] [--again] [--results FILE] [--record]

Every part prints one JSON object. A part that is done is not run again; one that fails is kept with its error, and the others run. A
part whose usual time is more than what is left of the minutes waits for the next call. Nothing here knows what a part measures.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "RESULTS.md"
HEADING = "## On a graphics card"
#: Part -> seconds that it usually takes, start of the process included; correctness comes first.
PARTS = {
    "losses_and_weights": 40, "predictions": 20, "resume_and_kill": 50, "step": 60, "nnunet_plan": 60, "nnunet_step": 60,
    "determinism": 25, "windowed": 40, "augmentation": 20, "hippocampus": 290, "nnunet_hippocampus": 300,
}  # fmt: skip
#: With ``--short``.
SHORT_SECONDS = 120


def read(path: Path) -> dict[str, Any]:
    """What is known so far."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def write(path: Path, known: dict[str, Any]) -> None:
    """The whole file, or none of it."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(known, indent=2) + "\n")
    os.replace(part, path)


def run_part(name: str, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """What a part printed, or its error."""
    line = [sys.executable, str(HERE / "parts.py"), name, "--device", options.device, "--work", str(options.work)]
    start = time.monotonic()
    try:
        done = subprocess.run(
            line + ["--short"] * options.short, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {seconds:.0f} s"}
    taken = round(time.monotonic() - start, 1)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1], "seconds": taken}
    return {"found": json.loads(done.stdout.strip().splitlines()[-1]), "seconds": taken}


def table(known: dict[str, Any]) -> str:
    """All parts as Markdown."""
    about = known["about"]
    lines = [
        f"{about['date']}, {about['device']}, torch {about['torch']}. `benchmarks/gpu/run.sh{' --short' if about['short'] else ''}`",
        "", "| part | found | seconds |", "|---|---|---|",
    ]  # fmt: skip
    for name, one in known["parts"].items():
        found = one.get("error", "") and f"failed: {one['error']}"
        found = found or "; ".join(f"{key} {value}" for key, value in one["found"].items())
        lines.append(f"| {name} | {found.replace('|', '/')} | {one.get('seconds', '')} |")
    return "\n".join(lines)


def record(text: str) -> None:
    """Put the table under its heading in ``RESULTS.md``, in the place of an earlier one."""
    page = RESULTS.read_text(encoding="utf-8")
    before, found, rest = page.partition(HEADING)
    after = rest[rest.find("\n## ") :] if "\n## " in rest else "\n"
    RESULTS.write_text(f"{before.rstrip()}\n\n{HEADING}\n\n{text}\n{after if found else ''}", encoding="utf-8")


def about(options: argparse.Namespace) -> dict[str, Any]:
    """Date, device and version."""
    import torch

    cuda = options.device.startswith("cuda")
    device = torch.cuda.get_device_name(options.device) if cuda else "no graphics card"
    date = datetime.date.today().isoformat()
    return {"date": date, "device": device, "torch": torch.__version__, "short": options.short}


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", default="cuda")
    made.add_argument("--minutes", type=float, default=10.0)
    made.add_argument("--short", action="store_true", help="the logic of every part, in seconds")
    made.add_argument("--again", action="store_true", help="forget what is done")
    made.add_argument("--results", type=Path, default=HERE / "results.json")
    made.add_argument("--work", type=Path, default=HERE / "work", help="folder for runs, kept between calls")
    made.add_argument("--record", action="store_true", help="put the table into RESULTS.md")
    made.add_argument("--only", nargs="*", choices=PARTS, help="parts to run")
    options = made.parse_args()
    from voxloom.errors import BadInput
    from voxloom.inference.device import pick_device

    try:
        options.device = pick_device(options.device)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    options.work.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    known = {} if options.again else read(options.results)
    facts = about(options)
    if known.get("about", {}).get("device") != facts["device"] or known["about"]["short"] != options.short:
        known = {"parts": {}}  # of another machine, or of another length
    known["about"] = facts
    for name in options.only or PARTS:
        if "found" in known["parts"].get(name, {}):
            continue
        left = end - time.monotonic()
        if left < (5 if options.short else PARTS[name]):
            print(f"{name} waits for the next call: {left:.0f} s are left", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr)
        known["parts"][name] = run_part(name, options, min(left, SHORT_SECONDS if options.short else left))
        write(options.results, known)
    write(options.results, known)
    print(table(known))
    if options.record:
        record(table(known))
    return int(any("error" in one for one in known["parts"].values()))


if __name__ == "__main__":
    raise SystemExit(main())
