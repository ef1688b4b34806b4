"""A service on a data set of four cases, and a client of it. What tests save stays: they ask for versions that they made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.serve.conftest import Small, labelled_folder
from voxloom.formats import read_volume, write_volume
from voxloom.serve.engine import Engine
from voxloom.serve.http.app import create_app
from voxloom.serve.http.guard import Security
from voxloom.serve.service import Service
from voxloom.serve.store import Store
from voxloom.volume import Volume

BASE = "http://127.0.0.1:8000"
OWN = {"X-Voxloom": "1"}


@dataclass(frozen=True)
class Served:
    """A service, and a client that sends the own header."""

    service: Service
    client: TestClient

    def get(self, path: str, status: int = 200) -> Any:
        """JSON of an answer."""
        found = self.client.get(f"/api{path}")
        assert found.status_code == status, found.text
        return found.json()

    def post(self, path: str, body: Any = None, status: int = 202) -> Any:
        """JSON of an answer."""
        found = self.client.post(f"/api{path}", json=body)
        assert found.status_code == status, found.text
        return found.json()

    def done(self, job: dict[str, Any], seconds: float = 120) -> dict[str, Any]:
        """A job when it has ended."""
        end = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = self.get(f"/jobs/{job['id']}")
            if found["state"] in ("done", "failed", "cancelled"):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.02)

    def volume(self, path: str, tmp_path: Path) -> Volume:
        """A NIfTI answer."""
        found = self.client.get(f"/api{path}")
        assert found.status_code == 200, found.text
        (tmp_path / "answer.nii.gz").write_bytes(found.content)
        return read_volume(tmp_path / "answer.nii.gz")

    def draw(self, case: str, tmp_path: Path, *, author: str = "", value: int = 3, size: int = 3, **query: Any) -> Any:
        """Save a cube as a new version."""
        image = self.volume(f"/cases/{case}/image.nii.gz", tmp_path)
        label = np.zeros(image.data.shape, np.uint8)
        label[0, 4 : 4 + size, 4 : 4 + size, 4 : 4 + size] = value
        data = write_volume(Volume(label, image.affine), tmp_path / "drawn.nii.gz").read_bytes()
        found = self.client.post(f"/api/cases/{case}/annotations", content=data, params={"author": author, **query})
        assert found.status_code == 201, found.text
        return found.json()


@pytest.fixture(scope="session")
def service(small: Small, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service; the engine is closed by its own fixture."""
    folder = labelled_folder(small, tmp_path_factory.mktemp("served") / "heads")
    made = Service(engine, Store.of(folder, channels=("MR",)))
    yield made
    made.trainings.close()


@pytest.fixture(scope="session")
def served(service: Service) -> Served:
    """The service with a client."""
    return Served(service, TestClient(create_app(service, Security()), base_url=BASE, headers=OWN))
