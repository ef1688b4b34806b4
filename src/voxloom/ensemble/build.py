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
from voxloom.ensemble.members import EnsembleMember, check_members, common_cases, find_members
from voxloom.ensemble.predictor import DESCRIPTION, STACK, Rule, combine
from voxloom.ensemble.stack import StackCase, StackNetwork, train_stack
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_case
from voxloom.files import atomic_path, write_json
from voxloom.progress import Progress
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.volume import Volume

#: A stack is scored by so many trainings, each without the patients that it is scored on.
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
    seed, steps : of the stack's training.

    Raises
    ------
    BadInput : the members do not fit together, ``out`` is not empty, or a stack has fewer than four patients to learn from that
        every member held out.
    """
    members = find_members(paths, each_fold=each_fold)
    if out.exists() and any(out.iterdir()):
        raise BadInput("the folder is not empty", out, "Choose another with -o")
    check_members(members, [member.predictor(device="cpu") for member in members])
    dataset, labels, ids = common_cases(members)
    patients = {dataset[case].patient for case in ids}
    if rule == "stack" and len(patients) < 4:
        raise BadInput(
            f"a stack learns from patients that every member held out, and there are {len(patients)}",
            members[0].run,
            "Train the members with the same folds (--folds 5), or use --by mean",
        )
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        voices = _Voices(members, labels, Path(folder), device)
        scored, stack = _score(voices, dataset.subset(ids), rule, seed, steps, progress)
    return _write(out, rule, members, scored, stack)


class _Voices:
    """What the members say of cases that they never saw; probabilities of a case are computed once and kept on disk."""

    def __init__(self, members: list[EnsembleMember], labels: Labels, folder: Path, device: str) -> None:
        self.members, self.labels, self.folder, self.device = members, labels, folder, device
        self.loaded: dict[tuple[int, str], Predictor] = {}
        self.files: dict[str, Path] = {}

    def predictor(self, n: int, case: str) -> Predictor:
        """The networks of member ``n`` that held the case out."""
        fold = self.members[n].held_out[case]
        if (n, fold) not in self.loaded:
            self.loaded[n, fold] = self.members[n].predictor(fold, self.device)
        return self.loaded[n, fold]

    def probabilities(self, case: Case) -> NDArray[np.float16]:
        """(members * maps, I, J, K) on the case's own grid, on disk."""
        if case.id in self.files:
            return np.load(self.files[case.id], mmap_mode="r")  # type: ignore[no-any-return]
        path = self.files[case.id] = self.folder / f"{len(self.files)}.npy"
        volume = case.read_image()
        maps = self.predictor(0, case.id).maps
        out = np.lib.format.open_memmap(path, "w+", np.float16, (len(self.members) * maps, *volume.shape))
        for n in range(len(self.members)):
            self.predictor(n, case.id).probabilities(volume, out[n * maps : (n + 1) * maps])
        return out


def _score(
    voices: _Voices, cases: Dataset, rule: Rule, seed: int, steps: int, progress: Progress | None
) -> tuple[dict[str, Evaluation], StackNetwork | None]:
    """Figures of every member and of the ensemble, and the stack that learned from all cases."""
    scored = {member.name: Evaluation(voices.labels.names) for member in voices.members}
    scored["ensemble"] = Evaluation(voices.labels.names)
    learned = _learn(voices, cases, seed, steps) if rule == "stack" else {}
    for done, case in enumerate(cases, start=1):
        image, truth = case.read_image(), truth_of(case)
        maps = [voices.predictor(n, case.id).predict(image).data[0] for n in range(len(voices.members))]
        together = vote(maps, voices.labels) if rule == "vote" else _combined(voices, case, image, learned.get(case.id))
        for name, found in zip(scored, [*maps, together], strict=True):
            figures = evaluate_case(image.with_data(found[None]), truth, voices.labels)
            scored[name].add(case.id, figures, patient=case.patient)
        if progress is not None:
            progress(done, len(cases))
    return scored, learned.get("")


def _combined(voices: _Voices, case: Case, image: Volume, stack: StackNetwork | None) -> NDArray[Any]:
    held = voices.probabilities(case)
    maps = len(held) // len(voices.members)
    said = [held[n * maps : (n + 1) * maps] for n in range(len(voices.members))]
    return combine([partial(_copy, part) for part in said], maps, image, voices.labels, stack)


def _copy(source: NDArray[np.float16], out: NDArray[np.float16]) -> None:
    out[...] = source


def _learn(voices: _Voices, cases: Dataset, seed: int, steps: int) -> dict[str, StackNetwork]:
    """Case -> a stack that was trained without its patient; "" -> one that was trained on all."""
    ready = {
        case.id: StackCase(voices.probabilities(case), voices.labels.encode(truth_of(case).data[0])) for case in cases
    }
    train: Callable[[list[str]], StackNetwork] = lambda ids: train_stack(
        [ready[i] for i in ids], voices.labels, len(voices.members), steps=steps, seed=seed
    )
    patients = {case.patient for case in cases}
    found: dict[str, StackNetwork] = {}
    for fold in make_folds(cases, min(_SPLITS, len(patients)), seed=seed):
        found |= dict.fromkeys(fold.val, train(list(fold.train)))
    return {**found, "": train(list(ready))}


def _write(
    out: Path, rule: Rule, members: list[EnsembleMember], scored: dict[str, Evaluation], stack: StackNetwork | None
) -> BuiltEnsemble:
    cases = len(scored["ensemble"].cases)
    figures = {name: evaluation.summary() for name, evaluation in scored.items()} if cases else {}
    listed = [{"run": os.path.relpath(m.run, out.resolve()), "folds": list(m.folds)} for m in members]
    if stack is not None:
        from safetensors.torch import save_file

        with atomic_path(out / STACK) as temporary:
            save_file(stack.state_dict(), temporary)
    if cases:
        scored["ensemble"].write_csv(out / "metrics.csv")
    write_json(out / DESCRIPTION, {"format": 1, "rule": rule, "members": listed, "validation": figures})
    return BuiltEnsemble(out, cases, figures)
