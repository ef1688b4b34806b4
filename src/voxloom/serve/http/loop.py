"""End points: what to annotate next, what it has brought, and how readers agree."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query

from voxloom.files import plain
from voxloom.serve.agreement import compare_readers, readers_table
from voxloom.serve.http.common import REFUSALS, Leader, ThePerson, TheService
from voxloom.serve.http.models import NextAnswer
from voxloom.serve.loop import next_case, progress_of

router = APIRouter(prefix="/api", responses=REFUSALS, tags=["loop"])


@router.get("/next")
def next_one(
    service: TheService,
    person: ThePerson,
    run: str | None = None,
    strategy: str = "rank",
    author: str = Query("", max_length=64),
    again: bool = Query(False, description="also cases that others have annotated, for a second reader"),
) -> NextAnswer:
    """The case to annotate next."""
    found = next_case(service.store, run, strategy, (person.name or author) if again else None)
    return NextAnswer(id=found.case, reason=found.reason)


@router.get("/progress")
def progress(service: TheService) -> dict[str, Any]:
    """Cases that are annotated, the curve of Dice over them, corrections, and seconds per case."""
    found: dict[str, Any] = plain(progress_of(service.store, service.engine.runs.values(), service.trained_on()))
    return found


@router.get("/compare")
def compare(service: TheService, person: Leader, case: str, a: str, b: str) -> dict[str, Any]:
    """The last drawings of two readers of one case."""
    return compare_readers(service.store, case, a, b, service.labels())


@router.get("/raters")
def raters(service: TheService, person: Leader) -> dict[str, Any]:
    """How all readers agree, over all cases that two or more of them drew."""
    return readers_table(service.store, service.labels())
