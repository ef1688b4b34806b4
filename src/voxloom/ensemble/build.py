"""``build_ensemble``: put members together, learn to combine them where asked, and score them on cases that none has seen.

Knows the folder of an ensemble: ``ensemble.json`` (rule, members, figures), ``metrics.csv``, ``stack.safetensors``. Every
figure is out of fold: a member speaks for a case by the fold that held it out, and the stack that is scored on a case was
trained without that patient.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Case, Dataset, Labels, make_folds
from voxloom.ensemble.combine import vote
from voxloom.ensemble.members import (
    EnsembleMember,
    best_members,
    check_members,
    common_cases,
    find_members,
    targets_first,
)
from voxloom.ensemble.predictor import DESCRIPTION, STACK, Rule, combine
from voxloom.ensemble.stack import StackCase, StackNetwork, train_stack
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_case, robustness
from voxloom.files import atomic_path, write_json
from voxloom.progress import Progress
from voxloom.runfiles import TABLE, RunFold, names_of
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.volume import Volume

#: A stack of members with unlike folds is scored by so many trainings, each without the patients that it is scored on.
_SPLITS = 5
_STEPS = 300


@dataclass(frozen=True)
class BuiltEnsemble:
    """An ensemble and its figures.

    Parameters
    ----------
    folder : of the ensemble.
    cases : how many cases no member has seen.
    figures : member, and "ensemble" -> metric -> label -> figures, on these cases; empty where there are none.
    """

    folder: Path
    cases: int
    figures: dict[str, Any]


def build_ensemble(
    paths: Sequence[Path],
    out: Path,
    rule: Rule = "mean",
    *,
    each_fold: bool = False,
    best: int | None = None,
    device: str = "auto",
    seed: int = 0,
    steps: int = _STEPS,
    progress: Progress | None = None,
) -> BuiltEnsemble:
    """Make an ensemble of runs or folds.

    Parameters
    ----------
    paths : folders of runs or of folds.
    out : folder of the ensemble; made.
    rule : "mean", "vote" or "stack".
    each_fold : every fold is a member of its own.
    best : of every kind of network so many with the best held-out Dice, see ``best_members``; None takes all.
    seed, steps : of the stack's training.

    Raises
    ------
    BadInput : the members do not fit together (a stack takes members with other labels of the same values), ``out`` is not empty, or
        a stack has fewer than four patients to learn from that every member held out.
    """
    members = find_members(paths, each_fold=each_fold)
    if out.exists() and any(out.iterdir()):
        raise BadInput("the folder is not empty", out, "Choose another with -o")
    if best is not None and len(members := best_members(members, best)) < 2:
        raise BadInput("an ensemble needs two members, and one is left", members[0].run, "Choose a larger --best")
    predictors = [member.predictor(device="cpu") for member in members]
    alike = len(members)
    if rule == "stack":
        members, alike = targets_first(members, predictors)
    else:
        check_members(members, predictors)
    del predictors
    dataset, labels, ids = common_cases(members)
    patients = {dataset[case].patient for case in ids}
    if rule == "stack" and len(patients) < 4:
        raise BadInput(
            f"a stack learns from patients that every member held out, and there are {len(patients)}",
            members[0].run,
            "Train the members with the same folds (--folds 5), or use --by mean",
        )
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        out_of_fold = _OutOfFold(members, alike, labels, Path(folder), device)
        scored, stacks = _score(out_of_fold, dataset.subset(ids), rule, seed, steps, progress)
    return _write(out, rule, out_of_fold, scored, stacks)


class _OutOfFold:
    """What the members say of cases that they never saw; probabilities of a case are computed once and kept on disk."""

    def __init__(self, members: list[EnsembleMember], alike: int, labels: Labels, folder: Path, device: str) -> None:
        self.members, self.alike, self.labels, self.folder, self.device = members, alike, labels, folder, device
        self.loaded: dict[tuple[int, RunFold], Predictor] = {}
        self.files: dict[str, Path] = {}

    def predictor(self, n: int, case: str) -> Predictor:
        """The networks of member ``n`` that held the case out."""
        fold = self.members[n].held_out[case]
        if (n, fold) not in self.loaded:
            self.loaded[n, fold] = self.members[n].predictor(fold, self.device)
        return self.loaded[n, fold]

    def probabilities(self, case: Case) -> NDArray[np.float16]:
        """The maps of all members, one member behind the other (sum of maps, I, J, K), on the case's own grid, on disk."""
        if case.id in self.files:
            return np.load(self.files[case.id], mmap_mode="r")  # type: ignore[no-any-return]
        path = self.files[case.id] = self.folder / f"{len(self.files)}.npy"
        volume = case.read_image()
        speakers = [self.predictor(n, case.id) for n in range(len(self.members))]
        ends = np.cumsum([speaker.maps for speaker in speakers])
        out = np.lib.format.open_memmap(path, "w+", np.float16, (int(ends[-1]), *volume.shape))
        for speaker, end in zip(speakers, ends, strict=True):
            speaker.probabilities(volume, out[end - speaker.maps : end])
        return out

    def division(self, cases: Dataset) -> list[list[str]]:
        """The held-out cases fold by fold, where all members have the same folds and each leaves two patients to learn from.

        Otherwise a division of our own, by patients.
        """
        parts: dict[tuple[RunFold, ...], list[str]] = {}
        for case in cases:
            parts.setdefault(tuple(member.held_out[case.id] for member in self.members), []).append(case.id)
        everyone = {case.patient for case in cases}
        apart = [{cases[case].patient for case in part} for part in parts.values()]
        common = len(parts) == len({key[0] for key in parts}) and sum(map(len, apart)) == len(everyone)
        if common and len(parts) > 1 and all(len(everyone - part) > 1 for part in apart):
            return [parts[key] for key in sorted(parts)]
        return [list(fold.val) for fold in make_folds(cases, min(_SPLITS, len(everyone)))]


