"""What tasks with one answer per case share of the contract: material, plan, training, networks.

A task adds what its targets mean, its loss, and how answers are read, written and scored.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from voxloom.dataset import Case, Dataset, Fold, Labels
from voxloom.dataset.inspect import Fingerprint
from voxloom.errors import BadInput
from voxloom.files import write_text
from voxloom.networks.case_settings import case_network_settings
from voxloom.prepare import PreparedCase, Statistics
from voxloom.recipe.keys import as_bad_input
from voxloom.recipe.recipe import Recipe
from voxloom.report.cards.subject import Subject
from voxloom.report.panels import Scene
from voxloom.run.cases import joined_cases
from voxloom.run.matching import MatchedCases, ordered_cases
from voxloom.run.run import Run
from voxloom.run.scan_check import TrainedOn
from voxloom.run.scans import Scan
from voxloom.runfiles import RunFold, folders_of
from voxloom.tasks.panels import Shown, gray_of, patch_scene
from voxloom.tasks.plan_page import plan_page, plan_rows, under_budget
from voxloom.tasks.predicted import PredictedCases
from voxloom.tasks.settings import Settings, resolve
from voxloom.tasks.study import Study
from voxloom.tasks.values import Calibrated, Extras, Material, Planned
from voxloom.tasks.whole_case.calibration import CALIBRATION, write_calibration
from voxloom.tasks.whole_case.crop import cropped, focused_scan
from voxloom.tasks.whole_case.features import CaseFeatures
from voxloom.tasks.whole_case.limits import CANNOT, UNUSED
from voxloom.tasks.whole_case.material import WholeCaseMaterial, scales_of
from voxloom.tasks.whole_case.noise import step_timer
from voxloom.tasks.whole_case.plan import Asked, plan_whole_case
from voxloom.tasks.whole_case.predictor import VIEWS, CasePredictor
from voxloom.tasks.whole_case.sampling import WholeCase
from voxloom.tasks.whole_case.settings import WholeCaseSettings
from voxloom.tasks.whole_case.training import Objective, WholeCaseTraining
from voxloom.tasks.wish import Wish
from voxloom.volume import Volume

ENDINGS = (".json",)
#: Held-out cases that a report shows with maps: the worst, and some that were right.
WORST, BEST = 5, 3


class WholeCaseTask(ABC):
    """See :class:`voxloom.tasks.task.Task`."""

    name: str
    section: str | None
    settings: type[BaseModel] | None
    title: str
    needed = "a target"
    remedy = "Add a column `target` to the table of cases, or name one in the recipe"
    ending = ".json"
    unused: Mapping[str, str] = UNUSED
    cannot: Mapping[str, str] = CANNOT
    calibrates = True
    trained_on: str
    monitor: str

    @abstractmethod
    def meaning_of(self, dataset: Dataset, settings: Any) -> Any:
        """What the targets of a data set are.

        It has ``target(case)``, ``words(target)``, ``check_part(train, val, name, where)``, ``outputs`` and ``to_dict()``.
        """

    @abstractmethod
    def meaning_from(self, values: Mapping[str, Any]) -> Any:
        """The inverse of its ``to_dict``."""

    @abstractmethod
    def objective(self, meaning: Any, settings: Any) -> Objective:
        """Loss and scores."""

    @abstractmethod
    def repeats(self, targets: Sequence[np.ndarray], meaning: Any, settings: Any) -> list[int]:
        """How often each training case is drawn in a pass, to balance what is rare."""

    def material(self, dataset: Dataset, recipe: Recipe, about: Mapping[str, Any] | None = None) -> WholeCaseMaterial:
        """The training cases that have a target; those left out are told."""
        settings = self.own_settings(recipe)
        whole = focused_set(joined_cases(dataset, recipe), settings)
        meaning = self.meaning_of(whole, settings) if about is None else self.meaning_from(about["meaning"])
        targets = {case.id: target for case in whole if (target := meaning.target(case)) is not None}
        if not targets:
            raise BadInput("no case has a target to train on", dataset.root, self.remedy)
        left = len(whole) - len(targets)
        notes: tuple[str, ...] = (f"{left} of {len(whole)} cases have no target and are left out",) if left else ()
        notes += self.notes_on(whole, targets, meaning)
        cases = [self.with_stratum(whole[name], target, meaning) for name, target in targets.items()]
        plain = Dataset.from_cases(
            whole.name,
            cases,
            whole.channels,
            root=whole.root,
            channel_kinds=whole.channel_kinds,
            notes=whole.notes,
        )
        if about is None:
            covariates = scales_of(cases, settings.covariates, dataset.root)
        else:
            covariates = {name: (float(m), float(s)) for name, (m, s) in about["covariates"].items()}
        return WholeCaseMaterial(plain, targets=targets, covariates=covariates, meaning=meaning, notes=notes)

    def notes_on(self, dataset: Dataset, targets: Mapping[str, np.ndarray], meaning: Any) -> tuple[str, ...]:
        """What a reader must know of the targets."""
        return ()

    def with_stratum(self, case: Case, target: np.ndarray, meaning: Any) -> Case:
        """The case with what folds are stratified by."""
        return case

    def annotated(self, case: Case) -> bool:
        """Whether it has a target at all; which one is asked for is known to the run alone."""
        return case.target is not None or bool(case.attributes)

    def matched(
        self, recipe: Recipe, labels: Labels | None, channels: Sequence[str], dataset: Dataset, cases: Sequence[Case]
    ) -> MatchedCases:
        """Targets are read by the run's own rules; classes that it does not know are refused when a case is scored."""
        crop = self.own_settings(recipe).crop
        found = ordered_cases(channels, dataset, cases)
        return replace(found, cases=tuple(cropped(case, crop) for case in found.cases))

    def settled(self, recipe: Recipe, material: Material) -> tuple[Recipe, str | None]:
        """Nothing contradicts."""
        return recipe, None

    def told(self, predictor: Any) -> dict[str, Any]:
        """The views whose mean is taken."""
        views = predictor.networks.views
        return {"views": f"Mean over the scan and {views} views changed as in training"} if views else {}

    def remarks(self, prediction: Any) -> tuple[str | None, dict[str, Any]]:
        """None."""
        return None, {}

    def check_folds(self, material: Material, folds: Sequence[Fold]) -> list[str]:
        """Who was left out and what is odd among the targets, and what the parts lack."""
        m = own(material)
        parts = [([m.targets[name] for name in fold.train], [m.targets[name] for name in fold.val]) for fold in folds]
        return [
            note for n, part in enumerate(parts) for note in m.meaning.check_part(*part, f"fold {n}", m.dataset.root)
        ]

    def describe(self, material: Material) -> dict[str, Any]:
        """What the targets mean, and the scale of the covariates."""
        m = own(material)
        covariates = {name: list(scale) for name, scale in m.covariates.items()}
        return {"labels": {}, "meaning": m.meaning.to_dict(), "covariates": covariates, "notes": list(m.notes)}

    def plan(
        self, material: Material, recipe: Recipe, found: Fingerprint, device: str, seconds: float | None
    ) -> Planned:
        """A grid on which whole scans fit, and as many steps as the time allows."""
        m, settings = own(material), self.own_settings(recipe)
        objective = self.objective(m.meaning, settings)
        targets = (*objective.names, *(column for column in m.meaning.columns if column is not None))
        kinds = tuple(m.dataset.channel_kinds)
        asked = Asked(kinds, m.meaning.outputs, len(m.covariates), self.monitor, targets)
        timer = step_timer(objective, len(next(iter(m.targets.values()))), device)
        plan = plan_whole_case(recipe, found, asked, device, seconds, timer)
        assert self.section is not None
        values = plan.recipe.model_dump(mode="json") | {self.section: settings.model_dump(mode="json")}
        full = Recipe.check(values, f"recipe {recipe.name}")
        rows = plan_rows(recipe, full, plan.rows) + tuple(("cases", str(len(m.dataset)), note) for note in m.notes)
        opening = f"{len(m.dataset)} training cases; {under_budget(full)}"
        return Planned(full, rows, plan_page(opening, rows))

    def own_settings(self, recipe: Recipe) -> Any:
        """The settings of the task's own section (BadInput where its keys do not fit together)."""
        assert self.section is not None
        assert self.settings is not None
        try:
            return self.settings.model_validate(getattr(recipe, self.section))
        except ValidationError as error:
            raise as_bad_input(error, self.section, f"recipe {recipe.name}") from error

    def resolve(self, recipe: Recipe) -> Settings:
        """All sections; the network is one for whole cases."""
        settings = resolve(recipe.model_copy(update={"network": {}}), self.own_settings(recipe))
        return Settings(**{**vars(settings), "recipe": recipe, "network": case_network_settings(recipe.network)})

    def job(
        self, study: Study, number: int, prepared: Mapping[str, PreparedCase], statistics: Statistics | None
    ) -> WholeCaseTraining:
        """The training of one fold."""
        s, m, fold = study.settings, own(study.material), study.folds[number]
        place = study.place(number)
        cases = {
            name: WholeCase(prepared[name], m.targets[name], m.numbers(study.dataset[name]))
            for name in (*fold.train, *fold.val)
        }
        repeats = self.repeats([m.targets[name] for name in fold.train], m.meaning, s.own)
        assert s.network is not None
        return WholeCaseTraining(
            folder=place.folder,
            train={name: cases[name] for name in fold.train},
            validation={name: cases[name] for name in fold.val},
            objective=self.objective(m.meaning, s.own),
            network=s.network,
            training=s.training,
            augment=s.augment,
            mixup=s.own.mixup,
            spacing=s.spacing,
            seed=s.recipe.seed + number,
            description=self.describe_model(study, number, statistics),
            repeats={
                name: n * oversampled(study.dataset[name], s.own) for name, n in zip(fold.train, repeats, strict=True)
            },
            pace=s.recipe.pace.get(place.name, ()),
            left_out=s.recipe.left_out.get(place.name, ()),
            init=s.recipe.init,
        )

    def describe_model(self, study: Study, number: int, statistics: Statistics | None) -> dict[str, Any]:
        """``model.json``: all that prediction needs beside the weights."""
        s, m = study.settings, own(study.material)
        assert s.network is not None
        return {
            "format": 1,
            "task": self.name,
            "network": s.network.model_dump(mode="json"),
            "prepare": s.prepare.model_dump(mode="json"),
            "training": s.training.model_dump(mode="json"),
            "augment": s.augment.model_dump(mode="json"),
            "channels": list(study.dataset.channels),
            "covariates": {name: list(scale) for name, scale in m.covariates.items()},
            "crop": s.own.crop.model_dump(mode="json") if s.own.crop is not None else None,
            "meaning": m.meaning.to_dict(),
            "statistics": statistics.to_dict() if statistics else None,
            "trained_on": list(study.folds[number].train),
        }

    def refuse_abstain(self, run: Run, wish: Wish) -> None:
        """Numbers are answered always; how sure the answer is stands beside it."""
        if wish.abstain is not None:
            raise BadInput("--abstain is for runs on points or classes", run.folder, "Leave it out")

    def predict(self, predictor: Any, volume: Volume) -> Any:
        """Without covariates, which a scan alone does not know."""
        return predictor.predict(volume)

    def predict_case(self, predictor: Any, case: Case) -> Any:
        """With the covariates of the case, and the box that the run looks at."""
        return predictor.predict(cropped(case, predictor.networks.crop).read_image(), case.attributes)

    def features(self, predictor: Any) -> CaseFeatures:
        """The deepest features of the first network."""
        return CaseFeatures(predictor.networks)

    def focus(self, predictor: Any, volume: Volume, around: Path) -> Volume:
        """The box that the run looks at."""
        crop = predictor.networks.crop
        if crop is None:
            raise BadInput("--around is for runs that look at a crop, and this one looks at whole scans", around)
        return focused_scan(volume, crop, around)

    def networks(self, folds: Sequence[RunFold], device: str, tta: bool) -> CasePredictor:
        """The networks of folds."""
        return CasePredictor.from_folds(folders_of(folds), device=device, views=VIEWS if tta else 0)

    def opened_networks(self, run: Run, wish: Wish) -> CasePredictor:
        """All folds of a run; scans that are unlike its training cases are told."""
        return replace(self.networks(run.folds, wish.device, wish.tta), trained_on=TrainedOn.of(run.data))

    def extras(
        self, predictor: Any, volume: Volume, prediction: Any, out: Path, name: str, wanted: Extras
    ) -> list[Path]:
        """Nothing: ``cannot`` refuses what there is to ask for."""
        return []

    def ending_of(self, scan: Scan, wanted: str | None) -> str:
        """JSON."""
        if wanted not in (None, *ENDINGS):
            what = f"answers of a {self.name} run cannot be written as {wanted}"
            raise BadInput(what, None, f"Use --ending {' or '.join(ENDINGS)}")
        return wanted or self.ending

    def write(self, prediction: Any, folder: Path, name: str, ending: str | None = None) -> Path:
        """A JSON file per scan."""
        path = folder / f"{name}{ending or self.ending}"
        write_text(path, json.dumps({"case": name, **prediction.to_dict()}, indent=2, ensure_ascii=False) + "\n")
        return path

    def batch_panels(
        self, study: Study, images: NDArray[Any], targets: NDArray[Any], spacing: NDArray[Any]
    ) -> list[Shown]:
        """The first channel, and the target in words."""
        told = own(study.material).meaning
        return [
            Shown(patch_scene(study, image, mm), f"target {told.words(target)}")
            for image, target, mm in zip(images, targets, spacing, strict=True)
        ]

    def result_panels(self, held: PredictedCases, cases: Sequence[str]) -> list[Shown]:
        """The first channel, with truth and answer in words."""
        table, shown = self.read_table(held.tables, held.run), []
        window, modality = gray_of(held.run)
        for name in cases:
            scene = Scene.of_volume(held.cases[name].read_image(), [], None, window=window, modality=modality)
            shown.append(Shown(scene, f"{name}: {table.words(name)}"))
        return shown

    @abstractmethod
    def calibration(self, table: Any, promise: float) -> dict[str, Any]:
        """What scored cases teach about answers, for ``calibration.json``."""

    @abstractmethod
    def calibration_rows(self, about: Mapping[str, Any]) -> list[list[str]]:
        """The same for the screen."""

    def calibrate(self, run: Run, table: Any, promise: float, name: str, cases: Sequence[Case] = ()) -> Calibrated:
        """Fit and keep it; cases of another data set are remembered, so that no later test counts them in silence."""
        about = self.calibration(table, promise)
        write_calibration(run.folder, about, name, cases)
        return Calibrated({**about, "on": name}, self.calibration_rows(about), (run.folder / CALIBRATION,))

    @abstractmethod
    def read_table(self, paths: Sequence[Path], run: Run) -> Any:
        """The rows of tables; has ``words(case)``, truth and answer for people."""

    def measure_again(self, run: Run, wish: Wish) -> Any:
        """Refused before."""
        raise BadInput("has no label maps to measure", run.folder)

    @abstractmethod
    def subject(self) -> Subject:
        """What its runs answer with, for their cards."""

    def cards(self, run: Path) -> None:
        """Model card, CLAIM and methods."""
        from voxloom.report.cards import write_cards

        write_cards(run, self.subject())

    def spread(self, scored: Mapping[str, Any]) -> dict[str, Any]:
        """Not measured."""
        return {}

    def figures(
        self, run: Run, labels: Labels | None, cases: Sequence[Case], folder: Path, predictions: Mapping[str, Path]
    ) -> dict[str, Any]:
        """None beside the table's."""
        return {}


