"""End points: images and labels of the store and of the PACS. Nothing is ever deleted or written over."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, BackgroundTasks, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response

from voxloom.errors import BadInput
from voxloom.files import sha256_file
from voxloom.serve.http.common import REFUSALS, Annotator, Leader, ThePerson
from voxloom.serve.http.monailabel.answers import as_file, as_json
from voxloom.serve.http.monailabel.desk import Desk, TheDesk
from voxloom.serve.http.monailabel.kept import FINAL, Kept
from voxloom.serve.http.monailabel.labelling import save_label
from voxloom.serve.http.monailabel.receive import received
from voxloom.serve.http.people import Person
from voxloom.serve.refusals import NotAllowed, NotThere

router = APIRouter(prefix="/datastore", responses=REFUSALS, tags=["MONAI Label"])
#: Tags as people may choose them.
TAG = r"^[\w.-]{0,64}$"


def stats_of(desk: Desk, person: Person) -> dict[str, Any]:
    """How many images there are, how many are labelled, and how often each tag was used."""
    ids = desk.images.ids()
    own = set(desk.service.store.ids())
    tags: dict[str, int] = {}
    done = set() if desk.series is None else set(desk.series.labelled()) & set(ids)
    for case in own:
        found = desk.labels.of(case, person)
        for tag in found:
            tags[tag] = tags.get(tag, 0) + 1
        if set(found) - {"original"}:
            done.add(case)
    return {"total": len(ids), "completed": len(done), "label_tags": tags}


def listed(desk: Desk, person: Person) -> dict[str, Any]:
    """Every image with its labels."""
    objects: dict[str, Any] = {}
    own = set(desk.service.store.ids())
    for image in desk.images.ids():
        labels = desk.labels.of(image, person) if image in own else {}
        objects[image] = {
            "image": {"ext": ".nii.gz", "info": desk.notes.of(image) if image in own else {}},
            "labels": {
                tag: {
                    "ext": "".join(kept.file.suffixes[-2:]),
                    "info": about_label(desk, image, tag, kept),
                }
                for tag, kept in labels.items()
            },
        }
    return {"name": "voxloom", "description": "", "images_dir": "", "labels_dir": "labels", "objects": objects}


def about_label(desk: Desk, case: str, tag: str, kept: Kept) -> dict[str, Any]:
    """Notes on a label, who made it, and which labels it holds."""
    return {**desk.notes.of(case, tag), **kept.info, "params": {"label_names": kept.label_names()}}


@router.get("/")
def datastore(desk: TheDesk, person: ThePerson, output: Literal["all", "train", "stats"] = "stats") -> Response:
    """The images: how many, every one with its labels, or those that can be trained on."""
    if output == "stats":
        return as_json(stats_of(desk, person))
    if output == "all":
        return as_json(listed(desk, person))
    names = [case for case in desk.service.store.ids() if FINAL in desk.labels.of(case, person)]
    return as_json([{"image": name, "label": name} for name in names])


@router.put("/")
@router.put("/image")
async def add_image(request: Request, desk: TheDesk, person: Annotator, image: str = "") -> dict[str, str]:
    """Send an image; ``image`` is a wish for its id."""
    async with received(request, desk.service.store) as form:
        return {"image": await run_in_threadpool(desk.images.add, form.one("file"), image)}


@router.delete("/")
@router.delete("/image")
@router.delete("/label")
def remove(person: Leader) -> None:
    """Nothing is ever deleted."""
    raise NotAllowed(
        "nothing is ever deleted here", None, "Who runs the service can move files away while it is stopped"
    )


@router.head("/image")
def check_image(desk: TheDesk, person: ThePerson, image: str, check_sum: str = "") -> Response:
    """Whether there is an image, with this checksum (``SHA256:...``)."""
    file = desk.service.store.image(desk.images.case(image))
    kind, _, digest = check_sum.rpartition(":")
    if check_sum and (kind.upper() not in ("", "SHA256") or digest.lower() != sha256_file(file)):
        raise NotThere("the image has another checksum", "check_sum", None)
    return Response()


@router.get("/image")
def image(desk: TheDesk, person: ThePerson, image: str) -> FileResponse:
    """An image, or the first channel of several, as NIfTI."""
    case = desk.images.case(image)
    return as_file(desk.service.store.image(case), f"{case}.nii.gz")


@router.get("/image/info")
def image_info(desk: TheDesk, person: ThePerson, image: str) -> dict[str, Any]:
    """Notes on an image."""
    return desk.notes.of(desk.images.case(image))


@router.put("/image/info")
async def note_on_image(request: Request, desk: TheDesk, person: Annotator, image: str) -> dict[str, Any]:
    """Note something on an image."""
    async with received(request, desk.service.store) as form:
        case = await run_in_threadpool(desk.images.case, image)
        return await run_in_threadpool(desk.notes.add, case, form.params)


@router.put("/label")
async def put_label(
    request: Request, desk: TheDesk, person: Annotator, image: str, tag: str = Query(FINAL, pattern=TAG)
) -> dict[str, Any]:
    """Keep a label map as a new version; with the tag "final" it also goes to the PACS, as DICOM SEG."""
    async with received(request, desk.service.store) as form:
        return await run_in_threadpool(save_label, desk, form, image, tag or FINAL, person)


@router.head("/label")
def check_label(
    desk: TheDesk, person: ThePerson, tag: str, image: str = "", label: str = ""
) -> Response:  # fmt: skip
    """Whether there is a label with this tag."""
    desk.labels.get(desk.images.case(image or label), tag, person)
    return Response()


@router.get("/label")
def label(desk: TheDesk, person: ThePerson, tag: str, background: BackgroundTasks, label: str) -> FileResponse:
    """A label map, with the values that ``/info/`` names."""
    kept = desk.labels.get(desk.images.case(label), tag, person)
    scratch = tempfile.TemporaryDirectory(prefix="voxloom-answer-")
    background.add_task(scratch.cleanup)
    file = kept.shown(Path(scratch.name))
    return as_file(file, f"label{''.join(file.suffixes[-2:])}")


@router.get("/label/info")
def label_info(desk: TheDesk, person: ThePerson, label: str, tag: str) -> dict[str, Any]:
    """Who made a label, when and from what, which labels it holds, and notes on it."""
    case = desk.images.case(label)
    kept = desk.labels.get(case, tag, person)
    return about_label(desk, case, tag, kept)


@router.put("/label/info")
@router.put("/updatelabelinfo")
async def note_on_label(request: Request, desk: TheDesk, person: Annotator, label: str, tag: str) -> dict[str, Any]:
    """Note something on a label."""
    async with received(request, desk.service.store) as form:
        case = await run_in_threadpool(desk.images.case, label)
        await run_in_threadpool(desk.labels.get, case, tag, person)
        return await run_in_threadpool(desk.notes.add, case, form.params, tag)


@router.get("/dataset")
def dataset(desk: TheDesk, person: Leader, background: BackgroundTasks, limit_cases: int | None = None) -> FileResponse:
    """A zip of all images that have a final label, and these labels."""
    if limit_cases is not None and limit_cases < 1:
        raise BadInput("is below 1", "limit_cases", "Leave it out for all")
    handle, name = tempfile.mkstemp(suffix=".zip", dir=desk.service.store.state)
    background.add_task(os.unlink, name)
    with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for case in [c for c in desk.service.store.ids() if FINAL in desk.labels.of(c, person)][:limit_cases]:
            archive.write(desk.service.store.image(case), f"images/{case}.nii.gz")
            kept = desk.labels.get(case, FINAL, person)
            archive.write(kept.file, f"labels/final/{case}{''.join(kept.file.suffixes[-2:])}")
    return as_file(Path(name), "dataset.zip")
