"""What the end points of MONAI Label share: images, label maps by tag, sessions, and notes on both."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from voxloom.files import read_json, write_json
from voxloom.serve.http.monailabel.images import Images
from voxloom.serve.http.monailabel.kept import KeptLabels
from voxloom.serve.http.monailabel.pacs_cases import PacsCases
from voxloom.serve.http.monailabel.sessions import Sessions
from voxloom.serve.pacs import Pacs
from voxloom.serve.service import Service


class Desk:
    """See the module.

    Parameters
    ----------
    pacs : whose series are images too; None serves the store alone.
    """

    def __init__(self, service: Service, pacs: Pacs | None = None, modalities: tuple[str, ...] = ()) -> None:
        self.service, self.pacs = service, pacs
        self.series = None if pacs is None else PacsCases(pacs, service.store, modalities)
        self.images = Images(service.store, self.series)
        self.labels = KeptLabels(service.store, lambda: service.engine.runs)
        self.sessions = Sessions(limits=service.store.limits)
        self.notes = Notes(service.store.state / "monailabel")

    def close(self) -> None:
        """Remove what clients sent for a while."""
        self.sessions.close()


class Notes:
    """What clients note on images and labels: JSON beside the state, a file per case. Safe for several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def of(self, case: str, key: str = "image") -> dict[str, Any]:
        """Notes on a case, or on its label with a tag."""
        path = self.folder / f"{case}.json"
        return dict(read_json(path).get(key, {})) if path.is_file() else {}

    def add(self, case: str, notes: Mapping[str, Any], key: str = "image") -> dict[str, Any]:
        """Add notes; equal keys are replaced. All notes as they are then."""
        path = self.folder / f"{case}.json"
        with self._lock:
            found = read_json(path) if path.is_file() else {}
            found[key] = {**found.get(key, {}), **notes}
            write_json(path, found)
            return dict(found[key])


def desk_of(request: Request) -> Desk:
    """The desk of an application."""
    return cast(Desk, request.state.desk)


TheDesk = Annotated[Desk, Depends(desk_of)]
