"""Landmarks as a task: points in RAS mm in, points with a confidence out; scored by distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel

from voxloom.attribution import Explainable
from voxloom.dataset import Case, Dataset, Fold, Labels
from voxloom.dataset.inspect import Fingerprint
from voxloom.dataset.sides import left_right_axes
from voxloom.errors import BadInput
from voxloom.evaluation.paired import Comparison
from voxloom.evaluation.points import PointEvaluation
from voxloom.evaluation.scores import POINT_SCORES
from voxloom.formats.dicom.results.terms import Findings, Mark
from voxloom.landmarks import LandmarkSettings
from voxloom.networks import NetworkSettings
from voxloom.points import write_points
from voxloom.prepare import PreparedCase, Statistics
from voxloom.recipe.recipe import Recipe
from voxloom.report.points_table import point_rows
from voxloom.run.matching import MatchedCases, ordered_cases
from voxloom.run.mirroring import kept_mirrors
from voxloom.run.run import Run
from voxloom.run.scans import Scan
from voxloom.runfiles import RunFold, folders_of
from voxloom.tasks.landmarks.explained import explain_marks
from voxloom.tasks.landmarks.extras import write_cutouts, write_maps
from voxloom.tasks.landmarks.features import PointFeatures
from voxloom.tasks.landmarks.limits import CANNOT, UNUSED
from voxloom.tasks.landmarks.material import LandmarkMaterial, landmark_material
from voxloom.tasks.landmarks.plan import checked, grid_of, headers_of, plan_landmarks
from voxloom.tasks.landmarks.predictor import Judged, LandmarkPredictor
from voxloom.tasks.landmarks.sampling import LandmarkCase
from voxloom.tasks.landmarks.scores import read_point_scores
from voxloom.tasks.landmarks.scoring import PointTable, settle
from voxloom.tasks.landmarks.timing import fitted_plan
from voxloom.tasks.landmarks.training import LandmarkTraining
from voxloom.tasks.panels import Shown
from voxloom.tasks.plan_page import plan_page, plan_rows, under_budget
from voxloom.tasks.predicted import PredictedCases
from voxloom.tasks.settings import Settings, resolve
from voxloom.tasks.stressed import StressTest
from voxloom.tasks.study import Study
from voxloom.tasks.values import Calibrated, Example, Extras, Material, Planned, Table
from voxloom.tasks.wish import PLAIN, Wish
from voxloom.volume import Volume

#: Formats of points.
ENDINGS = (".csv", ".mrk.json", ".fcsv")


class Landmarks:
    """See :class:`voxloom.tasks.task.Task`."""

    name = "landmarks"
    section: str | None = "landmarks"
    settings: type[BaseModel] | None = LandmarkSettings
    title = "Landmarks"
    needed, remedy = "points", "Add points/<case>.csv"
    ending = ".csv"
    main_score = "recall"
    scores: Mapping[str, Any] = POINT_SCORES
    comparison: Comparison | None = None
    stress: StressTest | None = None
    calibrates = False
    trained_on = "points"
    cannot: Mapping[str, str] = CANNOT
    unused: Mapping[str, str] = UNUSED

    def material(self, dataset: Dataset, recipe: Recipe, about: Mapping[str, Any] | None = None) -> LandmarkMaterial:
        """The cases that have points."""
        return landmark_material(dataset, recipe, settings_of(recipe), about)

    def annotated(self, case: Case) -> bool:
        """Whether it has points."""
        return case.points is not None

    def matched(
        self, recipe: Recipe, labels: Labels | None, channels: Sequence[str], dataset: Dataset, cases: Sequence[Case]
    ) -> MatchedCases:
        """Names that the run does not know are left out when a case is scored."""
        return ordered_cases(channels, dataset, cases)

    def settled(self, recipe: Recipe, material: Material) -> tuple[Recipe, str | None]:
        """No mirror images along left-right where the two sides have maps of their own."""
        layout = own(material).layout
        parted = layout.sided and layout.maps == "landmark"
        sided = left_right_axes(recipe.preparation.orientation) if parted else ()
        return kept_mirrors(recipe, sided, layout.sides)

    def check_folds(self, material: Material, folds: Sequence[Fold]) -> list[str]:
        """Every part will do."""
        return []

    def describe(self, material: Material) -> dict[str, Any]:
        """The landmarks and their maps."""
        return {"labels": {}, "landmarks": own(material).layout.to_dict()}

    def plan(
        self, material: Material, recipe: Recipe, found: Fingerprint, device: str, seconds: float | None
    ) -> Planned:
        """The published settings, fitted to the images and the time."""
        m = own(material)
        headers = headers_of(m.dataset)
        plan = plan_landmarks(recipe, headers, m.layout.count)
        if seconds is not None:
            plan = fitted_plan(plan, headers, m.layout, device, seconds)
        opening = f"{len(m.dataset)} cases with points; {under_budget(plan.recipe)}"
        rows = plan_rows(recipe, plan.recipe, (*plan.reasons, marks_row(m, plan.landmarks)))
        return Planned(plan.recipe, rows, plan_page(opening, rows))

    def resolve(self, recipe: Recipe) -> Settings:
        """All sections, and ``landmarks:``."""
        return resolve(recipe, settings_of(recipe))

    def job(
        self, study: Study, number: int, prepared: Mapping[str, PreparedCase], statistics: Statistics | None
    ) -> LandmarkTraining:
        """The training of one fold."""
        s, m, fold = study.settings, own(study.material), study.folds[number]
        place = study.place(number)
        cases = {
            name: LandmarkCase(prepared[name], prepared[name].geometry.affine, m.layout.known(m.points[name]))
            for name in (*fold.train, *fold.val)
        }
        return LandmarkTraining(
            folder=place.folder,
            train={name: cases[name] for name in fold.train},
            validation={name: cases[name] for name in fold.val},
            layout=m.layout,
            landmarks=s.own,
            network=unet_of(s),
            channels=len(study.dataset.channels),
            training=s.training,
            augment=s.augment,
            inference=s.inference,
            spacing=grid_of(headers_of(study.dataset), s.prepare)[0],
            seed=s.recipe.seed + number,
            description=describe_model(study, number),
            repeats={name: repeats_of(study.dataset[name], s.own.oversample) for name in fold.train},
            pace=s.recipe.pace.get(place.name, ()),
            left_out=s.recipe.left_out.get(place.name, ()),
            init=s.recipe.init,
        )

    def load(self, folds: Sequence[RunFold], *, device: str = "auto") -> LandmarkPredictor:
        """Networks of folds; confidences as they come, and no point is left out."""
        return LandmarkPredictor.from_folds(folders_of(folds), device=device).with_abstain(0.0)

    def open(self, run: Run, wish: Wish = PLAIN) -> LandmarkPredictor:
        """All folds with the run's calibration."""
        return LandmarkPredictor.of(run, device=wish.device).with_abstain(wish.abstain)

    def told(self, predictor: LandmarkPredictor) -> dict[str, Any]:
        """The least confidence."""
        least = predictor.settings.abstain
        if least > 0 and not predictor.calibrated:
            own = "is compared with the network's own confidence"
            return {"abstain": least, "note": f"The run had no held-out case to calibrate on: {least:g} {own}"}
        return {"abstain": least}

    def remarks(self, prediction: Judged) -> tuple[str | None, dict[str, Any]]:
        """The points that were left out."""
        if not prediction.left_out:
            return None, {}
        named = ", ".join(f"{point.key} ({point.confidence:.2f})" for point in prediction.left_out)
        listed = [{"name": p.name, "side": p.side, "confidence": p.confidence} for p in prediction.left_out]
        return f"left out as not sure enough: {named}", {"left_out": listed}

    def features(self, predictor: LandmarkPredictor) -> PointFeatures | None:
        """The deepest features of the first network; none of networks of slabs, which have no stage that a whole scan goes through."""
        return None if predictor.settings.is_slab else PointFeatures(predictor)

    def focus(self, predictor: Any, volume: Volume, around: Path) -> Volume:
        """All of it."""
        raise BadInput(f"--around is for runs that look at a crop, not for those on {self.trained_on}", around)

    def predict_case(self, predictor: LandmarkPredictor, case: Case) -> Judged:
        """By its image."""
        return predictor.judged(predictor.raw_points(case.read_image()))

    def predict(self, predictor: LandmarkPredictor, volume: Volume) -> Judged:
        """Points, those that are not sure enough apart."""
        return predictor.judged(predictor.raw_points(volume))

    def ending_of(self, scan: Scan, wanted: str | None) -> str:
        """CSV, or a format of 3D Slicer."""
        if wanted not in (None, *ENDINGS):
            raise BadInput(f"points cannot be written as {wanted}", None, f"Use --ending {' or '.join(ENDINGS)}")
        return wanted or self.ending

    def measure(self, run: Run, predictor: Any, predictions: Sequence[Path], out: Path) -> list[Path]:
        """Nothing."""
        return []

    def write(self, prediction: Judged, folder: Path, name: str, ending: str | None = None) -> Path:
        """Points as CSV or as markups of 3D Slicer."""
        return write_points(prediction.kept, folder / f"{name}{ending or self.ending}", name)

    def extras(
        self, predictor: LandmarkPredictor, volume: Volume, prediction: Judged, out: Path, name: str, wanted: Extras
    ) -> list[Path]:
        """Probability volumes on the prepared grid, and a small volume of the scan around every point."""
        written = write_maps(predictor, volume, out / "maps", name) if wanted.maps else []
        if wanted.cutouts is not None:
            written += write_cutouts(volume, prediction.kept, wanted.cutouts, out / "cutouts", name)
        return written

    def findings(
        self, predictor: LandmarkPredictor, volume: Volume, prediction: Judged, probabilities: bool = False
    ) -> Findings:
        """The points that are sure enough."""
        return Findings(marks=tuple(Mark(str(p.key), p.position, p.confidence) for p in prediction.kept))

    def table(self, predictor: LandmarkPredictor) -> PointTable:
        """A row per case and landmark."""
        return PointTable(within=predictor.settings.within, abstain=predictor.settings.abstain)

    def read_table(self, paths: Sequence[Path], run: Run) -> PointEvaluation:
        """The rows of all folds."""
        within = settings_of(run.recipe).within
        return PointEvaluation([row for path in paths for row in PointEvaluation.read_csv(path).rows], within=within)

    def measure_again(self, run: Run, wish: Wish) -> Any:
        """Refused before."""
        raise BadInput("has no label maps to measure", run.folder)

    def score(
        self, table: PointTable, case: Case, prediction: Judged, predictor: LandmarkPredictor, labels: Labels | None
    ) -> list[str]:
        """Distances to the true points."""
        table.judge(case, prediction, predictor.layout)
        return []

    def settle(self, study: Study, scored: Mapping[str, PointTable]) -> tuple[dict[str, Table], dict[str, Any]]:
        """Calibrate the confidence on all held-out points; the figures are those of the points that are given then."""
        return settle(study, scored) if scored else {}, {}

    def cards(self, run: Path) -> None:
        """Model card, CLAIM and methods."""
        from voxloom.report.cards import write_cards
        from voxloom.report.cards.marks import MARKS

        write_cards(run, MARKS)

    def spread(self, scored: Mapping[str, PointEvaluation]) -> dict[str, Any]:
        """Not measured."""
        return {}

    def figures(
        self, run: Run, labels: Labels | None, cases: Sequence[Case], folder: Path, predictions: Mapping[str, Path]
    ) -> dict[str, Any]:
        """None beside the table's."""
        return {}

    def calibrate(self, run: Run, table: Any, promise: float, name: str, cases: Sequence[Case] = ()) -> Calibrated:
        """Not its own."""
        raise BadInput("its answers are not calibrated so", run.folder)

    def batch_panels(
        self, study: Study, images: NDArray[Any], targets: NDArray[Any], spacing: NDArray[Any]
    ) -> list[Shown]:
        """Refused before."""
        raise BadInput("a batch of points cannot be drawn", study.folder)

    def result_panels(self, held: PredictedCases, cases: Sequence[str]) -> list[Shown]:
        """Refused before."""
        raise BadInput("results of points cannot be drawn", held.run.folder)

    def rows(self, summary: Mapping[str, Any] | None) -> list[list[str]]:
        """Recall and distances per level."""
        return point_rows(None if summary is None else dict(summary))

    def details(self, summary: Mapping[str, Any]) -> list[list[str]]:
        """The same."""
        return self.rows(summary)

    def sweep_scores(self, summary: Mapping[str, Any], score: str) -> dict[str, float | None]:
        """A figure over all landmarks, or of one level."""
        return read_point_scores(dict(summary), score)

    def explainable(self, run: Run, folds: Sequence[RunFold], device: str = "auto") -> Explainable:
        """Every map of landmarks where it is found."""
        return explain_marks(self.load(folds, device=device))

    def examples(self, table: PointEvaluation) -> list[Example]:
        """None: the report shows the points."""
        return []

    def report(self, run: Path) -> Path:
        """Page and cards."""
        from voxloom.report.landmark_page import write_landmark_report

        self.cards(run)
        return write_landmark_report(run)


