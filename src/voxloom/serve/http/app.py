"""The application: the own API, what other modules add, the page, and the guard before all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from voxloom import __version__
from voxloom.serve.http import cases, drawings, jobs, loop, runs
from voxloom.serve.http.errors import add_handlers
from voxloom.serve.http.guard import Guard, Paths, Security
from voxloom.serve.page import STATIC
from voxloom.serve.service import Service

#: Own addresses with rules of their own.
OWN = Paths(public=("/api/login",), upload=("/api/cases",))


@dataclass(frozen=True)
class Part:
    """End points that another module adds, and the rules of their addresses.

    Parameters
    ----------
    router : its end points reach the service by ``voxloom.serve.http.common``.
    """

    router: APIRouter
    paths: Paths = field(default_factory=Paths)


def create_app(
    service: Service, security: Security, parts: Sequence[Part] = (), *, page: Path = STATIC, debug: bool = False
) -> FastAPI:
    """The application of a service.

    Parameters
    ----------
    parts : further end points.
    page : folder of the page: ``index.html`` is answered at ``/``, everything in it below ``/page/``.
    debug : log traces of unforeseen errors, which may name files and patients.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="Voxloom", version=__version__, description="Runs, cases, predictions, drawings and trainings of one group.",
        openapi_url="/api/openapi.json", docs_url=None, redoc_url=None, lifespan=life,
    )  # fmt: skip
    app.state.service, app.state.security = service, security
    for module in (runs, cases, drawings, jobs, loop):
        app.include_router(module.router)
    paths = OWN
    for part in parts:
        app.include_router(part.router)
        paths = paths + part.paths
    app.add_api_route("/", lambda: FileResponse(page / "index.html"), include_in_schema=False)
    app.mount("/page", StaticFiles(directory=page), name="page")
    add_handlers(app, service)
    app.add_middleware(Guard, security=security, paths=paths, pages=pages_of(page), debug=debug)
    return app


def pages_of(folder: Path) -> frozenset[str]:
    """Addresses of the files of the page."""
    files = {f"/page/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()}
    return frozenset({"/", *files})
