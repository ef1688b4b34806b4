"""The end points of MONAI Label as one part of the application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Depends, Request

from voxloom.serve.http.app import Part
from voxloom.serve.http.guard import Paths
from voxloom.serve.http.monailabel import datastore, infer, learning, service_points, tasks
from voxloom.serve.http.monailabel.desk import Desk
from voxloom.serve.http.monailabel.ohif import ohif_router
from voxloom.serve.http.monailabel.proxy import proxy_router

#: Addresses that programs other than browsers use.
ROOTS = ("/info/", "/infer/", "/activelearning/", "/datastore/", "/session/", "/train/", "/batch/", "/scoring/", "/model/",
         "/logs/", "/auth/", "/proxy/")  # fmt: skip
_PATHS = Paths(
    public=("/auth/",),
    upload=("/infer/", "/datastore/", "/session/", "/proxy/"),
    clients=ROOTS,
    own_policy=("/ohif/",),
)


def monailabel_part(desk: Desk, ohif: Path | None = None) -> Part:
    """The end points, with the rules of their addresses.

    Parameters
    ----------
    desk : what they share.
    ohif : folder of a build of OHIF, served at ``/ohif/``; None serves none.
    """

    def bind(request: Request) -> None:
        request.state.desk = desk

    @asynccontextmanager
    async def life(app: object) -> AsyncIterator[None]:
        yield
        desk.close()

    router = APIRouter(dependencies=[Depends(bind)], lifespan=life)
    for module in (service_points, infer, datastore, learning, tasks):
        router.include_router(module.router)
    if desk.pacs is not None:
        router.include_router(proxy_router(desk.pacs))
    if ohif is not None:
        router.include_router(ohif_router(ohif))
    return Part(router, _PATHS)
