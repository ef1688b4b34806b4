"""Landmarks as a task: points in RAS mm in, points with a confidence out; scored by distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from voxloom.dataset import Case, Dataset
from voxloom.dataset.inspect import Fingerprint
from voxloom.errors import BadInput
from voxloom.evaluation.points import PointEvaluation, score_points
from voxloom.files import write_json
from voxloom.landmarks import LandmarkSettings
from voxloom.networks import NetworkSettings
from voxloom.points import Point, write_points
from voxloom.prepare import PreparedCase, Statistics
from voxloom.recipe.recipe import Recipe
from voxloom.report.points_table import point_rows
from voxloom.run.run import Run
from voxloom.run.scans import Scan
from voxloom.tasks.landmarks.material import LandmarkMaterial, landmark_material
from voxloom.tasks.landmarks.plan import checked, grid_of, headers_of, plan_landmarks, plan_text
from voxloom.tasks.landmarks.predictor import CALIBRATION, LandmarkPredictor
from voxloom.tasks.landmarks.sampling import LandmarkCase
from voxloom.tasks.landmarks.scores import read_point_scores
from voxloom.tasks.landmarks.scoring import calibration_of, slice_normal
from voxloom.tasks.landmarks.timing import fitted_plan
from voxloom.tasks.landmarks.training import LandmarkTraining
from voxloom.tasks.scoring import pooled
from voxloom.tasks.settings import Settings, resolve
from voxloom.tasks.study import Study
from voxloom.tasks.task import Material, Planned, Table

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
    abilities = frozenset[str]()

    def material(self, dataset: Dataset, recipe: Recipe, about: Mapping[str, Any] | None = None) -> LandmarkMaterial:
        """The cases that have points."""
        return landmark_material(dataset, recipe, settings_of(recipe), about)

    def annotated(self, case: Case) -> bool:
        """Whether it has points."""
        return case.points is not None

    def check_external(self, material: Material, other: Dataset) -> None:
        """Names that the run does not know are left out when a case is scored."""

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
        return Planned(plan.recipe, plan.reasons, plan_text(plan, len(m.dataset)))

    def resolve(self, recipe: Recipe) -> Settings:
        """All sections, and ``landmarks:``."""
        return resolve(recipe, settings_of(recipe))

    def job(
        self, study: Study, number: int, prepared: Mapping[str, PreparedCase], statistics: Statistics | None
    ) -> LandmarkTraining:
        """The training of one fold."""
        s, m, fold = study.settings, own(study.material), study.folds[number]
        cases = {
            name: LandmarkCase(prepared[name], prepared[name].geometry.affine, m.layout.known(m.points[name]))
            for name in (*fold.train, *fold.val)
        }
        return LandmarkTraining(
            folder=study.folder / f"fold_{number}",
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
            pace=s.recipe.pace.get(f"fold_{number}", ()),
            init=s.recipe.init,
        )

    def load(self, folds: Sequence[Path], *, device: str = "auto") -> LandmarkPredictor:
        """Networks of folds; confidences as they come."""
        return LandmarkPredictor.from_folds(folds, device=device)

    def open(self, run: Run, *, device: str = "auto", tta: bool = False) -> LandmarkPredictor:
        """All folds with the run's calibration."""
        return LandmarkPredictor.of(run, device=device)

    def predict_case(self, predictor: Any, case: Case) -> Any:
        """By its image."""
        return predictor.predict(case.read_image())

    def ending_of(self, scan: Scan, wanted: str | None) -> str:
        """CSV, or a format of 3D Slicer."""
        if wanted not in (None, *ENDINGS):
            raise BadInput(f"points cannot be written as {wanted}", None, f"Use --ending {' or '.join(ENDINGS)}")
        return wanted or self.ending

    def measure(self, run: Run, predictor: Any, predictions: Sequence[Path], out: Path) -> list[Path]:
        """Nothing."""
        return []

    def write(self, prediction: tuple[Point, ...], folder: Path, name: str, ending: str | None = None) -> Path:
        """Points as CSV or as markups of 3D Slicer."""
        return write_points(prediction, folder / f"{name}{ending or self.ending}", name)

    def table(self, predictor: LandmarkPredictor) -> PointEvaluation:
        """A row per case and landmark."""
        return PointEvaluation(within=predictor.settings.within)

    def read_table(self, paths: Sequence[Path], run: Run) -> PointEvaluation:
        """The rows of all folds."""
        within = settings_of(run.recipe).within
        return PointEvaluation([row for path in paths for row in PointEvaluation.read_csv(path).rows], within=within)

    def score(
        self, table: PointEvaluation, case: Case, prediction: tuple[Point, ...], predictor: LandmarkPredictor
    ) -> None:
        """Distances to the true points."""
        table.add(score_points(case.id, prediction, predictor.layout.known(case.read_points()), slice_normal(case)))

    def settle(self, study: Study, scored: Mapping[str, PointEvaluation]) -> tuple[dict[str, Table], dict[str, Any]]:
        """Calibrate the confidence on the held-out points."""
        if scored:
            found = pooled(scored.values())
            assert isinstance(found, PointEvaluation)
            write_json(study.folder / CALIBRATION, calibration_of(found))
        return dict(scored), {}

    def spread(self, scored: Mapping[str, PointEvaluation]) -> dict[str, Any]:
        """Not measured."""
        return {}

    def figures(
        self, run: Run, predictor: Any, cases: Sequence[Case], folder: Path, predictions: Mapping[str, Path]
    ) -> dict[str, Any]:
        """None beside the table's."""
        return {}

    def rows(self, summary: Mapping[str, Any] | None) -> list[list[str]]:
        """Recall and distances per level."""
        return point_rows(None if summary is None else dict(summary))

    def details(self, summary: Mapping[str, Any]) -> list[list[str]]:
        """The same."""
        return self.rows(summary)

    def sweep_scores(self, summary: Mapping[str, Any], score: str) -> dict[str, float | None]:
        """A figure over all landmarks, or of one level."""
        return read_point_scores(dict(summary), score)

    def report(self, run: Path) -> Path:
        """The page."""
        from voxloom.report.landmark_page import write_landmark_report

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
