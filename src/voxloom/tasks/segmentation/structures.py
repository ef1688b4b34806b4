"""Single structures in the predictions of a run: numbered from head to feet, with their volumes, and scored where truth is there.

Knows the recipe's ``inference.instances`` and the files of a run. How structures are found and matched is in
``voxloom.evaluation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset import Case, Labels
from voxloom.evaluation.instances import Structures, find_structures, match_label_maps, several_of
from voxloom.evaluation.structure_table import StructureTable, write_predicted
from voxloom.formats import read_label, write_volume
from voxloom.run.run import Run
from voxloom.tasks.segmentation.postprocessing import SMALLEST_SHARE, mean_volumes
from voxloom.training.settings import InferenceSettings
from voxloom.volume import Volume


@dataclass(frozen=True)
class StructureFinder:
    """How a run tells structures apart.

    Parameters
    ----------
    labels : of the run.
    several : labels that hold several structures each.
    smallest_ml : per label, predicted pieces below do not count as structures.
    """

    labels: Labels
    several: tuple[str, ...]
    smallest_ml: Mapping[str, float]

    @classmethod
    def of(cls, run: Run, labels: Labels) -> StructureFinder | None:
        """What the recipe asks for; None where it does not ask for structures."""
        wanted = InferenceSettings.model_validate(run.recipe.inference).instances
        if wanted is None:
            return None
        several = several_of(wanted, labels)
        means = mean_volumes(run.data.get("fingerprint", {}))
        return cls(labels, several, {name: SMALLEST_SHARE * ml for name, ml in means.items() if name in several})

    def in_prediction(self, volume: Volume) -> Structures:
        """Structures of a predicted label map."""
        return find_structures(volume, self.labels, self.several, self.smallest_ml)

    def score(self, predictions: Mapping[str, Path], cases: Sequence[Case]) -> StructureTable:
        """Match the structures of predictions on disk with the true ones."""
        table = StructureTable()
        for case in cases:
            truth = case.read_label()
            assert truth is not None
            found = read_label(predictions[case.id])
            matches = match_label_maps(found, truth, self.labels, self.several, self.smallest_ml)
            table.add(case.id, matches, patient=case.patient)
        return table


def score_structures(
    run: Run, labels: Labels, predictions: Mapping[str, Path], cases: Sequence[Case], folder: Path
) -> dict[str, Any]:
    """Write ``structures.csv`` into ``folder``; the entry ``structures`` of a summary, empty where the recipe asks for none."""
    finder = StructureFinder.of(run, labels)
    if finder is None or not cases:
        return {}
    table = finder.score(predictions, cases)
    table.write_csv(folder / "structures.csv")
    return {"structures": table.summary()}


def write_structures(run: Run, labels: Labels, predictions: Sequence[Path], out: Path) -> list[Path]:
    """Number the structures of predictions on disk: a map each in ``out/structures``, and all volumes in ``structures.csv``."""
    finder = StructureFinder.of(run, labels)
    if finder is None or not predictions:
        return []
    written, rows = [], []
    for path in predictions:
        volume = read_label(path)
        found = finder.in_prediction(volume)
        rows.append((path.name.split(".")[0], found.found))
        written.append(write_volume(volume.with_data(found.numbers[None]), out / "structures" / path.name))
    return [*written, write_predicted(out / "structures.csv", rows)]