def _score(
    out_of_fold: _OutOfFold, cases: Dataset, rule: Rule, seed: int, steps: int, progress: Progress | None
) -> tuple[dict[str, Evaluation], _Stacks | None]:
    """Figures of every member, by its own labels, and of the ensemble, and the stacks."""
    own = [member.predictor(device="cpu").labels for member in out_of_fold.members]
    scored = {member.name: Evaluation(labels.names) for member, labels in zip(out_of_fold.members, own, strict=True)}
    scored["ensemble"] = Evaluation(out_of_fold.labels.names)
    learned = _learn(out_of_fold, cases, seed, steps) if rule == "stack" else None
    for done, case in enumerate(cases, start=1):
        image, truth = case.read_image(), truth_of(case)
        maps = [out_of_fold.predictor(n, case.id).predict(image).data[0] for n in range(len(out_of_fold.members))]
        stack = None if learned is None else learned.without(case.id)
        together = vote(maps, out_of_fold.labels) if rule == "vote" else _combined(out_of_fold, case, image, stack)
        for name, found, labels in zip(scored, [*maps, together], [*own, out_of_fold.labels], strict=True):
            figures = evaluate_case(image.with_data(found[None]), truth, labels)
            scored[name].add(case.id, figures, patient=case.patient)
        if progress is not None:
            progress(done, len(cases))
    return scored, learned


def _combined(out_of_fold: _OutOfFold, case: Case, image: Volume, stack: StackNetwork | None) -> NDArray[Any]:
    held, said, start = out_of_fold.probabilities(case), [], 0
    for n in range(len(out_of_fold.members)):
        maps = out_of_fold.predictor(n, case.id).maps
        said.append((partial(_copy, held[start : start + maps]), maps))
        start += maps
    return combine(said, image, out_of_fold.labels, stack)


def _copy(source: NDArray[np.float16], out: NDArray[np.float16]) -> None:
    out[...] = source


@dataclass(frozen=True)
class _Stacks:
    """One stack per fold, which has not seen the cases of the fold; and ``whole``, one that learned from all.

    ``folds`` : cases of each fold.
    """

    folds: list[list[str]]
    per_fold: list[StackNetwork]
    whole: StackNetwork

    def without(self, case: str) -> StackNetwork:
        """The stack that has not seen a case."""
        return next(stack for ids, stack in zip(self.folds, self.per_fold, strict=True) if case in ids)


def _learn(out_of_fold: _OutOfFold, cases: Dataset, seed: int, steps: int) -> _Stacks:
    """One stack per fold of the members, trained on the cases of the other folds, and one on all cases."""
    ready = {
        case.id: StackCase(out_of_fold.probabilities(case), out_of_fold.labels.encode(truth_of(case).data[0]))
        for case in cases
    }
    train: Callable[[list[str]], StackNetwork] = lambda ids: train_stack(
        [ready[i] for i in ids], out_of_fold.labels, out_of_fold.alike, steps=steps, seed=seed
    )
    folds = out_of_fold.division(cases)
    return _Stacks(folds, [train([i for i in ready if i not in fold]) for fold in folds], train(list(ready)))


def _write(
    out: Path, rule: Rule, out_of_fold: _OutOfFold, scored: dict[str, Evaluation], stacks: _Stacks | None
) -> BuiltEnsemble:
    together = scored["ensemble"]
    cases = len(together.cases)
    figures: dict[str, Any] = {name: evaluation.summary() for name, evaluation in scored.items()} if cases else {}
    listed = [{"run": os.path.relpath(m.run, out.resolve()), "folds": names_of(m.folds)} for m in out_of_fold.members]
    if stacks is not None:
        _save(stacks.whole, out / STACK)
        for number, stack in enumerate(stacks.per_fold):
            _save(stack, RunFold(number, out).folder / STACK)
        figures["ensemble"]["robustness"] = robustness(
            {RunFold(n, out).name: _part(together, ids) for n, ids in enumerate(stacks.folds)}
        )
    if cases:
        scored["ensemble"].write_csv(out / TABLE)
    about = {"format": 1, "rule": rule, "alike": out_of_fold.alike, "members": listed, "validation": figures}
    write_json(out / DESCRIPTION, about)
    return BuiltEnsemble(out, cases, figures)


def _part(evaluation: Evaluation, ids: Sequence[str]) -> Evaluation:
    """The rows of some cases."""
    return Evaluation(evaluation.labels, [row for row in evaluation.rows if row.case in ids])


def _save(stack: StackNetwork, path: Path) -> None:
    """Write the weights, whole or not at all."""
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file(stack.state_dict(), temporary)
