"""The OHIF viewer's static files, from a folder that the user names; Voxloom ships none.

The build inside the wheel of MONAI Label knows its plug-in, lies under ``/ohif/`` and asks ``/proxy/dicom`` for images.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse

from voxloom.errors import BadInput

#: Types that a browser insists on, whatever the machine's table of types says.
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
#: Where the plug-in's panel remembers the server; without it, it asks on port 8000.
_SERVER = "MONAILABEL_SERVER_URL"


def check_ohif(folder: Path) -> Path:
    """The folder, made absolute.

    Raises
    ------
    BadInput : it holds no build of OHIF.
    """
    if not (folder / "index.html").is_file():
        raise BadInput("holds no index.html", folder, "Name the folder of a build of OHIF")
    return folder.resolve()


def ohif_router(folder: Path) -> APIRouter:
    """The route ``/ohif/...``: files of the folder, and its index.html for each address of the viewer's own."""
    router, root = APIRouter(prefix="/ohif", tags=["MONAI Label"], include_in_schema=False), check_ohif(folder)

    @router.get("/{path:path}")
    def get(request: Request, path: str) -> FileResponse:
        file = file_in(root, path)
        answer = FileResponse(file, media_type=_TYPES.get(file.suffix))
        if file.name == "index.html" and _SERVER not in request.cookies:
            answer.set_cookie(_SERVER, quote(str(request.base_url), safe=""), path="/ohif", samesite="strict")
        return answer

    return router


def file_in(root: Path, path: str) -> Path:
    """The file that an address names: index.html where it names none, or leaves the folder by ``..`` or a link.

    Raises
    ------
    HTTPException : 404 for a name with an ending (a script, a picture) that is not there.
    """
    if "\0" in path:
        raise HTTPException(404, "there is no such file")
    wanted = (root / path.lstrip("/")).resolve()
    if wanted.is_file() and wanted.is_relative_to(root):
        return wanted
    if Path(path).suffix in _TYPES:
        raise HTTPException(404, "there is no such file")
    return root / "index.html"
