"""How often the intervals that Voxloom prints hold the truth, and how often its tests find a difference where there is none.

Run: python benchmarks/coverage.py [studies] [-o docs/trust.md] [--only lesions,ranks]

Every claim simulates one study of some patients with some scans each, drawn from a known truth, and asks the function that the
commands ask. ``docs/trust.md`` is written by it, between two marks; ``tests/evaluation/test_coverage.py`` runs a short form.
"""

from __future__ import annotations

import argparse
import math
import sys
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from coverage_claim import Claim
from coverage_further import FURTHER
from coverage_promises import PROMISES
from coverage_usual import USUAL

from voxloom.errors import BadInput

CLAIMS = (*USUAL, *FURTHER, *PROMISES)
#: A table of the page each.
KINDS = ("interval", "test", "promise")
#: Patients and scans of each.
SIZES = tuple((patients, scans) for patients in (5, 10, 20, 40) for scans in (1, 4))


@dataclass(frozen=True)
class Rate:
    """How often, over the studies that were answered; ``refused`` is the share of the others."""

    share: float
    refused: float
    answered: int


#: Where few studies are answered, up to so many times as many are simulated, until a fifth of the number asked for is answered.
ROUNDS = 10
#: Of a slow claim so large a share of the studies is simulated.
SLOW = 0.2


def simulate(claim: Claim, patients: int, scans: int, studies: int) -> dict[str, Rate]:
    """Rates of one claim at one size; a name's random numbers depend on nothing but claim and size."""
    random = np.random.default_rng([zlib.crc32(claim.study.__name__.encode()), patients, scans])
    found: dict[str, list[bool]] = {}
    for made in range(1, ROUNDS + 1):
        for _ in range(studies):
            try:
                outcome = claim.study(random, patients, scans)
            except BadInput:
                continue
            for name, hit in outcome.items():
                found.setdefault(name, []).extend([] if hit is None else [hit])
        answered = [len(hits) for hits in found.values() if len(hits) > 0.02 * studies * made]
        if min(answered, default=studies) >= studies / 5:
            break
    return {
        name: Rate(sum(hits) / len(hits) if hits else math.nan, 1 - len(hits) / (made * studies), len(hits))
        for name, hits in found.items()
    }


def _job(job: tuple[int, int, int, int]) -> tuple[int, tuple[int, int], dict[str, Rate]]:
    number, patients, scans, studies = job
    return number, (patients, scans), simulate(CLAIMS[number], patients, scans, studies)


def _cell(rate: Rate | None) -> str:
    if rate is None or not rate.answered or rate.refused > 0.98:
        return "refused"
    text = f"{100 * rate.share:.1f}"
    return text if rate.refused < 0.005 else f"{text} ({100 * rate.refused:.0f} % refused)"


def table(kind: str, rows: Mapping[int, Mapping[str, list[str]]]) -> Iterable[str]:
    """Markdown rows of the claims of one kind, from claim -> name -> cells."""
    yield "| " + " | ".join([kind, "printed by", *(f"{p} x {s}" for p, s in SIZES)]) + " |"
    yield "|" + "---|" * (2 + len(SIZES))
    for number, claim in enumerate(CLAIMS):
        if claim.kind == kind:
            marks = " *" * claim.at_least + " †" * claim.slow
            for name, cells in rows.get(number, {}).items():
                yield "| " + " | ".join([name + marks, claim.where, *cells]) + " |"


BEGIN, END = "<!-- simulated: python benchmarks/coverage.py -->", "<!-- end of simulated -->"


def kept_rows(page: str) -> dict[int, dict[str, list[str]]]:
    """Claim -> name -> cells of a page that was written before; names that no claim has now are dropped."""
    owner = {name: n for n, claim in enumerate(CLAIMS) for name in names_of(claim)}
    found: dict[int, dict[str, list[str]]] = {}
    kind = ""
    for line in page.split(BEGIN)[1].split(END)[0].splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        kind = parts[0] if parts[0] in KINDS else kind
        name = f"{kind}:{parts[0].split(' *')[0].split(' †')[0]}"
        if name in owner and len(parts) == 2 + len(SIZES):
            found.setdefault(owner[name], {})[name.partition(":")[2]] = parts[2:]
    return found


def names_of(claim: Claim) -> set[str]:
    """``kind:name`` of all that a claim answers in a large study."""
    return {f"{claim.kind}:{name}" for name in simulate(claim, 40, 4, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=int, nargs="?", default=1000)
    parser.add_argument("-o", "--out", type=Path, help="page whose part between the marks is replaced")
    parser.add_argument("--only", help="claims by the names of their functions; the other rows of the page are kept")
    asked = parser.parse_args()
    chosen = [n for n, c in enumerate(CLAIMS) if asked.only is None or c.study.__name__ in asked.only.split(",")]
    jobs = [(n, *size, round(asked.studies * (SLOW if CLAIMS[n].slow else 1))) for n in chosen for size in SIZES]
    with ProcessPoolExecutor() as runners:
        results = {(number, size): rates for number, size, rates in runners.map(_job, jobs)}
    page = "" if asked.out is None else asked.out.read_text(encoding="utf-8")
    rows = kept_rows(page) if asked.only is not None and page else {}
    for number in chosen:
        names = dict.fromkeys(name for size in SIZES for name in results[number, size])
        rows[number] = {name: [_cell(results[number, size].get(name)) for size in SIZES] for name in names}
    lines = [
        f"{asked.studies} simulated studies per cell, {round(SLOW * asked.studies)} where †; in percent.",
        "",
        *(line for kind in KINDS for line in (*table(kind, rows), "")),
    ]
    text = "\n".join(lines)
    sys.stdout.write(text)
    if asked.out is not None:
        before, rest = page.split(BEGIN)
        asked.out.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
