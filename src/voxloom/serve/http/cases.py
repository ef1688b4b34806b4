"""End points: cases, their pictures, truths and predictions."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.datastructures import UploadFile

from voxloom.files import read_json
from voxloom.points import write_points
from voxloom.serve.difference import difference_map
from voxloom.serve.http.common import (
    REFUSALS,
    Annotator,
    ThePerson,
    TheService,
    as_json,
    markups,
    nifti,
    visible_version,
)
from voxloom.serve.http.models import CaseAnswer, UploadAnswer
from voxloom.serve.refusals import NotThere
from voxloom.serve.scrub import names_of, scrubbed
from voxloom.serve.service import Service
from voxloom.serve.store import Sent

router = APIRouter(prefix="/api", responses=REFUSALS, tags=["cases"])
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "name": {"type": "string", "description": "wish for the id of the case"},
                    },
                }
            }
        },
    }
}
_NIFTI: dict[int | str, dict[str, Any]] = {200: {"content": {"application/gzip": {}}, "description": "a NIfTI file"}}
_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}, "description": "a picture"}}


def answer_of(service: Service, name: str, ranks: dict[str, int]) -> CaseAnswer:
    """What is told of a case."""
    info = service.store.info(name)
    hidden = names_of(service.store.case(name).source_files) if info.problem else ()
    problem = scrubbed(info.problem, hidden) if info.problem else None
    dicom = info.problem is None and service.store.series(name) is not None
    return CaseAnswer.of(info, ranks.get(name), dicom, problem)


def ranks_of(service: Service, run: str | None) -> dict[str, int]:
    """Case -> place in the order of a run; of the first run that ranked them where none is named."""
    names = [run] if run else list(service.engine.runs)
    rows = next((rows for name in names if (rows := service.store.rank(name))), [])
    return {str(row["case"]): int(row["rank"]) for row in rows}


@router.get("/cases")
def cases(service: TheService, run: str | None = None) -> list[CaseAnswer]:
    """All cases; ``rank`` is that of ``run``."""
    ranks = ranks_of(service, run)
    return [answer_of(service, name, ranks) for name in service.store.ids()]


@router.get("/cases/{case}")
def one_case(case: str, service: TheService, run: str | None = None) -> CaseAnswer:
    """One case."""
    return answer_of(service, case, ranks_of(service, run))


@router.post("/cases", status_code=201, openapi_extra=_FORM)
async def upload(request: Request, service: TheService, person: Annotator) -> UploadAnswer:
    """Send a scan: one file per channel, the DICOM files of a series, or a zip of DICOM files."""
    most = service.store.limits.entries
    async with request.form(max_files=most + 1, max_fields=10) as form:
        parts = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
        given = form.get("name")
        wish = given[:100] if isinstance(given, str) else ""
        ids = await run_in_threadpool(_take, service, parts, wish)
    return UploadAnswer(id=ids[0], ids=ids)


def _take(service: Service, parts: list[UploadFile], wish: str) -> list[str]:
    """Move what was sent out of the form's temporary files."""
    folder = service.store.scratch("sent")
    try:
        sent = []
        for number, part in enumerate(parts):
            path = folder / str(number)
            with path.open("wb") as file:
                shutil.copyfileobj(part.file, file, 1 << 20)
            sent.append(Sent(part.filename or "", path))
        return service.store.add(sent, wish)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@router.delete("/cases/{case}", status_code=405)
def delete(case: str) -> JSONResponse:
    """Nothing is ever deleted."""
    fix = "Who runs the service can move files away while it is stopped"
    return JSONResponse({"error": {"what": "nothing is ever deleted here", "where": None, "fix": fix}}, 405)


@router.get("/cases/{case}/thumbnail.png", responses=_PNG, response_class=FileResponse)
def thumbnail(case: str, service: TheService) -> FileResponse:
    """One slice as a picture."""
    return FileResponse(service.store.thumbnail(case), media_type="image/png")


@router.get("/cases/{case}/image.nii.gz", responses=_NIFTI, response_class=FileResponse)
def image(case: str, service: TheService, channel: int = 0) -> FileResponse:
    """A channel, with the voxels and the grid of the source."""
    return nifti(service.store.image(case, channel), f"{case}_{channel:04d}")


@router.get("/cases/{case}/truth.nii.gz", responses=_NIFTI, response_class=FileResponse)
def truth(case: str, service: TheService) -> FileResponse:
    """The true label map."""
    return nifti(service.store.truth(case), f"{case}_truth")


@router.get("/cases/{case}/truth.mrk.json")
def true_points(case: str, service: TheService) -> Response:
    """The true points, as 3D Slicer reads them."""
    points = service.store.true_points(case)
    with TemporaryDirectory() as folder:
        return Response(
            write_points(points, Path(folder) / "points.mrk.json", case).read_bytes(), media_type="application/json"
        )


@router.get("/cases/{case}/predictions/{run}.nii.gz", responses=_NIFTI, response_class=FileResponse)
def prediction(case: str, run: str, service: TheService) -> FileResponse:
    """The predicted label map."""
    return nifti(_of_kind(service, case, run, "label"), f"{case}_{run}")


@router.get("/cases/{case}/predictions/{run}.mrk.json", response_class=FileResponse)
def predicted_points(case: str, run: str, service: TheService) -> FileResponse:
    """The predicted points, as 3D Slicer reads them."""
    return markups(_of_kind(service, case, run, "points"), f"{case}_{run}")


@router.get("/cases/{case}/answer/{run}")
def answer(case: str, run: str, service: TheService) -> JSONResponse:
    """The predicted class or numbers."""
    return as_json(read_json(_of_kind(service, case, run, "answer")))


@router.get("/cases/{case}/predictions/{run}/{kind}.nii.gz", responses=_NIFTI)
def prediction_map(
    case: str, run: str, kind: str, service: TheService, person: ThePerson, answer: str = "", version: int | None = None
) -> Response:
    """A map beside a prediction: uncertainty, activation (of an answer), or difference from the truth or from a version.

    Values of the difference: 1 only predicted, 2 only in the truth, 3 another label.
    """
    if kind == "difference":
        drawn = None if version is None else visible_version(service, case, version, person)
        found = difference_map(service.store, case, _of_kind(service, case, run, "label"), drawn)
        return Response(found, media_type="application/gzip")
    return nifti(service.store.prediction_map(case, run, kind, answer), f"{case}_{run}_{kind}")


def _of_kind(service: Service, case: str, run: str, kind: str) -> Path:
    """The file of a prediction of a kind (NotThere where it is of another)."""
    path, found = service.store.prediction(case, run), service.store.predictions(case)[run].kind
    if found != kind:
        raise NotThere(f"the run predicts a {found}", "prediction", "Ask for that")
    return path
