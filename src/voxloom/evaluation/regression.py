"""Numbers predicted for whole cases: rows that are added, summed up, written and read back.

MAE, RMSE, R2, bias and limits of agreement (Bland and Altman 1986), error by band of the true value. Intervals are
over patients. Knows no network and no file but its own table.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.classification import as_dict
from voxloom.evaluation.conformal import check_of, parts_of
from voxloom.evaluation.limits import NOT_NEGATIVE
from voxloom.evaluation.losses import CaseLoss
from voxloom.evaluation.patients import patients_note
from voxloom.evaluation.selective import abstention
from voxloom.evaluation.statistics import bland_altman, jackknife, mean_estimate, root_mean_square
from voxloom.files import write_text

Numbers = NDArray[np.float64]
#: Bands of the true value in a table of errors.
BANDS = 4


@dataclass(frozen=True)
class NumberRow:
    """One target of one case.

    Parameters
    ----------
    low, high : ends of the interval that was given with it, NaN where there was none.
    sd : how unsure the networks were: what they said of their error, else how far they and changed views differ; NaN if unknown.
    promise : chance with which the interval was to hold the truth, NaN where there was none.
    """

    case: str
    patient: str
    target: str
    truth: float
    prediction: float
    low: float = math.nan
    high: float = math.nan
    sd: float = math.nan
    promise: float = math.nan

    @property
    def gap(self) -> float:
        """Prediction minus truth: of an age, how much older the images look (Franke and Gaser 2019)."""
        return self.prediction - self.truth


class NumberEvaluation:
    """Rows of many cases and what they come to."""

    def __init__(self, rows: Iterable[NumberRow] = ()) -> None:
        self.rows = list(rows)

    def add(self, rows: Iterable[NumberRow]) -> None:
        """Add the targets of one case."""
        self.rows.extend(rows)

    def extend(self, other: NumberEvaluation) -> None:
        """Add all rows of another evaluation."""
        self.rows.extend(other.rows)

    @property
    def cases(self) -> list[str]:
        """Ids of the cases, in order of first appearance."""
        return list(dict.fromkeys(row.case for row in self.rows))

    @property
    def targets(self) -> list[str]:
        """Names of the targets."""
        return list(dict.fromkeys(row.target for row in self.rows))

    def of(self, target: str) -> list[NumberRow]:
        """The rows of one target."""
        return [row for row in self.rows if row.target == target]

    def losses(self) -> list[CaseLoss]:
        """Absolute error per case, the largest first; of several targets the one with the largest error in SDs of its true values."""
        sds = {name: float(np.std([row.truth for row in self.of(name)])) or 1.0 for name in self.targets}
        worst: dict[str, NumberRow] = {}
        for row in self.rows:
            if row.case not in worst or _sds_off(row, sds) > _sds_off(worst[row.case], sds):
                worst[row.case] = row
        several = len(sds) > 1
        return [
            CaseLoss(
                row.case, row.patient, (f"{row.target} " if several else "") + f"{row.truth:g}", f"{row.prediction:.4g}",
                abs(row.prediction - row.truth),
            )
            for row in sorted(worst.values(), key=lambda row: -_sds_off(row, sds))
        ]  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """Target -> figures: n, mae, rmse, r2, bias with intervals, limits of agreement, bands, and how often the interval held.

        ``mae_of_mean`` is the error of always answering the mean of these cases: what a useless model reaches.
        """
        patients = {row.case: row.patient for row in self.rows}
        found: dict[str, Any] = {"cases": len(self.cases), "patients": len(set(patients.values()))}
        found |= {"patients_note": patients_note(patients), "targets": {}}
        for name in self.targets:
            found["targets"][name] = _figures(self.of(name))
        return found

    def case_values(self, metric: str, label: str) -> dict[str, float]:
        """Absolute error per case of one target."""
        return {row.case: abs(row.prediction - row.truth) for row in self.of(label)}

    def words(self, case: str) -> str:
        """Truth and answers of a case, for people."""
        rows = [row for row in self.rows if row.case == case]
        return ", ".join(f"{r.target} {r.truth:.4g}, answer {r.prediction:.4g}" for r in rows)

    def write_csv(self, path: str | Path) -> Path:
        """One row per case and target."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        corrected = {name: corrected_gaps(self.of(name)) for name in self.targets}
        writer.writerow([*(f.name for f in fields(NumberRow)), "gap", "gap_corrected"])
        for r in self.rows:
            values = [*asdict(r).values(), r.gap, corrected[r.target][r.case]]
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])
        write_text(path, text.getvalue())
        return Path(path)

    @classmethod
    def read_csv(cls, path: str | Path) -> NumberEvaluation:
        """The inverse of ``write_csv`` (BadInput for another table)."""
        try:
            with Path(path).open(newline="", encoding="utf-8") as f:
                rows = [_row(values) for values in csv.DictReader(f)]
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise BadInput(f"is not a table of numbers ({error})", path, "Evaluate the run again") from error
        return cls(rows)


def _sds_off(row: NumberRow, sds: dict[str, float]) -> float:
    return abs(row.prediction - row.truth) / sds[row.target]


def _row(values: dict[str, str]) -> NumberRow:
    later = {name: float(values.get(name, "nan")) for name in ("sd", "promise")}  # tables of earlier versions lack them
    numbers = {name: float(values[name]) for name in ("truth", "prediction", "low", "high")} | later
    return NumberRow(values["case"], values["patient"], values["target"], **numbers)


