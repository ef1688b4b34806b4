"""The figures of many cases: rows that can be added, summed up, written and read back.

Knows ``metrics.csv`` and nnU-Net's ``summary.json``. Does not know where masks come from.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation.further import FURTHER, own_in
from voxloom.evaluation.limits import limits_of
from voxloom.evaluation.losses import CaseLoss, worst_first
from voxloom.evaluation.measures import PROBABLE, USUAL, Measures
from voxloom.evaluation.metrics import METRICS, MaskMetrics
from voxloom.evaluation.patients import patients_note
from voxloom.evaluation.probes import Probed, ProbeTable
from voxloom.evaluation.statistics.means import share_estimate
from voxloom.evaluation.summary import summarize
from voxloom.evaluation.units import MM, common, named
from voxloom.files import write_json, write_text

#: Metrics that tables of earlier versions lack.
_LATER = ("objects_prediction", "objects_truth")
#: All labels pooled, among the figures of Dice; and the table before post-processing, beside ``metrics.csv``.
TOTAL, BEFORE = "total", "_raw"
#: What is told of the figures before post-processing.
_TOLD_BEFORE = ("dice", "hd", "hd95", "objects_prediction")
#: Columns of ``metrics.csv``; further metrics stand before the last two.
COLUMNS = ("case", "patient", "label", *METRICS, "kind", "unit")


@dataclass(frozen=True)
class Row:
    """One label of one case."""

    case: str
    patient: str
    label: str
    metrics: MaskMetrics


@dataclass
class Evaluation:
    """Metrics per case and label.

    Parameters
    ----------
    labels : names, in order.
    rows : what was added so far.
    missing : cases that have a truth but no prediction; they count as failures.
    notes : what a reader of the figures must know.
    measures : further metrics and the conventions.
    before : the same cases before post-processing, where predictions were post-processed; written beside the table.
    probes : what was measured of probabilities, where it was asked for; written beside the table.
    """

    labels: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    measures: Measures = USUAL
    before: Evaluation | None = None
    probes: ProbeTable | None = None

    def __repr__(self) -> str:
        """How much it holds; ``summary`` has the figures."""
        return f"Evaluation({len(self.cases)} cases of {len(set(self.patients.values()))} patients: {', '.join(self.labels)})"

    def add(self, case: str, metrics: Mapping[str, MaskMetrics], *, patient: str | None = None) -> None:
        """Add all labels of one case."""
        self.rows += [Row(case, patient or case, label, metrics[label]) for label in self.labels]

    def extend(self, other: Evaluation) -> None:
        """Add all rows of another evaluation with the same labels."""
        self.rows += other.rows
        self.missing += other.missing
        self.notes += other.notes
        if other.before is not None:
            self.before = self.before or Evaluation(self.labels)
            self.before.extend(other.before)
        if other.probes is not None:
            self.probes = self.probes or ProbeTable()
            self.probes.extend(other.probes)

    def add_probed(self, case: str, probed: Probed) -> None:
        """Add what was measured of the probabilities of the case that was added last."""
        for n in range(
            len(self.rows) - 1, -1, -1
        ):  # a case is probed after it was added, so its rows are the last ones
            if self.rows[n].case != case:
                break
            self.rows[n] = _with_values(self.rows[n], probed.values[self.rows[n].label])
        self.probes = self.probes or ProbeTable()
        self.probes.add(case, self.rows[-1].patient, probed)

    def take_probed(self, other: Evaluation) -> None:
        """Take over what another table of the same cases has of their probabilities, which post-processing leaves as they are."""
        known = {(row.case, row.label): row.metrics.further for row in other.rows}
        self.rows = [
            _with_values(row, {m: v for m, v in known[row.case, row.label].items() if m in PROBABLE})
            for row in self.rows
        ]
        self.probes = other.probes

    def add_before(self, case: str, metrics: Mapping[str, MaskMetrics], *, patient: str | None = None) -> None:
        """Add all labels of one case as they were before post-processing."""
        self.before = self.before or Evaluation(self.labels)
        self.before.add(case, metrics, patient=patient)

    @property
    def cases(self) -> list[str]:
        """Ids of the cases, in order of first appearance."""
        return list(dict.fromkeys(row.case for row in self.rows))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what was measured: the usual metrics, then the further ones."""
        further = self.rows[0].metrics.further if self.rows else {}
        return (*METRICS, *further)

    @property
    def unit(self) -> str:
        """Of distances: ``mm``, ``pixel`` where the images have no voxel size, or ``mixed``."""
        return common(row.metrics.unit for row in self.rows)

    @property
    def patients(self) -> dict[str, str]:
        """Case -> patient."""
        return {row.case: row.patient for row in self.rows}

    def values(self, metric: str, label: str) -> list[float]:
        """One metric of one label, in row order."""
        return [row.metrics.value(metric) for row in self.rows if row.label == label]

    def case_means(self, metric: str) -> dict[str, float]:
        """Mean over labels of one metric, per case; labels without a value in a case are left out, NaN where none has one."""
        found: dict[str, list[float]] = {}
        for row in self.rows:
            found.setdefault(row.case, []).append(row.metrics.value(metric))
        known = {case: [v for v in numbers if not math.isnan(v)] for case, numbers in found.items()}
        return {case: float(np.mean(numbers)) if numbers else math.nan for case, numbers in known.items()}

    def losses(self) -> list[CaseLoss]:
        """1 - mean Dice over the labels per case, the worst first; the answer names the worst label."""
        patients = self.patients
        labels: dict[str, dict[str, float]] = {}
        for row in self.rows:
            labels.setdefault(row.case, {})[row.label] = row.metrics.dice
        found = []
        for case, mean in self.case_means("dice").items():
            worst = min(labels[case], key=labels[case].__getitem__)
            told = f"Dice {mean:.3f}" + (f", {worst} {labels[case][worst]:.3f}" if len(labels[case]) > 1 else "")
            found.append(CaseLoss(case, patients[case], ", ".join(self.labels), told, 1 - mean))
        return worst_first(found)

    def totals(self) -> dict[str, float]:
        """Dice of all labels pooled, per case: 2 sum |A and B| / sum (|A| + |B|) over the labels, so that large structures weigh more.

        The "Total" of Kloenne et al. (2019), their equation 2 over all classes. A case without any structure in truth and prediction
        counts as 1.
        """
        sums: dict[str, list[float]] = {}
        for row in self.rows:
            m, held = row.metrics, sums.setdefault(row.case, [0.0, 0.0])
            size = m.volume_ml_prediction + m.volume_ml_truth
            held[0] += m.dice * size
            held[1] += size
        return {case: both / size if size else 1.0 for case, (both, size) in sums.items()}

    def summary(self) -> dict[str, Any]:
        """metric -> label -> figures of ``summarize``; label ``mean`` is the mean over labels per case.

        Of Dice, ``total`` is that of all labels pooled (``totals``). ``raw`` has Dice, Hausdorff distances and objects before
        post-processing, where there was any.
        ``kinds`` counts, per label, how often which mask was empty; ``failed`` the cases of Dice 0 with their share and its interval
        (that of the mean speaks of patients like those seen, so it knows nothing of failures where none was seen); ``missing`` lists
        cases without a prediction; ``patients`` counts them, and ``patients_note`` says what was taken as a patient.
        """
        unit = self.unit
        result: dict[str, Any] = {named(metric, unit): self._metric_summary(metric) for metric in self.metrics}
        result["unit"] = unit
        result["kinds"] = {label: self._kinds(label) for label in self.labels}
        result["failed"] = {label: self._failed(label) for label in self.labels}
        result["conventions"] = self.measures.notes()
        result["measures"] = self.measures.model_dump(mode="json")
        result["cases"] = len(self.cases)
        result["patients"] = len(set(self.patients.values()))
        result["patients_note"] = patients_note(self.patients)
        result["missing"] = list(self.missing)
        if self.probes is not None:
            result |= self.probes.summary()
        if self.before is not None:
            result["raw"] = {named(m, unit): self.before._metric_summary(m) for m in _TOLD_BEFORE}
        return result

    def _metric_summary(self, metric: str) -> dict[str, Any]:
        figures, limits = {}, limits_of(metric)
        for label in self.labels:
            patients = [row.patient for row in self.rows if row.label == label]
            figures[label] = summarize(self.values(metric, label), patients, limits)
        if len(self.labels) > 1:
            means = self.case_means(metric)
            figures["mean"] = summarize(list(means.values()), [self.patients[case] for case in means], limits)
        if metric == "dice" and len(self.labels) > 1 and TOTAL not in self.labels:
            totals = self.totals()
            figures[TOTAL] = summarize(list(totals.values()), [self.patients[case] for case in totals], limits)
        return figures

    def _kinds(self, label: str) -> dict[str, int]:
        kinds = [row.metrics.kind for row in self.rows if row.label == label]
        return {kind: kinds.count(kind) for kind in ("ok", "both_empty", "truth_empty", "prediction_empty")}

    def _failed(self, label: str) -> dict[str, Any]:
        rows = [row for row in self.rows if row.label == label]
        lost = [row.metrics.dice == 0 for row in rows]
        share = share_estimate(lost, [row.patient for row in rows])
        return {"n": sum(lost), "of": len(rows), "share": share.value, "ci": [share.low, share.high]}

    def failures(self, below: float = 0.5) -> list[Row]:
        """Rows with one mask empty, or Dice below ``below``, worst first."""
        bad = [r for r in self.rows if r.metrics.kind in ("truth_empty", "prediction_empty") or r.metrics.dice < below]
        return sorted(bad, key=lambda row: row.metrics.dice)

    def write_csv(self, path: str | Path) -> Path:
        """Write ``metrics.csv``, whole or not at all; beside it ``metrics_raw.csv`` where there was post-processing, and the tables of
        probabilities (``voxloom.evaluation.probes``) where they were measured."""
        raw = Path(path).with_name(f"{Path(path).stem}{BEFORE}.csv")
        if self.before is not None:
            self.before.write_csv(raw)
        else:
            raw.unlink(missing_ok=True)  # of an earlier evaluation
        if not Path(path).stem.endswith(BEFORE):
            (self.probes or ProbeTable()).write(raw.parent)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = self.metrics
        columns = [*COLUMNS[:3], *names, *COLUMNS[-2:]]
        writer.writerow([named(column, self.unit) for column in columns])
        for row in self.rows:
            numbers = [str(row.metrics.value(name)) for name in names]
            writer.writerow([row.case, row.patient, row.label, *numbers, row.metrics.kind, row.metrics.unit])
        write_text(path, text.getvalue())
        return Path(path)

    @classmethod
    def read_csv(cls, path: str | Path) -> Evaluation:
        """Read ``metrics.csv`` (BadInput when a column is missing or a number cannot be read)."""
        try:
            with Path(path).open(newline="", encoding="utf-8") as f:
                rows = [_parse(line) for line in csv.DictReader(f)]
        except (KeyError, ValueError, TypeError) as error:
            raise BadInput(f"not a table of metrics ({error})", path, "Write it with: voxloom evaluate") from error
        raw = Path(path).with_name(f"{Path(path).stem}{BEFORE}.csv")
        before = cls.read_csv(raw) if raw.is_file() else None
        probes = None if Path(path).stem.endswith(BEFORE) else ProbeTable.read(raw.parent)
        return cls(list(dict.fromkeys(row.label for row in rows)), rows, before=before, probes=probes)

    def write_nnunet_summary(
        self, path: str | Path, files: Mapping[str, tuple[str, str]], values: Mapping[str, str]
    ) -> Path:
        """Write a ``summary.json`` as nnU-Net does: Dice, IoU and counts of voxels per case and label, and their means.

        Counts (TP, FP, FN, TN, n_pred, n_ref) are left out where the rows were read from a table, which does not hold them.

        Parameters
        ----------
        files : case -> (reference file, prediction file).
        values : label name -> nnU-Net's key of the label (its value as text).
        """
        found: dict[str, dict[str, dict[str, float]]] = {}
        for row in self.rows:
            found.setdefault(row.case, {})[values[row.label]] = _nnunet_metrics(row.metrics)
        per_case: list[dict[str, Any]] = [
            {"reference_file": files[case][0], "prediction_file": files[case][1], "metrics": metrics}
            for case, metrics in found.items()
        ]
        mean = {values[label]: _mean_of(entry["metrics"][values[label]] for entry in per_case) for label in self.labels}
        write_json(path, {"metric_per_case": per_case, "mean": mean, "foreground_mean": _mean_of(mean.values())})
        return Path(path)


