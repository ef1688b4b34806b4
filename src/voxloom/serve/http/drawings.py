"""End points: versions of what people draw."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from voxloom.errors import BadInput
from voxloom.serve.exports import export
from voxloom.serve.http.common import REFUSALS, Annotator, ThePerson, TheService, visible_version
from voxloom.serve.http.models import VersionAnswer
from voxloom.serve.http.people import Person
from voxloom.serve.refusals import NotAllowed, NotThere
from voxloom.serve.service import Service
from voxloom.serve.store import Version
from voxloom.serve.store.versions import parent_of

router = APIRouter(prefix="/api/cases/{case}/annotations", responses=REFUSALS, tags=["annotations"])
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "a NIfTI label map on the grid of the image (also gzipped), or markups of 3D Slicer (.mrk.json)",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}
_TEXT = r"^[^\x00-\x1f\x7f]*$"
_GZIP = b"\x1f\x8b"


@router.get("")
def versions(
    case: str,
    service: TheService,
    person: ThePerson,
    author: str = Query("", max_length=64),
    everybody: bool = Query(False, alias="all"),
) -> list[VersionAnswer]:
    """Versions of who asks; with ``all`` those of everybody, which is for who leads the study."""
    me = person.name or author
    if everybody and not person.may("lead"):
        raise NotAllowed("readers are blind to each other", "all", "Ask who leads the study")
    found = service.store.versions(case)
    shown = found if everybody or (not me and person.may("lead")) else [v for v in found if v.author == me]
    return [VersionAnswer.of(version) for version in shown]


@router.post("", status_code=201, openapi_extra=_BODY)
async def save(
    case: str,
    request: Request,
    service: TheService,
    person: Annotator,
    author: str = Query("", max_length=64, pattern=_TEXT),
    tag: str = Query("", max_length=64, pattern=_TEXT),
    parent: str = Query("", max_length=200, description="run or version that it was made from"),
    seconds: float | None = Query(None, ge=0, le=86_400 * 7, description="spent drawing"),
) -> VersionAnswer:
    """Keep a drawing as a new version; no version is ever written over."""
    service.store.case(case)
    folder = await run_in_threadpool(service.store.scratch, "drawing")
    try:
        sent = folder / "sent"
        with sent.open("wb") as file:
            async for block in request.stream():
                file.write(block)
        made = await run_in_threadpool(_save, service, case, sent, person.name or author, tag, parent, seconds)
    finally:
        await run_in_threadpool(shutil.rmtree, folder, True)
    return VersionAnswer.of(made)


def _save(
    service: Service, case: str, sent: Path, author: str, tag: str, parent: str, seconds: float | None
) -> Version:
    runs = {name: info.weights for name, info in service.engine.runs.items()}
    origin = parent_of(parent, runs, service.store.drawings(case))
    return service.store.save(case, named_by_content(sent), author=author, tag=tag, parent=origin, seconds=seconds)


def named_by_content(sent: Path) -> Path:
    """What was sent, with the ending that its first bytes tell; NIfTI is gzipped where it is not.

    Raises
    ------
    BadInput : it is neither NIfTI nor JSON.
    """
    with sent.open("rb") as file:
        head = file.read(512)
    if head.lstrip()[:1] == b"{":
        return sent.rename(sent.with_name("drawing.mrk.json"))
    path = sent.with_name("drawing.nii.gz")
    if head[:2] == _GZIP:
        return sent.rename(path)
    if head[344:347] in (b"n+1", b"ni1") or head[4:8] in (b"n+2\0", b"ni2\0"):
        with sent.open("rb") as a, gzip.open(path, "wb", compresslevel=1) as b:
            shutil.copyfileobj(a, b, 1 << 20)
        return path
    raise BadInput("is neither a NIfTI file nor markups of 3D Slicer", "body", "Send .nii.gz or .mrk.json as the body")


@router.get("/{version}.nii.gz", response_class=Response)
def label_map(
    case: str, version: int, service: TheService, person: ThePerson, form: str = Query("nifti", alias="as")
) -> Response:
    """The label map of a version; ``as`` nifti, csv (volumes) or, of a DICOM series, seg."""
    return _answered(service, case, _own(service, case, version, person, "label"), form)


@router.get("/{version}.mrk.json", response_class=Response)
def points(
    case: str, version: int, service: TheService, person: ThePerson, form: str = Query("mrk.json", alias="as")
) -> Response:
    """The points of a version; ``as`` mrk.json or csv (RAS mm)."""
    return _answered(service, case, _own(service, case, version, person, "points"), form)


@router.get("/{version}", response_class=Response)
def exported(
    case: str, version: int, service: TheService, person: ThePerson, form: str = Query("", alias="as")
) -> Response:
    """A version in any format that its kind has; ``as`` left out takes it as it was saved."""
    found = visible_version(service, case, version, person)
    return _answered(service, case, found, form or ("nifti" if found.kind == "label" else "mrk.json"))


def _answered(service: Service, case: str, found: Version, form: str) -> Response:
    """A version in a format, as a file of ours."""
    made = export(service.store, case, found, form, service.labels())
    name = f'attachment; filename="{case}_v{found.version}{made.ending}"'
    return Response(made.data, media_type=made.media, headers={"Content-Disposition": name})


def _own(service: Service, case: str, number: int, person: Person, kind: str) -> Version:
    """A version of a kind that who asks may see."""
    found = visible_version(service, case, number, person)
    if found.kind != kind:
        raise NotThere(
            f"the version is of kind {found.kind}", "version", "Ask for .nii.gz of labels, .mrk.json of points"
        )
    return found
