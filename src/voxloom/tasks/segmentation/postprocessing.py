"""Which post-processing steps a run keeps: each is tried on the held-out cases, and what it gains is written down.

Knows predictions on disk, the recipe's steps and the summary's ``postprocess``. The steps themselves are in ``inference``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Dataset, Labels
from voxloom.evaluation import dice_score
from voxloom.formats import read_label, write_volume
from voxloom.inference.mask_steps import DEFAULT_AMOUNT, StepName, Surroundings
from voxloom.inference.order import name_in_order
from voxloom.inference.postprocess import apply_step
from voxloom.tasks.segmentation.rows import from_head_to_feet
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.training.settings import InferenceSettings, When
from voxloom.volume import Volume, spacing_of

#: A step must gain this much mean Dice on the held-out cases to be kept.
WORTHWHILE_GAIN = 1e-4

#: Between the labels of a row.
ROW = " > "
#: A piece below this share of the mean volume of one structure has no name of its own.
SMALLEST_SHARE = 0.2

#: Probabilities of a scan by label name, (I, J, K) on its own grid.
Activations = Callable[[str], NDArray[Any]]


@dataclass(frozen=True)
class ChosenStep:
    """One step for one label.

    Parameters
    ----------
    step, label, amount : what is done, see ``voxloom.inference.mask_steps.run_step``. Of "name_in_order" the label is all of them from
        head to feet, parted by ``ROW``.
    mean_ml : mean volume of one structure of the label in the run's cases.
    when : "auto", "unless_worse" or "always".
    gain : mean Dice on the held-out cases after minus before; None where there is none.
    used : whether predictions go through it.
    """

    step: StepName | Literal["name_in_order"]
    label: str
    amount: float
    mean_ml: float | None = None
    when: When = "auto"
    gain: float | None = None
    used: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it changes."""
        return tuple(self.label.split(ROW)) if self.step == "name_in_order" else (self.label,)

    def apply(
        self, outer: NDArray[Any], labels: Labels, affine: NDArray[np.float64], activations: Activations
    ) -> NDArray[Any]:
        """The label map after the step (I, J, K), outer values."""
        if self.step == "name_in_order":
            least = self.amount * (self.mean_ml or 0.0)
            return name_in_order(outer, labels, self.labels, activations, affine, least)
        spacing = spacing_of(affine)
        around = Surroundings(spacing, lambda: activations(self.label), self.mean_ml)
        return apply_step(outer, labels, self.label, self.step, self.amount, around)


def used_steps(summary: Mapping[str, Any]) -> tuple[ChosenStep, ...]:
    """The steps that a run's ``summary.json`` says are used."""
    known = [ChosenStep(**{**entry, "amount": float(entry["amount"])}) for entry in summary.get("postprocess", ())]
    return tuple(step for step in known if step.used)


def planned_steps(
    settings: InferenceSettings, labels: Labels, fingerprint: Mapping[str, Any], dataset: Dataset
) -> list[ChosenStep]:
    """The recipe's steps, label by label; names in order once for all their labels, where there are two or more.

    ``dataset`` tells in which order labels lie where the recipe does not name them.
    """
    means, planned = mean_volumes(fingerprint), []
    for s in settings.postprocess:
        if s.step == "name_in_order":
            row = s.labels or from_head_to_feet(dataset.cases, labels)
            known = [means[name] for name in row if name in means]
            if len(row) > 1 and not labels.has_regions:
                share = SMALLEST_SHARE if s.amount is None else s.amount
                planned.append(
                    ChosenStep(s.step, ROW.join(row), share, float(np.mean(known)) if known else None, s.when)
                )
            continue
        amount = DEFAULT_AMOUNT[s.step] if s.amount is None else s.amount
        planned += [ChosenStep(s.step, name, amount, means.get(name), s.when) for name in s.labels or labels.names]
    return planned


def mean_volumes(fingerprint: Mapping[str, Any]) -> dict[str, float]:
    """Per label the mean volume in ml of its connected pieces over all cases of a ``data.json``."""
    ml: dict[str, float] = {}
    pieces: dict[str, int] = {}
    for case in fingerprint.get("cases", ()):
        voxel = float(np.prod(case["spacing"])) / 1000
        for name, voxels in case["label_voxels"].items():
            ml[name] = ml.get(name, 0.0) + voxels * voxel
            pieces[name] = pieces.get(name, 0) + case["components"].get(name, 0)
    return {name: volume / pieces[name] for name, volume in ml.items() if pieces[name]}


def postprocess_predictions(
    planned: Iterable[ChosenStep],
    predictions: Mapping[str, Path],
    dataset: Dataset,
    labels: Labels,
    activations: Callable[[str], contextlib.AbstractContextManager[Activations]],
) -> list[ChosenStep]:
    """Try one step after the other on predictions on disk, keep those that help, and write the files anew.

    Parameters
    ----------
    planned : the steps, in their order; each is tried on what the steps before it left.
    predictions : file of every held-out case.
    activations : gives the probabilities of a case's scan.

    Returns
    -------
    The steps with their gains; without predictions a step is used where the recipe says always or unless_worse.
    """
    decided = []
    for step in planned:
        after = {}
        for case, path in predictions.items():
            with lazily(activations, case) as found:
                after[case] = _after(step, path, labels, found)
        gains = [_gain(dataset, labels, name, c, predictions[c], after[c]) for c in predictions for name in step.labels]
        gain = float(np.mean(gains)) if gains else None
        used = is_kept(step.when, gain)
        decided.append(replace(step, gain=gain, used=used))
        if used:
            for case, path in predictions.items():
                write_volume(after[case], path)
    return decided


def is_kept(when: When, gain: float | None) -> bool:
    """Whether a step is used that gained so much mean Dice on the held-out cases (None: there are none)."""
    if when == "auto":
        return gain is not None and gain > WORTHWHILE_GAIN
    return when == "always" or gain is None or gain >= -WORTHWHILE_GAIN


@contextlib.contextmanager
def lazily(
    activations: Callable[[str], contextlib.AbstractContextManager[Activations]], case: str
) -> Iterator[Activations]:
    """Load networks and scan of a case only when its probabilities are asked for."""
    with contextlib.ExitStack() as stack:
        opened: list[Activations] = []

        def ask(label: str) -> NDArray[Any]:
            if not opened:
                opened.append(stack.enter_context(activations(case)))
            return opened[0](label)

        yield ask


def _after(step: ChosenStep, path: Path, labels: Labels, activations: Activations) -> Volume:
    found = read_label(path)
    return found.with_data(step.apply(found.data[0], labels, found.affine, activations)[None])


def _gain(dataset: Dataset, labels: Labels, label: str, case: str, before: Path, after: Volume) -> float:
    """Dice of a label after minus before; ignored voxels count nowhere."""
    truth = truth_of(dataset[case]).data[0]
    valid = labels.valid(truth)

    def mask(outer: NDArray[Any]) -> NDArray[np.bool_]:
        whole = np.isin(outer, labels.foreground[labels.names.index(label)].values)
        return whole if valid is None else whole & valid

    true = mask(truth)
    return dice_score(mask(after.data[0]), true) - dice_score(mask(read_label(before).data[0]), true)


def as_json(decided: Sequence[ChosenStep]) -> list[dict[str, Any]]:
    """Entries of the summary; an amount without bound becomes the text "inf"."""
    return [{**asdict(m), "amount": m.amount if np.isfinite(m.amount) else "inf"} for m in decided]
