"""What the clients of MONAI Label expect of an answer: a form of two parts, a file with its name, or JSON.

The client writes a result under the name that the answer gives it, so names are plain and never twice the same.
"""

from __future__ import annotations

import json
import mimetypes
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi.responses import FileResponse, JSONResponse, Response

from voxloom.files import plain

#: Types of endings that Python's table lacks.
_TYPES = {".gz": "application/gzip", ".nrrd": "application/octet-stream", ".dcm": "application/dicom"}


def type_of(file: Path) -> str:
    """Media type of a file by its ending."""
    return _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def as_form(params: Mapping[str, Any], file: Path) -> Response:
    """A multipart/form-data answer (RFC 7578): ``params`` as JSON, ``image`` as a file with a new name and the file's ending."""
    edge, ending = secrets.token_hex(16), "".join(file.suffixes[-2:])
    name = f"label-{secrets.token_hex(8)}{ending}"
    body = b"".join(
        [
            f'--{edge}\r\nContent-Disposition: form-data; name="params"\r\n'.encode(),
            b"Content-Type: application/json\r\n\r\n",
            json.dumps(plain(dict(params))).encode(),
            f'\r\n--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'.encode(),
            f"Content-Type: {type_of(file)}\r\n\r\n".encode(),
            file.read_bytes(),
            f"\r\n--{edge}--\r\n".encode(),
        ]
    )
    return Response(body, media_type=f"multipart/form-data; boundary={edge}")


def as_json(value: Any) -> Response:
    """JSON, with infinities as text."""
    return JSONResponse(plain(value))


def as_bytes(file: Path) -> Response:
    """The content of a file that will soon be gone, to be saved under a new name with its ending."""
    name = f"label-{secrets.token_hex(8)}{''.join(file.suffixes[-2:])}"
    return Response(file.read_bytes(), media_type=type_of(file), headers=_saved_as(name))


def as_file(file: Path, name: str | None = None) -> FileResponse:
    """A file, to be saved under ``name``."""
    return FileResponse(file, media_type=type_of(file), headers=_saved_as(name or file.name))


def _saved_as(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
