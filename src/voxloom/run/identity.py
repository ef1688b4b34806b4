"""Which weights a run has: one hash that names the model in every result of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from voxloom.digests import file_digests
from voxloom.run.run import Run
from voxloom.runfiles import RunFold


def weights_id(run: Run) -> str:
    """SHA-256 of the weights of a run: that of its model card for one fold, over those of all folds in order else.

    Raises
    ------
    BadInput : no fold has been trained yet.
    """
    said = run.summary.get("folds", {})
    hashes = [str(said.get(fold.name, {}).get("weights_sha256", "")) for fold in run.folds]
    return one_of(hashes) if all(hashes) else files_id(run.folds)


def files_id(folds: Sequence[RunFold]) -> str:
    """SHA-256 over the weights' files of some folds, which need not be of one run."""
    files = [fold.weights for fold in folds]
    digests = file_digests(files)
    return one_of([digests[file] for file in files])


def one_of(hashes: Sequence[str]) -> str:
    """One hash of several, in their order."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
