"""End points: what the service is, who may come in, weights of its models, and what it did."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Form, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response

from voxloom.runfiles import trained_folds
from voxloom.serve.http.common import REFUSALS, Leader, ThePerson
from voxloom.serve.http.errors import refusal
from voxloom.serve.http.guard import COOKIE, Security
from voxloom.serve.http.monailabel.answers import as_file, as_json
from voxloom.serve.http.monailabel.background import at_work, task_of
from voxloom.serve.http.monailabel.datastore import stats_of
from voxloom.serve.http.monailabel.desk import Desk, TheDesk
from voxloom.serve.http.monailabel.info import info_of
from voxloom.serve.http.people import SESSION
from voxloom.serve.refusals import NotAllowed, NotThere

router = APIRouter(responses=REFUSALS, tags=["MONAI Label"])


@router.get("/info/")
def info(desk: TheDesk, person: ThePerson) -> Response:
    """Models, labels, strategies and images."""
    return as_json(
        info_of(
            desk.service.engine.runs.values(), stats_of(desk, person), train=person.may("lead"), at_work=progress(desk)
        )
    )


def progress(desk: Desk) -> dict[str, int] | None:
    """How far the training at work is, in steps of a hundred; None where there is none."""
    found = at_work(desk, "train")
    return {"epoch": max(1, round(100 * found[-1].progress)), "total_epochs": 100} if found else None


@router.get("/auth/")
def auth(request: Request) -> dict[str, Any]:
    """Whether a token is needed."""
    return {"enabled": security_of(request).people is not None, "client_id": "", "realm": ""}


@router.post("/auth/token")
def token(
    request: Request, username: Annotated[str, Form()], password: Annotated[str, Form(max_length=512)]
) -> Response:
    """Exchange name and token (as the password) for the token; a browser gets the cookie of a session too."""
    security = security_of(request)
    if security.people is None:
        return as_json({"access_token": None, "token_type": None})
    session, person = security.people.log_in(password), security.people.by_token(password)
    if session is None or person is None or person.name not in ("", username):
        return refusal(401, "name and token do not belong together", "token", "Ask who runs the service")
    answer = as_json({"access_token": password, "token_type": "bearer"})
    answer.set_cookie(COOKIE, session, max_age=SESSION, httponly=True, samesite="strict", secure=security.tls, path="/")
    return answer


@router.get("/auth/token/valid")
def valid(request: Request, person: ThePerson) -> Response:
    """Who has the token. The address is open, as is that of the log-in, so an unknown token is refused here."""
    people, (kind, _, given) = security_of(request).people, request.headers.get("authorization", "").partition(" ")
    if people is not None and (kind.lower() != "bearer" or people.by_token(given.strip()) is None):
        return refusal(401, "the token is not known", "token", "Log in: POST /auth/token")
    return as_json({"username": person.name, "roles": [person.role]})


@router.get("/model/info/{model}")
def model_info(desk: TheDesk, person: ThePerson, model: str) -> dict[str, Any]:
    """Hash and time of a model's weights."""
    run = desk.service.run(model)
    return {"checksum": run.weights, "modified_time": int(max(path.stat().st_mtime for path in weights_of(run.folder)))}


@router.get("/model/{model}")
def model(desk: TheDesk, person: Leader, model: str, background: BackgroundTasks) -> FileResponse:
    """The weights of a run as safetensors, with what describes them, in a zip."""
    run = desk.service.run(model)
    folder = tempfile.mkdtemp(prefix="voxloom-model-")
    background.add_task(shutil.rmtree, folder, True)
    out = Path(folder) / "model.zip"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in weights_of(run.folder):
            for file in (path, path.with_suffix(".json")):
                if file.is_file():
                    archive.write(file, file.relative_to(run.folder).as_posix())
    return as_file(out, f"{model}.zip")


def weights_of(folder: Path) -> list[Path]:
    """The weights of a run's folds, in order (NotThere of an ensemble, whose members have them)."""
    found = [fold.weights for fold in trained_folds(folder)]
    if not found:
        raise NotThere("the model has no weights of its own", "model", "Ask for a member of the ensemble")
    return found


@router.put("/model/{model}")
@router.delete("/model/{model}")
def change_model(model: str, person: Leader) -> None:
    """Weights come from training alone."""
    raise NotAllowed("weights are not changed or deleted here", "model", "Train a run, and serve its folder")


@router.get("/logs/")
def logs(desk: TheDesk, person: Leader, lines: int = 300) -> PlainTextResponse:
    """What was done: a line per job, the newest last, without names of patients or files."""
    tasks = [(job, task_of(job)) for job in desk.service.engine.jobs()][-max(0, lines) :] if lines > 0 else []
    text = [
        f"{task['start_ts']} {job.kind} {job.about.get('run', '-')} {task['status']} {task['details'][-1]}"
        for job, task in tasks
    ]
    return PlainTextResponse("".join(f"{line}\n" for line in text))


@router.get("/logs/gpu")
def gpu(person: Leader) -> PlainTextResponse:
    """What ``nvidia-smi`` prints (NotThere without one)."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise NotThere("this machine has no NVIDIA driver", "gpu", None)
    return PlainTextResponse(subprocess.run([program], capture_output=True, text=True, timeout=30, check=False).stdout)


def security_of(request: Request) -> Security:
    """How the application is guarded."""
    found: Security = request.app.state.security
    return found