TASK = Landmarks()


def own(material: Material) -> LandmarkMaterial:
    """The material of this task."""
    assert isinstance(material, LandmarkMaterial)
    return material


def unet_of(settings: Settings) -> NetworkSettings | None:
    """The U-Net's settings; None for SingleNet and MultiNet."""
    assert settings.network is None or isinstance(settings.network, NetworkSettings)
    return settings.network


def marks_row(material: LandmarkMaterial, settings: LandmarkSettings) -> tuple[str, str, str]:
    """How many marks every level (or landmark) has in all cases, and the weights that follow (Lamerigts 2017, table 7.5)."""
    layout = material.layout
    levels = replace(layout, maps="landmark" if layout.maps == "landmark" else "level")
    names = [str(key) for key in levels.keys] if levels.maps == "landmark" else list(levels.names)
    counts = levels.counts(layout.known(points) for points in material.points.values())
    told = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    why = "marks in all cases; several of one landmark lie on neighboring slices"
    if settings.loss == "fuzzy_dice" and settings.weighting == "counts" and layout.maps != "one" and min(counts) > 0:
        weights = ", ".join(f"{min(counts) / count:.2f}" for count in counts)
        why = f"marks in all cases; the maps weigh {weights} in the loss, each fold by its own counts"
    return ("marks", told, why)


