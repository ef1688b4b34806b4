"""Segmentation as a task: label maps in, label maps out, on the grid of every scan; scored by overlap and surface distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from voxloom.attribution import Explainable
from voxloom.dataset import Case, Dataset, Fold, Labels
from voxloom.dataset.inspect import Fingerprint
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_case, robustness
from voxloom.evaluation.case import undeclared_values
from voxloom.evaluation.compare_masks import MASKS
from voxloom.evaluation.measures import Measures
from voxloom.evaluation.paired import Comparison
from voxloom.evaluation.scores import MASK_SCORES
from voxloom.evaluation.units import PIXEL
from voxloom.files import file_stem
from voxloom.formats import read_label, write_volume
from voxloom.formats.dicom.results.terms import Findings
from voxloom.formats.picture import PICTURE_AFFINE
from voxloom.inference.device import card_of
from voxloom.prepare import PreparedCase, Statistics
from voxloom.recipe.recipe import Recipe
from voxloom.report.dice_table import dice_rows, metric_rows
from voxloom.report.panels import Overlay, Scene
from voxloom.run.matching import MatchedCases, matched_cases
from voxloom.run.mirroring import without_sided_mirrors
from voxloom.run.run import Run
from voxloom.run.scans import Scan
from voxloom.runfiles import LABEL_MAP, PICTURE, RunFold, folders_of
from voxloom.tasks.panels import Shown, gray_of, patch_scene
from voxloom.tasks.plan_page import plan_page, plan_rows, under_budget
from voxloom.tasks.predicted import PredictedCases
from voxloom.tasks.segmentation.explained import explain_labels
from voxloom.tasks.segmentation.facts import complete, gather_facts, reasons_of
from voxloom.tasks.segmentation.features import NetworkFeatures
from voxloom.tasks.segmentation.label_names import check_label_names, check_row_names
from voxloom.tasks.segmentation.material import usable_cases
from voxloom.tasks.segmentation.measured import measure_held_out, probe
from voxloom.tasks.segmentation.predictor import Postprocessed, Predictor
from voxloom.tasks.segmentation.scores import read_scores
from voxloom.tasks.segmentation.scoring import read_tables, settle
from voxloom.tasks.segmentation.slices import score_slices
from voxloom.tasks.segmentation.stress import STRESS
from voxloom.tasks.segmentation.structures import score_structures, write_structures
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.tasks.segmentation.tta import views_told, with_tta
from voxloom.tasks.settings import Settings, resolve
from voxloom.tasks.stressed import StressTest
from voxloom.tasks.study import Study
from voxloom.tasks.values import Calibrated, Example, Extras, Material, Planned, Table
from voxloom.tasks.wish import PLAIN, Wish
from voxloom.volume import Volume

if TYPE_CHECKING:
    from voxloom.tasks.segmentation.training import SegmentationTraining


class Segmentation:
    """See :class:`voxloom.tasks.task.Task`."""

    name = "segmentation"
    section: str | None = None
    settings: type[BaseModel] | None = None
    title = "Dice"
    needed, remedy = "a label map", "Add label maps"
    ending = LABEL_MAP
    main_score = "dice"
    scores: Mapping[str, Any] = MASK_SCORES
    comparison: Comparison | None = MASKS
    stress: StressTest | None = STRESS
    calibrates = False
    trained_on = "label maps"
    cannot: Mapping[str, str] = {"predict --cutouts": "cut volumes out around points"}
    unused: Mapping[str, str] = {}

    def material(self, dataset: Dataset, recipe: Recipe, about: Mapping[str, Any] | None = None) -> Material:
        """The labelled cases, and the labels that the recipe asks for."""
        return Material(*usable_cases(dataset, recipe))

    def annotated(self, case: Case) -> bool:
        """Whether it has a label map."""
        return case.label is not None

    def matched(
        self, recipe: Recipe, labels: Labels | None, channels: Sequence[str], dataset: Dataset, cases: Sequence[Case]
    ) -> MatchedCases:
        """Labels are matched by name; values may differ."""
        assert labels is not None
        return matched_cases(recipe, labels, channels, dataset, cases)

    def settled(self, recipe: Recipe, material: Material) -> tuple[Recipe, str | None]:
        """No mirror images that exchange left and right labels (BadInput where it names a label that there is not)."""
        check_label_names(recipe, labels_of(material))
        check_row_names(recipe, material.dataset)
        return without_sided_mirrors(recipe, labels_of(material).names)

    def check_folds(self, material: Material, folds: Sequence[Fold]) -> list[str]:
        """Every part will do."""
        return []

    def describe(self, material: Material) -> dict[str, Any]:
        """Labels and values."""
        labels = labels_of(material)
        return {"labels": labels.to_nnunet(), "regions_order": labels.regions_order}

    def plan(
        self, material: Material, recipe: Recipe, found: Fingerprint, device: str, seconds: float | None
    ) -> Planned:
        """nnU-Net's rules under a time budget: ``voxloom.training.planner``."""
        facts = gather_facts(material.dataset, found, labels_of(material))
        from voxloom.tasks.segmentation.noise import timed_step

        full, plan = complete(recipe, facts, device, seconds, partial(timed_step, device=device), card_of(device))
        rows = plan_rows(recipe, full, reasons_of(recipe, plan))
        opening = f"{facts.cases} training cases; {under_budget(recipe)}"
        closing = " Change a key there and train again with `voxloom train -r`."
        return Planned(full, rows, plan_page(opening, rows, closing))

    def resolve(self, recipe: Recipe) -> Settings:
        """All sections; there is none of its own."""
        return resolve(recipe)

    def job(
        self, study: Study, number: int, prepared: Mapping[str, PreparedCase], statistics: Statistics | None
    ) -> SegmentationTraining:
        """The training of one fold."""
        s, fold, place = study.settings, study.folds[number], study.place(number)
        assert s.network is not None
        from voxloom.tasks.segmentation.training import SegmentationTraining

        return SegmentationTraining(
            folder=place.folder,
            train={name: prepared[name] for name in fold.train},
            validation={name: prepared[name] for name in fold.val},
            labels=study.labels,
            network=s.network,
            training=s.training,
            augment=s.augment,
            inference=s.inference,
            spacing=typical_spacing([prepared[name] for name in fold.train]),
            seed=s.recipe.seed + number,
            description=describe_model(study, number, statistics),
            pace=s.recipe.pace.get(place.name, ()),
            left_out=s.recipe.left_out.get(place.name, ()),
            slices=s.slices,
            init=s.recipe.init,
        )

    def load(self, folds: Sequence[RunFold], *, device: str = "auto") -> Predictor:
        """Networks of folds, with what the recipe measures of them."""
        measures = Measures.model_validate(Run(folds[0].run).recipe.evaluate)
        return replace(Predictor.from_folds(folders_of(folds), device=device), measures=measures)

    def open(self, run: Run, wish: Wish = PLAIN) -> Predictor:
        """All folds with the run's post-processing."""
        if wish.abstain is not None:
            raise BadInput("--abstain is for runs on points or classes", run.folder, "Leave it out")
        predictor = Predictor.of(run, device=wish.device)
        if wish.measures is not None:
            predictor = replace(predictor, measures=wish.measures)
        return with_tta(predictor, wish.seed) if wish.tta else predictor

    def told(self, predictor: Any) -> dict[str, Any]:
        """The views whose mean is taken."""
        views = views_told(predictor) if isinstance(predictor, Predictor) else None
        return {"views": views} if views else {}

    def remarks(self, prediction: Volume) -> tuple[str | None, dict[str, Any]]:
        """None."""
        return None, {}

    def features(self, predictor: Predictor) -> NetworkFeatures:
        """The deepest features of the first network, pooled over the scan."""
        return NetworkFeatures(predictor)

    def focus(self, predictor: Any, volume: Volume, around: Path) -> Volume:
        """All of it."""
        raise BadInput(f"--around is for runs that look at a crop, not for those on {self.trained_on}", around)

    def predict_case(self, predictor: Any, case: Case) -> Any:
        """By its image; the label map before post-processing is kept for the figures."""
        return predictor.predict_with_before(case.read_image())

    def predict(self, predictor: Any, volume: Volume) -> Volume:
        """A label map."""
        found: Volume = predictor.predict(volume)
        return found

    def ending_of(self, scan: Scan, wanted: str | None) -> str:
        """The scan's own format where it holds labels."""
        return wanted or scan.ending

    def measure(self, run: Run, predictor: Predictor, predictions: Sequence[Path], out: Path) -> list[Path]:
        """Number and measure single structures."""
        return write_structures(run, predictor.labels, predictions, out)

    def write(self, prediction: Volume, folder: Path, name: str, ending: str | None = None) -> Path:
        """A label map in any format that holds one; without an ending a picture where the scan is one."""
        return write_volume(prediction, folder / f"{name}{ending or kept_ending(prediction)}")

    def extras(
        self, predictor: Predictor, volume: Volume, prediction: Volume, out: Path, name: str, wanted: Extras
    ) -> list[Path]:
        """Probability maps of every label on the scan's own grid, before post-processing."""
        labels = predictor.labels
        found, first = predictor.probabilities(volume), 0 if labels.has_regions else 1
        return [
            write_volume(
                volume.with_data(found[first + n][None].astype(np.float32)), out / "maps" / f"{name}_{stem}.nii.gz"
            )
            for n, stem in enumerate(map(file_stem, labels.names))
        ]

    def findings(
        self, predictor: Predictor, volume: Volume, prediction: Volume, probabilities: bool = False
    ) -> Findings:
        """Labels by the values that are written for them, and their probabilities before post-processing."""
        labels = predictor.labels
        found = predictor.probabilities(volume)[0 if labels.has_regions else 1 :] if probabilities else None
        return Findings(prediction.data[0], dict(zip(labels.written_values, labels.names, strict=True)), found)

    def table(self, predictor: Predictor) -> Evaluation:
        """A row per case and label."""
        return Evaluation(predictor.labels.names, measures=predictor.measures)

    def read_table(self, paths: Sequence[Path], run: Run) -> Evaluation:
        """The rows of all folds."""
        table = read_tables(paths)
        table.measures = Measures.model_validate(run.recipe.evaluate)
        return table

    def measure_again(self, run: Run, wish: Wish) -> Evaluation:
        """By other metrics; networks predict again only where probabilities are measured."""
        return measure_held_out(run, wish.measures or Measures.model_validate(run.recipe.evaluate), wish.device)

    def score(
        self, table: Evaluation, case: Case, prediction: Volume, predictor: Predictor, labels: Labels | None
    ) -> list[str]:
        """Overlap and distances per label, on the case's own grid."""
        truth, meant = truth_of(case), labels or predictor.labels
        table.add(case.id, evaluate_case(prediction, truth, meant, table.measures), patient=case.patient)
        if isinstance(prediction, Postprocessed) and prediction.before is not None:
            raw = evaluate_case(prediction.with_data(prediction.before[None]), truth, meant, table.measures)
            table.add_before(case.id, raw, patient=case.patient)
        if table.measures.needs_maps:
            table.add_probed(case.id, probe(predictor, case, truth, meant, table.measures))
        told = "of the truth is not a label of the run and counts as background"
        return [f"value {value} {told}" for value in undeclared_values(truth, meant)]

    def settle(self, study: Study, scored: Mapping[str, Evaluation]) -> tuple[dict[str, Table], dict[str, Any]]:
        """Post-processing that raises the Dice of the held-out cases."""
        return settle(study, scored)

    def spread(self, scored: Mapping[str, Evaluation]) -> dict[str, Any]:
        """How the folds differ."""
        return {"robustness": robustness(scored)} if len(scored) > 1 else {}

    def figures(
        self, run: Run, labels: Labels | None, cases: Sequence[Case], folder: Path, predictions: Mapping[str, Path]
    ) -> dict[str, Any]:
        """Of single structures, where the recipe counts them, and of single slices, where the network sees slices."""
        assert labels is not None
        structures = score_structures(run, labels, predictions, cases, folder)
        return {**structures, **score_slices(run, labels, predictions, cases, folder)}

    def calibrate(self, run: Run, table: Any, promise: float, name: str, cases: Sequence[Case] = ()) -> Calibrated:
        """Not its own."""
        raise BadInput("its answers are not calibrated so", run.folder)

    def batch_panels(
        self, study: Study, images: NDArray[Any], targets: NDArray[Any], spacing: NDArray[Any]
    ) -> list[Shown]:
        """The first channel with the contours of the labels."""
        shown = []
        for n, (image, inner, mm) in enumerate(zip(images, targets, spacing, strict=True), start=1):
            outer = study.labels.decode(inner if images.ndim == 5 else inner[..., None])
            scene = patch_scene(study, image, mm, [Overlay(outer)], study.labels)
            shown.append(Shown(scene, f"patch {n}"))
        return shown

    def result_panels(self, held: PredictedCases, cases: Sequence[str]) -> list[Shown]:
        """Truth as solid and prediction as dashed contours; behind the name of a volume its mean Dice over labels."""
        labels, shown = held.labels, []
        assert labels is not None
        scores = read_tables(held.tables).case_means("dice")
        window, modality = gray_of(held.run)
        for name in cases:
            case = held.cases[name]
            image, maps = case.read_image(), [(truth_of(case), "-"), (read_label(held.predictions[name]), "--")]
            scene = Scene.of_volume(image, maps, labels, window=window, modality=modality)
            whole = name in scores and 1 not in image.shape
            shown.append(Shown(scene, f"{name} ({scores[name]:.2f})" if whole else name))
        return shown

    def rows(self, summary: Mapping[str, Any] | None) -> list[list[str]]:
        """Dice per label."""
        return dice_rows(summary or {})

    def details(self, summary: Mapping[str, Any]) -> list[list[str]]:
        """Every metric per label."""
        return metric_rows(summary)

    def sweep_scores(self, summary: Mapping[str, Any], score: str) -> dict[str, float | None]:
        """A metric, of the mean over labels or of one label."""
        return read_scores(dict(summary), score)

    def cards(self, run: Path) -> None:
        """Model card, CLAIM and methods."""
        from voxloom.report.cards import write_cards
        from voxloom.report.cards.label_maps import LABEL_MAPS

        write_cards(run, LABEL_MAPS)

    def explainable(self, run: Run, folds: Sequence[RunFold], device: str = "auto") -> Explainable:
        """Every label where it is predicted."""
        return explain_labels(self.load(folds, device=device).with_run(run))

    def examples(self, table: Evaluation) -> list[Example]:
        """None: the report shows slices with contours."""
        return []

    def report(self, run: Path) -> Path:
        """Page and cards."""
        from voxloom.report.run_page import write_run_report

        self.cards(run)
        return write_run_report(run)


