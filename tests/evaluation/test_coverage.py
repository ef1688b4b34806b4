"""The promises of intervals and tests, checked by simulation: the short form of docs/trust.md, with fixed seeds.

The simulations are those of ``benchmarks/coverage.py``, which writes the page; here with fewer studies, so the bounds are wider by
what chance may do.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
#: Simulated studies per claim and size; fewer of further claims, and of those that the page marks as slow.
STUDIES, FEWER, SLOW = 120, 40, 16


def load() -> ModuleType:
    """``benchmarks/coverage.py``, which imports what lies beside it by name, as a script does."""
    spec = importlib.util.spec_from_file_location("coverage_claims", BENCHMARKS / "coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


coverage = load()


@pytest.mark.parametrize("number", range(len(coverage.CLAIMS)), ids=[c.study.__name__ for c in coverage.CLAIMS])
def test_every_printed_interval_and_test_holds_or_is_refused(number: int) -> None:
    claim = coverage.CLAIMS[number]
    studies = SLOW if claim.slow else STUDIES if claim in coverage.USUAL else FEWER
    least, most = claim.bounds
    for patients, scans in ((5, 4), (10, 4), (20, 1)):
        for name, rate in coverage.simulate(claim, patients, scans, studies).items():
            if rate.answered < studies // 4:
                continue
            error = (claim.level * (1 - claim.level) / rate.answered) ** 0.5
            if claim.kind == "test":
                assert rate.share <= most + 3 * error, f"{name}, {patients} x {scans}"
            else:
                assert rate.share >= least - 3 * error, f"{name}, {patients} x {scans}"


def plain(name: str) -> str:
    """A name without the marks of its row."""
    return name.removesuffix(" †").removesuffix(" *")


def row_names(page: str) -> set[str]:
    """``kind:name`` of every row, also of those that are refused at all sizes."""
    found, kind = set(), ""
    for line in page.split(coverage.BEGIN)[1].split(coverage.END)[0].splitlines():
        first = line.strip("|").split("|")[0].strip()
        kind = first if first in coverage.KINDS else kind
        if line.startswith("| ") and first not in coverage.KINDS:
            found.add(f"{kind}:{plain(first)}")
    return found


def cells(page: str) -> list[tuple[str, str, float, float]]:
    """(kind, name, percent, percent refused) of every cell of the page's tables."""
    found, kind = [], ""
    for line in page.splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if parts[0] in coverage.KINDS:
            kind = parts[0]
        elif kind and line.startswith("| ") and "---" not in line:
            for cell in parts[2:]:
                match = re.fullmatch(r"([\d.]+)(?: \((\d+) % refused\))?", cell)
                if match:
                    found.append((kind, parts[0], float(match[1]), float(match[2] or 0)))
    return found


def test_the_page_holds_what_it_promises() -> None:
    """docs/trust.md has every claim, and its figures are within the promise, give or take the error of 1000 studies."""
    page = (ROOT / "docs" / "trust.md").read_text("utf-8")
    found = cells(page)
    assert len(found) > 150
    claims = {name: claim for claim in coverage.CLAIMS for name in coverage.names_of(claim)}
    assert set(claims) == row_names(page)
    for kind, name, percent, refused in found:
        claim, studies = claims[f"{kind}:{plain(name)}"], 200 if "†" in name else 1000
        least, most = (100 * bound for bound in claim.bounds)
        share = max(1 - refused / 100, 0.01)
        answered = studies * (share if share > 0.2 or share <= 0.02 else 0.2)  # more are made where few are answered
        error = 100 * (claim.level * (1 - claim.level) / answered) ** 0.5
        assert least - 2 * error <= percent <= most + 2 * error, name


def test_scans_taken_for_patients_would_break_the_promise() -> None:
    """The simulation sees the fault that it is for: intervals and tests of cases, when patients have four each."""
    import numpy as np

    from voxloom.evaluation import mean_ci
    from voxloom.evaluation.statistics import friedman

    clustered = sys.modules["coverage_claim"].clustered
    random, held, rejected = np.random.default_rng(0), 0, 0
    for _ in range(100):
        low, high = mean_ci(clustered(random, 10, 4))
        held += low <= 0 <= high
        table = np.stack([clustered(random, 10, 4) for _ in range(3)], axis=1)
        rejected += friedman(table).p < 0.05
    assert held < 85
    assert rejected > 15
