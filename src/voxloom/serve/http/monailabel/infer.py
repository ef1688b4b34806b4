"""End points: predictions of one image, and sessions that hold an image for several of them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from voxloom.errors import BadInput
from voxloom.serve.http.common import REFUSALS, Annotator
from voxloom.serve.http.monailabel.answers import as_bytes, as_file, as_form, as_json
from voxloom.serve.http.monailabel.desk import Desk, TheDesk
from voxloom.serve.http.monailabel.predicting import Answered, Asked, answered
from voxloom.serve.http.monailabel.receive import Received, received
from voxloom.serve.jobs import Job
from voxloom.serve.refusals import Conflict, NotThere
from voxloom.serve.store.uploads import unpack

router = APIRouter(responses=REFUSALS, tags=["MONAI Label"])
Output = Literal["image", "json", "all", "dicom_seg"]
#: Seconds between two looks whether the client has left.
_LOOK = 0.5


@router.post("/infer/{model}")
async def infer(
    request: Request, model: str, desk: TheDesk, person: Annotator, image: str = "", session_id: str = "",
    output: Output = "all",
) -> Response:  # fmt: skip
    """Predict an image of the store or the PACS, of a session, or one that is sent along."""
    run = desk.service.run(model)
    async with received(request, desk.service.store) as form:
        asked = Asked.of(run, form.params, seg=output == "dicom_seg", label="label" in form.files)
        with TemporaryDirectory(prefix="voxloom-answer-") as scratch:
            out = Path(scratch)
            job, case = await run_in_threadpool(submit, desk, asked, form, image, session_id, out)
            done = await ended(request, desk, job)
            found = await run_in_threadpool(result, desk, asked, done, case, out)
            return await run_in_threadpool(answer, found, output)


def submit(desk: Desk, asked: Asked, form: Received, image: str, session: str, out: Path) -> tuple[Job, str | None]:
    """The job, and the case that it predicts; None for files that are not a case."""
    if not session and "file" not in form.files:
        if not image:
            raise BadInput("no image is named or sent", "image", "Name one: ?image=ID")
        case = desk.images.case(image)
        return asked.case(desk.service, case), case
    files = session_files(desk, session) if session else sent_files(form, desk, out)
    return asked.files(desk.service, files, out / "predicted"), None


def session_files(desk: Desk, name: str) -> tuple[Path, ...]:
    """The image of a session (NotThere where there is none, or no longer)."""
    found = desk.sessions.get(name)
    if found is None:
        raise NotThere("there is no such session, or no longer", "session_id", "Create one: PUT /session/")
    return found.files


def sent_files(form: Received, desk: Desk, out: Path) -> tuple[Path, ...]:
    """The image that was sent along."""
    scans = unpack(form.files["file"], out / "sent", desk.service.store.limits).scans
    if len(scans) > 1:
        raise BadInput(f"{len(scans)} series were sent", "file", "Send one at a time")
    return tuple(scans[0])


async def ended(request: Request, desk: Desk, job: Job) -> Job:
    """A job when it is done; cancelled where the client has left meanwhile.

    Raises
    ------
    BadInput : it failed.
    Conflict : somebody cancelled it.
    """
    while not (found := await run_in_threadpool(desk.service.engine.wait, job.id, _LOOK)).has_ended:
        if await request.is_disconnected():
            await run_in_threadpool(desk.service.cancel, job.id)
    if found.state == "cancelled":
        raise Conflict(found.message, "job", None)
    if found.state == "failed":
        error = found.error or {}
        raise BadInput(str(error.get("what")), None, error.get("fix"))
    return found


def result(desk: Desk, asked: Asked, job: Job, case: str | None, out: Path) -> Answered:
    """What a job that is done says, in the client's terms."""
    if case is not None:
        return answered(asked, job, desk.service.store.prediction(case, asked.run.name), out)
    (written,) = (Path(path) for path in job.result["files"].values())
    return answered(asked, job, written, out)


def answer(found: Answered, output: Output) -> Response:
    """The answer in the form that was asked for."""
    if output == "json" or found.file is None:
        return as_json(found.params)
    return as_form(found.params, found.file) if output == "all" else as_bytes(found.file)


@router.put("/session/")
async def create_session(
    request: Request, desk: TheDesk, person: Annotator, uncompress: bool = False, expiry: int = 0
) -> dict[str, Any]:
    """Send an image for several predictions. An archive is unpacked, with or without ``uncompress``."""
    async with received(request, desk.service.store) as form:
        made = await run_in_threadpool(desk.sessions.add, form.files.get("files", []), expiry)
    return {"session_id": made.id, "session_info": made.told()}


@router.get("/session/{session_id}")
def get_session(
    session_id: str, desk: TheDesk, person: Annotator, update_ts: bool = False, image: bool = False
) -> Response:
    """A session, or its image."""
    found = desk.sessions.get(session_id, touch=update_ts)
    if found is None:
        raise NotThere("there is no such session, or no longer", "session_id", "Create one: PUT /session/")
    if not image:
        return as_json(found.told())
    if found.files[0].is_dir():
        raise BadInput("the session holds a DICOM series, not one file", "image", "Leave image out")
    return as_file(found.files[0])


@router.delete("/session/{session_id}")
def remove_session(session_id: str, desk: TheDesk, person: Annotator) -> dict[str, Any]:
    """End a session."""
    found = desk.sessions.remove(session_id)
    if found is None:
        raise NotThere("there is no such session, or no longer", "session_id", None)
    return found.told()