def check_rows(check: Mapping[str, Any] | None, what: str, size: str) -> list[list[str]]:
    """How a promise did on cases that it was not fitted to, for the screen."""
    if check is None:
        return [[f"{what} that held the truth", "not checked: one patient only"]]
    told = f"{100 * check['held']:.0f} % [{100 * check['low']:.0f}, {100 * check['high']:.0f}] of {check['patients']} patients"
    width = "no bound" if check["size"] is None else f"{check['size']:.3g}"
    return [[f"{what} that held the truth ({100 * check['promise']:.0f} % promised)", told], [f"{what}: {size}", width]]


def focused_set(dataset: Dataset, settings: WholeCaseSettings) -> Dataset:
    """The cases with the box that is looked at as their image."""
    if settings.crop is None:
        return dataset
    return Dataset.from_cases(
        dataset.name,
        [cropped(case, settings.crop) for case in dataset],
        dataset.channels,
        root=dataset.root,
        channel_kinds=dataset.channel_kinds,
        notes=dataset.notes,
    )


def own(material: Material) -> WholeCaseMaterial:
    """The material of these tasks."""
    assert isinstance(material, WholeCaseMaterial)
    return material


def oversampled(case: Case, settings: WholeCaseSettings) -> int:
    """The largest factor of the attributes that a case has."""
    absent = ("", "0", "0.0", "no", "false", "none")
    has = [n for name, n in settings.oversample.items() if str(case.attributes.get(name, "")).lower() not in absent]
    return max(has, default=1)
