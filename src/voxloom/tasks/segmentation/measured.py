"""What a run's networks are measured by beside their label maps, and held-out cases measured anew by other metrics.

Knows the networks and the predictions that a run keeps. The metrics are in ``voxloom.evaluation``.
"""

from __future__ import annotations

from dataclasses import replace

from voxloom.dataset import Case, Labels
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_case
from voxloom.evaluation.measures import Measures
from voxloom.evaluation.probes import Probed, probe_case
from voxloom.formats import read_label
from voxloom.run.run import Run
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.tasks.study import open_study
from voxloom.volume import Volume


def probe(predictor: Predictor, case: Case, truth: Volume, labels: Labels, measures: Measures) -> Probed:
    """The probabilities of a case, predicted once more and before post-processing; no map of them is kept.

    Parameters
    ----------
    labels : what the values of ``truth`` mean, by the names of the run's labels.
    """
    image = case.read_image()
    return probe_case(predictor.planes(image), truth, labels, measures, predictor.labels.names)


def measure_held_out(run: Run, measures: Measures, device: str = "auto") -> Evaluation:
    """The held-out predictions of every fold, measured anew; where probabilities are asked for, its network predicts them again.

    Raises
    ------
    BadInput : the data set of the run has gone or changed, or a prediction is missing.
    """
    study = open_study(run)
    whole = Evaluation(study.labels.names, measures=measures)
    for number, fold in enumerate(study.folds):
        place = study.place(number)
        predictor = None
        if measures.needs_maps and fold.val:
            predictor = replace(Predictor.from_folds([place.folder], device=device), measures=measures)
        for case in (study.dataset[name] for name in fold.val):
            path = place.held_out.prediction(case.id)
            if not path.is_file():
                raise BadInput(
                    "no prediction of a held-out case", path, "Train the fold to its end: voxloom train --resume"
                )
            truth = truth_of(case)
            whole.add(case.id, evaluate_case(read_label(path), truth, study.labels, measures), patient=case.patient)
            if predictor is not None:
                whole.add_probed(case.id, probe(predictor, case, truth, study.labels, measures))
    return whole
