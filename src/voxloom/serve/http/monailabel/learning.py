"""End point: the image to annotate next."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Body

from voxloom.errors import BadInput
from voxloom.files import sha256_file
from voxloom.serve.http.common import REFUSALS, ThePerson
from voxloom.serve.http.monailabel.background import chosen
from voxloom.serve.http.monailabel.desk import Desk, TheDesk
from voxloom.serve.http.monailabel.info import STRATEGIES
from voxloom.serve.http.people import Person
from voxloom.serve.loop import truth_known
from voxloom.serve.pacs import Found

router = APIRouter(responses=REFUSALS, tags=["MONAI Label"])


@router.post("/activelearning/{strategy}")
def next_sample(
    desk: TheDesk, person: ThePerson, strategy: str, params: Annotated[dict[str, Any] | None, Body()] = None
) -> dict[str, Any]:
    """The image to annotate next; an empty object where none is left."""
    image = next_image(desk, strategy, person)
    if image is None:
        return {}
    case = desk.images.case(image)
    who = person.name or str((params or {}).get("client_id") or "")[:64]
    notes = desk.notes.add(case, {"strategy": {strategy: {"ts": int(time.time()), "client_id": who}}})
    digest = sha256_file(desk.service.store.image(case))
    return {**notes, **_dicom(desk, image), "id": image, "name": f"{case}.nii.gz", "checksum": f"SHA256:{digest}"}


def next_image(desk: Desk, strategy: str, person: Person) -> str | None:
    """The id of an image that is not labelled, by a strategy; None where none is left.

    Raises
    ------
    BadInput : there is no such strategy, or no run has ranked the cases.
    """
    if strategy not in STRATEGIES:
        raise BadInput(f"there is no strategy {strategy!r}", "strategy", f"Take {', '.join(STRATEGIES)}")
    own = set(desk.service.store.ids())
    left = [
        image
        for image in chosen(desk, "unlabeled", person)
        if image not in own or not truth_known(desk.service.store, image)
    ]
    if not left:
        return None
    if strategy == "random":
        return secrets.choice(left)
    return left[0] if strategy == "first" else _ranked(desk, left)


def _ranked(desk: Desk, left: list[str]) -> str:
    """The first of the order that a run gave; what came after the ranking comes last."""
    rows = next((found for run in desk.service.engine.runs if (found := desk.service.store.rank(run))), None)
    if rows is None:
        raise BadInput("no run has ranked the cases", "strategy", "Ask for it: POST /api/rank, or take another")
    return next((str(row["case"]) for row in rows if row["case"] in left), left[0])


def _dicom(desk: Desk, image: str) -> dict[str, str]:
    """What OHIF opens a series of the PACS by."""
    listed: list[Found] = [] if desk.series is None else desk.series.listed()
    found = next((one for one in listed if one.series == image), None)
    if found is None:
        return {}
    return {"Modality": found.modality, "StudyInstanceUID": found.study, "SeriesInstanceUID": found.series}
