"""What clients of MONAI Label send: a form with ``params`` in JSON and files. Names of files are never paths."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as Uploaded

from voxloom.errors import BadInput
from voxloom.serve.store import Sent, Store

__all__ = ["Received", "json_object", "received"]


@dataclass(frozen=True)
class Received:
    """A form.

    Parameters
    ----------
    params : the field of that name, or ``info``.
    files : by field; they lie in ``folder``, which is removed when the request was answered.
    """

    params: Mapping[str, Any]
    files: Mapping[str, list[Sent]]
    folder: Path

    def one(self, field: str) -> Sent:
        """The file of a field (BadInput where there is none)."""
        found = self.files.get(field)
        if not found:
            raise BadInput("no file was sent", field, f"Send one as a form field named {field}")
        return found[0]


@asynccontextmanager
async def received(request: Request, store: Store) -> AsyncIterator[Received]:
    """The form of a request, for as long as it is answered."""
    folder = await run_in_threadpool(store.scratch, "form")
    try:
        async with request.form(max_files=store.limits.entries + 1, max_fields=100) as form:
            taken = await run_in_threadpool(_take, form, folder)
        yield taken
    finally:
        await run_in_threadpool(shutil.rmtree, folder, True)


def _take(form: FormData, folder: Path) -> Received:
    params: dict[str, Any] = {}
    files: dict[str, list[Sent]] = {}
    for number, (field, value) in enumerate(form.multi_items()):
        if isinstance(value, Uploaded):
            path = folder / f"sent{number}"
            with path.open("wb") as file:
                shutil.copyfileobj(value.file, file, 1 << 20)
            files.setdefault(field, []).append(Sent(value.filename or "", path))
        elif field in ("params", "info"):
            params |= json_object(value, field)
    return Received(params, files, folder)


def json_object(text: str, field: str) -> dict[str, Any]:
    """An object in JSON; nothing is an empty one (BadInput for anything else)."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise BadInput("is not JSON", field, "Send an object") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadInput("is not an object in JSON", field, "Send an object")
    return found
