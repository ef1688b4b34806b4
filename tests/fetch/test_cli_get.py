"""The command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run
from voxloom.dataset.fetch import Remote, find_set, registry

from .server import Site


@pytest.fixture
def offered(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VesselMNIST3D with two items, served from this machine."""
    np.savez(tmp_path / "v.npz", train_images=np.zeros((2, 4, 4, 4), np.uint8), train_labels=np.array([[0], [1]]))
    site.files["/v.npz"] = (tmp_path / "v.npz").read_bytes()
    entry = replace(find_set("VesselMNIST3D"), files=(Remote("v.npz", (f"{site.address}/v.npz",)),))
    monkeypatch.setattr(registry, "PUBLIC_SETS", (entry,))


@pytest.mark.usefixtures("offered")
def test_without_the_licence_nothing_is_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], site: Site
) -> None:
    assert run(["get", "VesselMNIST3D", "-o", str(tmp_path / "set")]) == 2
    assert "--accept-licence" in capsys.readouterr().err
    assert site.asked == []


@pytest.mark.usefixtures("offered")
def test_with_the_licence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    assert run(["get", "VesselMNIST3D", "-o", str(out), "--accept-licence", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "VesselMNIST3D",
        "folder": str(out),
        "cases": 2,
        "licence": "CC BY 4.0",
    }
    assert run(["get", "VesselMNIST3D", "-o", str(out)]) == 0
    assert "2 cases were found, 1908 are published" in capsys.readouterr().err


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["get", "--list"]) == 0
    assert "Task04_Hippocampus" in capsys.readouterr().err
    assert run(["get", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["sets"]) == 16


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["get", "KiTS91"]) == 2
    assert "Did you mean KiTS19?" in capsys.readouterr().err