def _figures(rows: Sequence[NumberRow]) -> dict[str, Any]:
    truth, guess = np.array([r.truth for r in rows]), np.array([r.prediction for r in rows])
    patients = [r.patient for r in rows]
    figures: dict[str, Any] = {
        "n": len(rows),
        "patients": len(set(patients)),
        "mae_of_mean": float(np.abs(truth - truth.mean()).mean()),
    }
    estimates = {
        "mae": mean_estimate(np.abs(guess - truth), patients).within(NOT_NEGATIVE),
        "rmse": root_mean_square(guess - truth, patients),
        "r2": jackknife(r_squared, truth, guess, groups=patients, scale="one minus"),
        "bias": mean_estimate(guess - truth, patients),
    }
    figures |= {name: as_dict(estimate) for name, estimate in estimates.items()}
    if len(rows) > 2:
        limits = bland_altman(guess, truth, groups=patients)
        figures["limits"] = [limits.lower.value, limits.upper.value]
    figures["bands"] = error_by_band(truth, guess, patients=patients)
    figures["gap"] = gap_figures(rows)
    given = [r for r in rows if math.isfinite(r.low) and math.isfinite(r.high)]
    if given:
        held, widths = [r.low <= r.truth <= r.high for r in given], [r.high - r.low for r in given]
        figures["interval"] = check_of(held, widths, given[0].promise, [r.patient for r in given]).to_dict()
    sure = [r for r in rows if math.isfinite(r.sd)]
    if len({r.sd for r in sure}) > 1:
        figures["abstention"] = abstention([-r.sd for r in sure], [abs(r.gap) for r in sure])
    return figures


def bias_line(truth: Numbers, gap: Numbers) -> tuple[float, float]:
    """Intercept and slope of the gap over the truth by least squares; the mean gap and 0 where the truth does not vary."""
    if len(truth) < 3 or float(np.ptp(truth)) == 0:
        return float(gap.mean()), 0.0
    slope, intercept = np.polyfit(truth, gap, 1)
    return float(intercept), float(slope)


def corrected_gaps(rows: Sequence[NumberRow]) -> dict[str, float]:
    """Case -> gap without what follows from the truth alone, since predictions are drawn to the middle (Smith et al. 2019).

    The line is fitted to the other patients (by turns of ten), so that no gap corrects itself. With fewer than three other cases
    nothing is corrected: NaN.
    """
    truth, gap = np.array([r.truth for r in rows]), np.array([r.gap for r in rows])
    found = np.full(len(rows), math.nan)
    for part in parts_of([r.patient for r in rows], len(rows)):
        if (~part).sum() >= 3:
            intercept, slope = bias_line(truth[~part], gap[~part])
            found[part] = gap[part] - intercept - slope * truth[part]
    return dict(zip((r.case for r in rows), found.tolist(), strict=True))


def gap_figures(rows: Sequence[NumberRow]) -> dict[str, Any]:
    """The gap of a set: mean and SD, the line over the truth, and the SD after correcting for it."""
    truth, gap = np.array([r.truth for r in rows]), np.array([r.gap for r in rows])
    intercept, slope = bias_line(truth, gap)
    corrected = np.array(list(corrected_gaps(rows).values()))
    known = corrected[np.isfinite(corrected)]
    spread = [float(np.std(v, ddof=1)) if len(v) > 1 else math.nan for v in (gap, known)]
    about = {"mean": float(gap.mean()), "sd": spread[0], "intercept": intercept, "slope": slope}
    return {**about, "sd_corrected": spread[1]}


def mae(truth: Numbers, guess: Numbers) -> float:
    """Mean absolute error."""
    return float(np.abs(guess - truth).mean())


def rmse(truth: Numbers, guess: Numbers) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(((guess - truth) ** 2).mean()))


def r_squared(truth: Numbers, guess: Numbers) -> float:
    """Share of the variance that is explained; NaN where the truth does not vary."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((guess - truth) ** 2).sum()) / spread if spread > 0 else math.nan


def bias(truth: Numbers, guess: Numbers) -> float:
    """Mean of prediction minus truth."""
    return float((guess - truth).mean())


def error_by_band(
    truth: Numbers, guess: Numbers, edges: Sequence[float] = (), patients: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Error in bands of the true value: from, to, n, mae {value, ci}, bias. Predictions drawn to the middle show here.

    Parameters
    ----------
    edges : rising ends of bands, the last one closed; values outside are in none. Empty: four bands with equally many cases.
    patients : per case; intervals draw whole patients.
    """
    ends = np.asarray(edges) if len(edges) else np.unique(np.quantile(truth, np.linspace(0, 1, BANDS + 1)))
    found = []
    for n, (low, high) in enumerate(itertools.pairwise(ends)):
        inside = (truth >= low) & ((truth < high) | ((n == len(ends) - 2) & (truth <= high)))
        if inside.any():
            t, g = truth[inside], guess[inside]
            error = np.abs(g - t).tolist()
            groups = [patients[k] for k in np.flatnonzero(inside).tolist()] if patients is not None else None
            interval = mean_estimate(error, groups).within(NOT_NEGATIVE)
            figures = {"value": mae(t, g), "ci": [interval.low, interval.high]}
            found.append(
                {"from": float(low), "to": float(high), "n": int(inside.sum()), "mae": figures, "bias": bias(t, g)}
            )
    return found
