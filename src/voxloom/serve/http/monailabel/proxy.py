"""The PACS behind the service, for viewers in a browser (OHIF): QIDO-RS and WADO-RS pass through, STOW-RS too.

Only paths of PS3.18 pass, rebuilt from checked parts: a path can never leave the DICOMweb root, e.g. to Orthanc's own REST
interface, which deletes. The visitor's cookies and token do not go to the PACS, and the PACS's address and cookies do not go
to the visitor.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from voxloom.serve.pacs import Pacs

#: What a path may begin with (PS3.18, 10.4 to 10.6).
_ROOTS = frozenset({"studies", "series", "instances"})
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,-]{0,255}")
_MOST_PARTS = 16
#: What of a request goes to the PACS, and of an answer to the visitor.
_ASKED = ("accept", "content-type")
_TOLD = ("content-type", "content-length", "etag", "last-modified", "warning")
_BLOCK = 1 << 18
#: Bytes of one request that stores; a larger series is stored in several.
LARGEST = 2 << 30


def proxy_router(pacs: Pacs, largest: int = LARGEST) -> APIRouter:
    """The routes ``/proxy/dicom/{wado,qido,stow}/...`` in front of a PACS.

    Parameters
    ----------
    largest : bytes of a request that stores.
    """
    router, door = APIRouter(prefix="/proxy/dicom", tags=["MONAI Label"], include_in_schema=False), _Door(pacs)

    @router.get("/{service}/{path:path}")
    async def get(request: Request, service: str, path: str) -> Response:
        return await run_in_threadpool(door.get, request, checked(service, path))

    @router.post("/{service}/{path:path}")
    async def post(request: Request, service: str, path: str) -> Response:
        wanted = checked(service, path)
        if wanted.split("/")[0] != "studies" or wanted.count("/") > 1:
            raise HTTPException(405, "instances are stored under /studies")
        with tempfile.TemporaryFile() as body:
            size = 0
            async for block in request.stream():
                size += len(block)
                if size > largest:
                    raise HTTPException(413, f"a request may hold {largest >> 20} MiB; store fewer instances at once")
                body.write(block)
            body.seek(0)
            return await run_in_threadpool(door.post, request, wanted, body)

    return router


def checked(service: str, path: str) -> str:
    """The path below the DICOMweb root that a visitor may ask for.

    Raises
    ------
    HTTPException : 404 where it is not one of PS3.18.
    """
    parts = [part for part in path.split("/") if part]
    known = service in ("wado", "qido", "stow") and parts and parts[0] in _ROOTS and len(parts) <= _MOST_PARTS
    if not known or not all(_PART.fullmatch(part) for part in parts):
        raise HTTPException(404, "there is no such DICOMweb resource")
    return "/".join(parts)


class _Door:
    """The way to one PACS: requests without the visitor's secrets, answers without the PACS's."""

    def __init__(self, pacs: Pacs) -> None:
        import requests

        self.pacs = pacs
        self.session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=32)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def get(self, request: Request, path: str) -> Response:
        """Pass a query or a retrieval on."""
        return self._answer(request, self._ask("GET", request, path, None))

    def post(self, request: Request, path: str, body: IO[bytes]) -> Response:
        """Pass instances on."""
        return self._answer(request, self._ask("POST", request, path, body))

    def _ask(self, method: str, request: Request, path: str, body: IO[bytes] | None) -> Any:
        import requests

        query = f"?{request.url.query}" if request.url.query else ""
        try:
            return self.session.request(
                method,
                f"{self.pacs.address}/{path}{query}",
                headers={"Accept-Encoding": "identity", **_some(request.headers, _ASKED), **self.pacs.headers},
                data=body,
                timeout=self.pacs.timeout,
                stream=True,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise HTTPException(502, f"the PACS cannot be reached ({type(error).__name__})") from error

    def _answer(self, request: Request, answer: Any) -> Response:
        if answer.is_redirect:
            answer.close()
            raise HTTPException(502, "the PACS sends elsewhere, which is not followed")
        headers = _some(answer.headers, _TOLD)
        if "json" in answer.headers.get("Content-Type", ""):
            headers.pop("content-length", None)
            return Response(self._own_addresses(request, answer.content), answer.status_code, headers)
        return StreamingResponse(_blocks(answer), answer.status_code, headers)

    def _own_addresses(self, request: Request, body: bytes) -> bytes:
        """Addresses of retrieval and bulk data that lead through this proxy instead of to the PACS itself."""
        own = str(request.base_url).rstrip("/") + "/proxy/dicom/wado"
        return body.replace(self.pacs.address.encode() + b"/", own.encode() + b"/")


def _some(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


def _blocks(answer: Any) -> Iterator[bytes]:
    """The body as it comes; the connection is given back also where the visitor has left."""
    with answer:
        yield from answer.iter_content(_BLOCK)