TASK = Segmentation()


def labels_of(material: Material) -> Labels:
    """The labels of segmentation's material."""
    if material.labels is None:
        raise BadInput("no label map to train on", material.dataset.root)
    return material.labels


def kept_ending(prediction: Volume) -> str:
    """Of a label map that a run keeps: PNG where the scan is a picture, as ``predict`` writes it; else NIfTI, which keeps the grid."""
    stored = prediction.unit == PIXEL and prediction.shape[2] == 1 and np.allclose(prediction.affine, PICTURE_AFFINE)
    fits = prediction.data.min() >= 0 and prediction.data.max() <= np.iinfo(np.uint16).max
    return PICTURE if stored and fits else LABEL_MAP


def typical_spacing(cases: Sequence[PreparedCase]) -> tuple[float, float, float]:
    """Mm of the prepared grid, the median where every case has its own (``resize_to``, or no spacing in the recipe)."""
    if not cases:
        return (1.0, 1.0, 1.0)
    i, j, k = (sorted(axis)[len(cases) // 2] for axis in zip(*(case.spacing for case in cases), strict=True))
    return (i, j, k)


def describe_model(study: Study, number: int, statistics: Statistics | None) -> dict[str, Any]:
    """``model.json``: all that prediction needs beside the weights."""
    s = study.settings
    assert s.network is not None
    return {
        "format": 1,
        "task": TASK.name,
        "network": s.network.model_dump(mode="json"),
        "prepare": s.prepare.model_dump(mode="json"),
        "inference": s.inference.model_dump(mode="json"),
        "slices": s.slices.model_dump(mode="json"),
        "patch": list(s.training.patch),
        "precision": s.training.precision,
        "channels_last": s.training.channels_last,
        "channels": list(study.dataset.channels),
        "channel_dropout": s.augment.channel_dropout,
        "augment": s.augment.model_dump(mode="json"),
        "labels": study.labels.to_nnunet(),
        "regions_order": study.labels.regions_order,
        "statistics": statistics.to_dict() if statistics else None,
        "trained_on": list(study.folds[number].train),
    }
