"""End points: trainings, predictions of many images, scoring."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from voxloom.serve.http.common import REFUSALS, Annotator, Leader, ThePerson
from voxloom.serve.http.monailabel.answers import as_json
from voxloom.serve.http.monailabel.background import Which, at_work, chosen, predict_many, score, task_of, tasks_of
from voxloom.serve.http.monailabel.desk import Desk, TheDesk
from voxloom.serve.http.monailabel.info import SCORING
from voxloom.serve.jobs import Job
from voxloom.serve.refusals import NotThere

router = APIRouter(responses=REFUSALS, tags=["MONAI Label"])
Params = Annotated[dict[str, Any] | None, Body()]
#: Training time where a client names none.
BUDGET = "10m"


def status(desk: Desk, kind: str, everything: bool, check_if_running: bool) -> Response:
    """The last task of a kind, all of them, or the one at work (NotThere where there is none)."""
    found = at_work(desk, kind) if check_if_running else tasks_of(desk, kind)
    if not found:
        raise NotThere(f"there is no {kind} task", kind, None)
    return as_json([task_of(job) for job in found] if everything else task_of(found[-1]))


def stop(desk: Desk, kind: str) -> Response:
    """Stop what is at work; null where nothing is."""
    left = at_work(desk, kind)
    for job in left:
        desk.service.cancel(job.id)
    return as_json({**task_of(desk.service.engine.job(left[-1].id)), "status": "STOPPED"} if left else None)


async def answered(desk: Desk, job: Job, wait: bool) -> Response:
    """A task that was started, when it has ended if that is wanted."""
    found = await run_in_threadpool(desk.service.engine.wait, job.id) if wait else desk.service.engine.job(job.id)
    return as_json(task_of(found))


@router.get("/train/")
def train_status(desk: TheDesk, person: ThePerson, all: bool = False, check_if_running: bool = False) -> Response:
    """The last training, all of them, or whether one is at work."""
    return status(desk, "train", all, check_if_running)


@router.post("/train/")
def train_all(desk: TheDesk, person: Leader, params: Params = None) -> dict[str, Any]:
    """Train anew from the models that the body names, or from the first one: ``{model: {budget}}``."""
    given = params or {}
    names = [name for name in desk.service.engine.runs if name in given] or list(desk.service.engine.runs)[:1]
    return {
        name: {"result": task_of(start_training(desk, name, given.get(name) or {})), "detail": None} for name in names
    }


@router.post("/train/{model}")
async def train(desk: TheDesk, person: Leader, model: str, params: Params = None, run_sync: bool = False) -> Response:
    """Train a new run, which starts from a model, on the truth of the data set and on the annotations."""
    job = await run_in_threadpool(start_training, desk, model, params or {})
    return await answered(desk, job, run_sync)


@router.delete("/train/")
def stop_training(desk: TheDesk, person: Leader) -> Response:
    """Stop a training, so that it can be resumed."""
    return stop(desk, "train")


def start_training(desk: Desk, model: str, params: Mapping[str, Any]) -> Job:
    """A training that goes on from a run, under the first free name: ``spleen``, ``spleen-2``, ``spleen-3``."""
    desk.service.run(model)
    taken = {*desk.service.engine.runs, *desk.service.trained_on()}
    stem = re.sub(r"-\d+$", "", model)
    name = next(name for n in itertools.count(2) if (name := f"{stem}-{n}") not in taken)
    return desk.service.train(name, None, str(params.get("budget") or BUDGET), model)


@router.get("/batch/infer")
def batch_status(desk: TheDesk, person: ThePerson, all: bool = False, check_if_running: bool = False) -> Response:
    """The last predictions of many images."""
    return status(desk, "batch", all, check_if_running)


@router.post("/batch/infer/{model}")
async def batch(
    desk: TheDesk, person: Annotator, model: str, images: Which = "all", params: Params = None, run_sync: bool = False
) -> Response:
    """Predict all images, or those with or without a label. Results are their label "original"."""
    names = await run_in_threadpool(chosen, desk, images, person)
    return await answered(desk, await run_in_threadpool(predict_many, desk, model, names), run_sync)


@router.delete("/batch/infer")
def stop_batch(desk: TheDesk, person: Annotator) -> Response:
    """Stop the predictions of many images."""
    return stop(desk, "batch")


@router.get("/scoring/")
def scoring_status(desk: TheDesk, person: ThePerson, all: bool = False, check_if_running: bool = False) -> Response:
    """The last scoring."""
    return status(desk, "scoring", all, check_if_running)


@router.post("/scoring/")
def score_all(desk: TheDesk, person: Annotator, params: Params = None) -> dict[str, Any]:
    """Score by every method."""
    return {name: {"result": task_of(score(desk, person)), "detail": None} for name in SCORING}


@router.post("/scoring/{method}")
async def scoring(
    desk: TheDesk, person: Annotator, method: str, params: Params = None, run_sync: bool = False
) -> Response:
    """Score by one method: ``dice``."""
    if method not in SCORING:
        raise NotThere("there is no such method", "method", f"Take {', '.join(SCORING)}")
    return await answered(desk, await run_in_threadpool(score, desk, person), run_sync)


@router.delete("/scoring/")
def stop_scoring(desk: TheDesk, person: Annotator) -> Response:
    """Stop the scoring."""
    return stop(desk, "scoring")
