"""What the end points share: the service, who asks, and how files are answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.responses import FileResponse, JSONResponse

from voxloom.serve.http.models import ErrorAnswer
from voxloom.serve.http.people import Person
from voxloom.serve.refusals import NotAllowed
from voxloom.serve.service import Service
from voxloom.serve.store import Version

#: Refusals that every end point may answer with.
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "what was asked for cannot be used"},
    401: {"model": ErrorAnswer, "description": "a token is needed"},
    403: {"model": ErrorAnswer, "description": "who asks may not do that, or the request may be forged"},
    404: {"model": ErrorAnswer, "description": "there is no such thing"},
}


def service_of(request: Request) -> Service:
    """The service of an application."""
    return cast(Service, request.app.state.service)


def person_of(request: Request) -> Person:
    """Who asks."""
    return cast(Person, request.state.person)


TheService = Annotated[Service, Depends(service_of)]
ThePerson = Annotated[Person, Depends(person_of)]


def annotator(person: ThePerson) -> Person:
    """Who asks, where that may annotate (NotAllowed otherwise)."""
    if not person.may("annotate"):
        raise NotAllowed("only to look is allowed", "token", "Ask who runs the service for the role annotate")
    return person


def leader(person: ThePerson) -> Person:
    """Who asks, where that may lead a study (NotAllowed otherwise)."""
    if not person.may("lead"):
        raise NotAllowed("only who leads the study may do that", "token", "Ask who runs the service for the role lead")
    return person


Annotator = Annotated[Person, Depends(annotator)]
Leader = Annotated[Person, Depends(leader)]


def visible_version(service: Service, case: str, number: int, person: Person) -> Version:
    """A version, where who asks may see it: their own, or all for who leads the study (NotAllowed otherwise)."""
    found = service.store.drawings(case).get(number)
    if found.author != person.name and not person.may("lead"):
        raise NotAllowed("readers are blind to each other", "version", "Ask who leads the study")
    return found


def nifti(path: Path, name: str) -> FileResponse:
    """A NIfTI file under a name of ours."""
    return FileResponse(path, media_type="application/gzip", filename=f"{name}.nii.gz")


def markups(path: Path, name: str) -> FileResponse:
    """Points under a name of ours."""
    return FileResponse(path, media_type="application/json", filename=f"{name}.mrk.json")


def as_json(value: Any) -> JSONResponse:
    """Plain values as they are."""
    return JSONResponse(value)