def _with_values(row: Row, values: Mapping[str, float]) -> Row:
    return replace(row, metrics=replace(row.metrics, further={**row.metrics.further, **values}))


def _parse(line: Mapping[str, str]) -> Row:
    unit = line.get("unit") or MM  # earlier versions wrote none
    known = [name for name in METRICS if name not in _LATER or name in line]
    numbers = {name: float(line[named(name, unit) if named(name, unit) in line else name]) for name in known}
    further = {
        name: float(line[name]) for name in (*FURTHER, *PROBABLE, *own_in(line)) if line.get(name) not in (None, "")
    }
    metrics = MaskMetrics(**numbers, kind=line["kind"], unit=unit, further=further)  # type: ignore[arg-type]
    return Row(line["case"], line["patient"], line["label"], metrics)


def _nnunet_metrics(m: MaskMetrics) -> dict[str, float]:
    """nnU-Net's own keys in its spelling, and distances beside them."""
    figures = {"Dice": m.dice, "IoU": m.iou, "HD95": m.hd95, "ASSD": m.assd}
    if (n := m.counts) is None:
        return figures
    counted = {"TP": n.true_positive, "FP": n.false_positive, "FN": n.false_negative, "TN": n.true_negative}
    return {**figures, **counted, "n_pred": n.predicted, "n_ref": n.true}


def _mean_of(entries: Iterable[Mapping[str, float]]) -> dict[str, float]:
    listed = list(entries)
    names = listed[0] if listed else {}
    return {name: float(np.mean([e[name] for e in listed])) if listed else math.nan for name in names}
