"""What runs predicted of the cases of a store: a folder per run, with the file, what is known of it, and maps beside it.

Knows names of files; that there is such a case is the store's to say.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxloom.files import read_json, write_json
from voxloom.serve.refusals import NotThere
from voxloom.serve.store.ids import safe_id

#: Ending of what a run predicts, by kind.
PREDICTED: Mapping[str, str] = {"label": ".nii.gz", "points": ".mrk.json", "answer": ".answer.json"}
#: Maps beside a prediction.
MAPS = ("uncertainty", "activation")


@dataclass(frozen=True)
class Prediction:
    """What is kept of a prediction.

    Parameters
    ----------
    kind : "label", "points" or "answer" (a class or numbers).
    weights : hash of the run's weights.
    dice : label -> Dice against the truth, and ``mean``; none without truth.
    quality : "dice" and "bound" that the run itself expects; none of a run that is not calibrated.
    """

    kind: str
    weights: str
    seconds: float | None = None
    dice: Mapping[str, float] = field(default_factory=dict)
    quality: Mapping[str, float] = field(default_factory=dict)


def kind_of(file: Path) -> str:
    """What a run predicted, by the name of its file."""
    return next((kind for kind, ending in PREDICTED.items() if file.name.endswith(ending)), "answer")


class Predicted:
    """Predictions below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self, case: str) -> dict[str, Prediction]:
        """What is known of the predictions of a case, by run."""
        found = {}
        for folder in sorted(self._made().iterdir()):
            about = folder / f"{case}.json"
            if about.is_file():
                found[folder.name] = Prediction(**read_json(about))
        return found

    def file(self, case: str, run: str) -> Path:
        """The file of a prediction (NotThere where there is none)."""
        found = self.all(case).get(run)
        if found is None:
            raise NotThere("there is no such prediction", "prediction", "Ask for it: POST /api/predict")
        return self.folder / run / f"{case}{PREDICTED[found.kind]}"

    def map(self, case: str, run: str, kind: str, answer: str) -> Path:
        """A map beside a prediction, of an answer; the first where none is named (NotThere where there is none)."""
        stem = f"{case}.{kind}"
        files = sorted((self.folder / safe_id(run)).glob(f"{stem}*.nii.gz")) if kind in MAPS else []
        if answer:
            files = [path for path in files if path.name == f"{stem}.{safe_id(answer)}.nii.gz"]
        if not files:
            fix = "Ask for it: POST /api/predict with uncertainty, or POST /api/explain"
            raise NotThere("there is no such map", "prediction", fix)
        return files[0]

    def keep(self, case: str, run: str, file: Path, about: Prediction, uncertainty: Path | None) -> None:
        """Move the files of a prediction to their place, and write what is known of it."""
        folder = self._made(run)
        shutil.move(file, folder / f"{case}{PREDICTED[about.kind]}")
        if uncertainty is not None:
            shutil.move(uncertainty, folder / f"{case}.uncertainty.nii.gz")
        write_json(folder / f"{case}.json", {**vars(about), "dice": dict(about.dice), "quality": dict(about.quality)})

    def keep_maps(self, case: str, run: str, maps: Mapping[str, Path]) -> None:
        """Move maps of class activation to their place, by answer."""
        folder = self._made(run)
        for answer, path in maps.items():
            shutil.move(path, folder / f"{case}.activation.{safe_id(answer)}.nii.gz")

    def _made(self, run: str = "") -> Path:
        folder = self.folder / safe_id(run) if run else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder
