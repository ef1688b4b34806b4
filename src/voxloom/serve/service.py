"""The service: runs, cases and people's drawings together. What the REST API, the page and other faces ask for, as functions.

Knows engine, store and trainings; knows no HTTP.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Labels
from voxloom.errors import BadInput
from voxloom.recipe.duration import seconds_of
from voxloom.serve.engine import Engine
from voxloom.serve.jobs import Job
from voxloom.serve.loop import drawing_labels, kind_of_runs, unlabelled, write_training_table
from voxloom.serve.orders import ExplainOrder, Order, RankOrder
from voxloom.serve.refusals import NotThere
from voxloom.serve.run_info import RunInfo
from voxloom.serve.store import Store
from voxloom.serve.store.ids import is_safe
from voxloom.serve.trainings import TrainingOrder, Trainings, recipe_words
from voxloom.verbs.options import PredictOptions

#: The map of uncertainty that is shown.
_SHOWN_MAP = "_entropy.nii.gz"


class Service:
    """Runs that predict, cases, drawings and trainings.

    Parameters
    ----------
    engine, store : closed with the service.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        if odd := [name for name in engine.runs if not is_safe(name)]:
            raise BadInput(
                f"the run name {odd[0]!r} has signs other than letters, digits, dots and dashes", "run", "Rename it"
            )
        self.engine, self.store = engine, store
        self._scratch: dict[str, Path] = {}
        self._landmarks: tuple[str, ...] | None = None  # of the data set, read once
        shutil.rmtree(store.state / "jobs", ignore_errors=True)  # of a service that ended
        self.trainings = Trainings(store.state / "trainings", engine.board, self._trained)

    def close(self) -> None:
        """Stop trainings so that they can be resumed, and end the process with the networks."""
        self.trainings.close()
        self.engine.close()

    # Runs

    def run(self, name: str) -> RunInfo:
        """A run by its name (NotThere where there is none)."""
        found = self.engine.runs.get(name)
        if found is None:
            raise NotThere("there is no such run", "run", "List the runs")
        return found

    def labels(self) -> Labels | None:
        """Labels that drawings are measured by: the data set's, else those of the first run that has some."""
        return drawing_labels(self.store, self.engine.runs)

    def landmarks(self) -> tuple[str, ...]:
        """Landmarks that are marked, as ``L1 left``: those of the data set's points, else of the first run that has some."""
        if self._landmarks is None:
            cases = (self.store.case(name) for name in self.store.ids())
            given = (point.key for case in cases if case.points is not None for point in case.read_points())
            self._landmarks = tuple(dict.fromkeys(str(key) for key in given))
        runs = (info.landmarks for info in self.engine.runs.values())
        return self._landmarks or next((found for found in runs if found), ())

    def _trained(self, name: str, folder: Path) -> None:
        self.engine.add_run(name, folder)

    # Jobs

    def predict(
        self, case: str, run: str, *, tta: bool = False, uncertainty: bool = False, formats: Sequence[str] = ()
    ) -> Job:
        """Predict a case; the result lies in the store when the job is done.

        Parameters
        ----------
        formats : DICOM results beside, of a case that is a DICOM series.

        Raises
        ------
        BadInput : DICOM results are asked for of another scan, or the scan cannot be read.
        """
        info, scratch = self.run(run), self.store.scratch("predict")
        series = self.store.series(case)
        if formats and series is None:
            raise BadInput("only a DICOM series has DICOM results", "formats", "Leave the formats out")
        inputs = (series,) if formats and series is not None else self._linked(case, scratch / "in")
        ending = ".nii.gz" if info.labels else ".mrk.json" if info.landmarks else None
        options = PredictOptions(ending=ending, tta=tta, formats=tuple(formats))
        order = Order(run, inputs, scratch / "out", options, unsure=uncertainty)

        def keep(result: Mapping[str, Any]) -> dict[str, Any]:
            return self._keep_prediction(case, info, scratch, result)

        return self._submit(order, {"case": case}, scratch, keep)

    def explain(self, case: str, run: str) -> Job:
        """Maps of class activation of a case; they lie in the store when the job is done."""
        self.run(run)
        scratch = self.store.scratch("explain")

        def keep(result: Mapping[str, Any]) -> dict[str, Any]:
            files = [Path(path) for path in result["beside"] if str(path).endswith(".nii.gz")]
            maps = {str(row["answer"]): path for row, path in zip(result["maps"], files, strict=True)}
            self.store.keep_maps(case, run, maps)
            shutil.rmtree(scratch, ignore_errors=True)
            return {"answers": list(maps), "score": result["says"]}

        order = ExplainOrder(run, self._linked(case, scratch / "in"), scratch / "out")
        return self._submit(order, {"case": case}, scratch, keep)

    def rank(self, run: str, diversity: float = 0.5) -> Job:
        """Order the cases without a drawing for annotation.

        Raises
        ------
        BadInput : every case is annotated, or one cannot be read.
        """
        self.run(run)
        left = unlabelled(self.store)
        if not left:
            raise BadInput("every case is annotated", "cases", "Upload further scans")
        scans = tuple((name, self.store.scan_files(name)) for name in left)
        scratch = self.store.scratch("rank")

        def keep(result: Mapping[str, Any]) -> dict[str, Any]:
            self.store.keep_rank(run, result["rows"])
            shutil.rmtree(scratch, ignore_errors=True)
            return {"rows": result["rows"]}

        return self._submit(RankOrder(run, scans, scratch / "rank.csv", diversity=diversity), {}, scratch, keep)

    def train(self, name: str, recipe: str | None, budget: str, start: str | None) -> Job:
        """Train a new run on the truth of the data set and on people's drawings.

        Parameters
        ----------
        name : of the run.
        recipe : a shipped one; None takes that of ``start``, or "auto".
        start : run whose weights are taken first.

        Raises
        ------
        BadInput : a name, recipe or budget that cannot be used, or too few cases.
        Conflict : there is a run of that name.
        """
        if not is_safe(name):
            raise BadInput("the name has other signs than letters, digits, dots and dashes", "name", "Choose another")
        try:
            seconds_of(budget)
        except ValueError as error:
            raise BadInput(str(error), "budget", "Write 90s, 10m, 1h30m or 2d") from error
        infos = list(self.engine.runs.values())
        first = self.run(start) if start else None
        kind = kind_of_runs([first] if first else infos)
        labels = first.declared if first is not None and first.declared is not None else self.labels()
        folder = self.store.state / "trainings" / name
        mapping = labels.to_nnunet() if labels is not None and kind == "label" else None
        words = recipe_words(recipe, first.folder if first else None, mapping, folder / "recipe.yaml")
        drawn = write_training_table(self.store, folder / "cases.csv", kind)
        out = self.store.state / "runs" / name
        return self.trainings.start(TrainingOrder(name, folder / "cases.csv", out, budget, tuple(words), drawn))

    def trained_on(self) -> dict[str, int]:
        """Run that was trained here -> number of people's drawings that it learned from."""
        return {order.name: order.cases for order in self.trainings.orders()}

    def cancel(self, name: str) -> bool:
        """End a job, or stop a training; False where it had ended."""
        if self.trainings.is_training(name):
            return self.trainings.stop(name)
        return self.engine.cancel(name)

    def file(self, job: str, name: str) -> Path:
        """A file of a job that is done, by the name that its result tells."""
        path = self.engine.job(job).result.get("paths", {}).get(name)
        if path is None or not Path(path).is_file():
            raise NotThere("the job has no such file", "file", "Its result names them")
        return Path(path)

    def _submit(
        self,
        order: Order | RankOrder | ExplainOrder,
        about: Mapping[str, Any],
        scratch: Path,
        keep: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> Job:
        """Queue an order with a scratch folder, and clear away those of orders that came to nothing."""  # fmt: skip
        for name, folder in list(self._scratch.items()):
            if (job := self.engine.job(name)).has_ended:
                del self._scratch[name]
                if job.state != "done":
                    shutil.rmtree(folder, ignore_errors=True)
        job = self.engine.submit(order, about, keep)
        self._scratch[job.id] = scratch
        return job

    def _linked(self, case: str, folder: Path) -> tuple[Path, ...]:
        """The channels of a case under a name that says nothing of it."""
        folder.mkdir(parents=True)
        numbers = self.store.case(case).channel_numbers
        whole = len(numbers) == 1 and not self.store.case(case).missing
        for number, path in zip(numbers, self.store.scan_files(case), strict=True):
            os.link(path, folder / ("scan.nii.gz" if whole else f"scan_{number:04d}.nii.gz"))
        return (folder,) if not whole else (folder / "scan.nii.gz",)

    def _keep_prediction(self, case: str, info: RunInfo, scratch: Path, result: Mapping[str, Any]) -> dict[str, Any]:
        """Put what was predicted into the store; DICOM results stay for whoever asked."""
        ((scan, found),) = result["files"].items()
        written = Path(found)
        if not info.labels and not info.landmarks:
            written = written.rename(written.with_name("scan.answer.json"))
        maps = [Path(path) for path in result["beside"] if str(path).endswith(_SHOWN_MAP)]
        judged = [{"dice": row["predicted_dice"], "bound": row["bound"]} for row in result["quality"]]
        kept = self.store.keep_prediction(
            case, info.name, written, weights=info.weights, labels=info.declared,
            seconds=next(iter(result["seconds"]), None), quality=judged[0] if judged else None,
            uncertainty=maps[0] if maps else None,
        )  # fmt: skip
        files = {path.name.replace(scan, case, 1): path for path in map(Path, result["dicom"])}
        if not files:
            shutil.rmtree(scratch, ignore_errors=True)
        told = {
            "files": list(files),
            "dice": dict(kept.dice),
            "quality": dict(kept.quality),
            "seconds": result["seconds"],
        }
        return {**told, "told": result["told"], "paths": {name: str(path) for name, path in files.items()}}