def settings_of(recipe: Recipe) -> LandmarkSettings:
    """The landmark settings of a recipe (BadInput where its keys do not fit together)."""
    settings: LandmarkSettings = checked(LandmarkSettings, recipe.landmarks, "landmarks")
    return settings


def repeats_of(case: Case, oversample: Mapping[str, int]) -> int:
    """How often a case is drawn in a pass: the largest factor of the attributes that it has."""
    absent = ("", "0", "0.0", "no", "false", "none")
    has = [factor for name, factor in oversample.items() if str(case.attributes.get(name, "")).lower() not in absent]
    return max(has, default=1)


def describe_model(study: Study, number: int) -> dict[str, Any]:
    """``model.json``: all that prediction needs beside the weights."""
    s = study.settings
    return {
        "format": 1,
        "task": TASK.name,
        "landmarks": s.own.model_dump(mode="json"),
        "layout": own(study.material).layout.to_dict(),
        "network": s.network.model_dump(mode="json") if s.network else None,
        "prepare": s.prepare.model_dump(mode="json"),
        "inference": s.inference.model_dump(mode="json"),
        "patch": list(s.training.patch),
        "precision": s.training.precision,
        "channels": list(study.dataset.channels),
        "channel_dropout": s.augment.channel_dropout,
        "trained_on": list(study.folds[number].train),
    }
