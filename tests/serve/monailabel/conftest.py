"""A service with MONAI Label's end points on a real port, and its clients."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from monailabel.client import MONAILabelClient

from tests.serve.conftest import Small
from tests.serve.monailabel.live import live
from voxloom.serve.engine import Engine
from voxloom.serve.http.app import create_app
from voxloom.serve.http.guard import Security
from voxloom.serve.http.monailabel import Desk, monailabel_part
from voxloom.serve.service import Service
from voxloom.serve.store import Store


@dataclass(frozen=True)
class Site:
    """A running service."""

    desk: Desk
    address: str

    def client(self, folder: Path) -> MONAILabelClient:
        """The client of MONAI Label; results land in ``folder``."""
        return MONAILabelClient(self.address, tmpdir=str(folder), client_id="ana")


@pytest.fixture(scope="module")
def site(small: Small, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The run ``balls`` on a folder of scans."""
    folder = tmp_path_factory.mktemp("served") / "heads"
    folder.mkdir()
    for number, scan in enumerate(sorted((small.data / "imagesTr").iterdir())[:3]):
        shutil.copyfile(scan, folder / f"head{number}.nii.gz")
    desk = Desk(Service(engine, Store.of(folder, channels=("MR",))))
    with live(create_app(desk.service, Security(), [monailabel_part(desk)])) as address:
        yield Site(desk, address)
