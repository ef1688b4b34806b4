"""Errors as answers: a status and {"error": {"what", "where", "fix"}}, without paths and names of files."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from voxloom.errors import BadInput, MissingExtra, VoxloomError
from voxloom.serve.refusals import Conflict, NotAllowed, NotThere, TooLarge
from voxloom.serve.scrub import names_of, scrubbed, told
from voxloom.serve.service import Service

STATUS: tuple[tuple[type[BadInput], int], ...] = ((NotThere, 404), (NotAllowed, 403), (Conflict, 409), (TooLarge, 413))
_WORDS = {404: "there is no such address", 405: "that cannot be done with this address", 413: "it is too large"}


def refusal(status: int, what: str, where: str | None = None, fix: str | None = None) -> JSONResponse:
    """An error as an answer."""
    return JSONResponse({"error": {"what": what, "where": where, "fix": fix}}, status)


def add_handlers(app: FastAPI, service: Service) -> None:
    """Let every error of an application be told so."""

    @app.exception_handler(VoxloomError)
    def refused(request: Request, error: VoxloomError) -> JSONResponse:
        names = hidden_of(service, request.path_params.get("case"))
        if not isinstance(error, BadInput):
            status = 501 if isinstance(error, MissingExtra) else 500
            return refusal(status, scrubbed(str(error), names))
        status = next((code for kind, code in STATUS if isinstance(error, kind)), 400)
        return JSONResponse({"error": told(error, request.path_params.get("case"), names)}, status)

    @app.exception_handler(RequestValidationError)
    def wrong(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        return refusal(422, str(first["msg"]), where or None, "See /api/openapi.json")

    @app.exception_handler(HTTPException)
    def plain(request: Request, error: HTTPException) -> JSONResponse:
        what = _WORDS.get(error.status_code, scrubbed(str(error.detail)))
        return JSONResponse({"error": {"what": what, "where": None, "fix": None}}, error.status_code, error.headers)

    @app.exception_handler(OSError)
    def system(request: Request, error: OSError) -> JSONResponse:
        return refusal(
            500, f"the system refused it ({error.strerror or type(error).__name__})", None, "Is the disk full?"
        )


def hidden_of(service: Service, case: str | None) -> Iterable[str]:
    """Names that must not be told of a case."""
    if case is None or case not in service.store.ids():
        return ()
    try:
        return names_of(service.store.case(case).source_files)
    except VoxloomError:
        return ()
