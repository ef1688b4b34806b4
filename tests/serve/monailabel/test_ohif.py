"""The viewer's files: those of the folder that was named, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from voxloom.errors import BadInput
from voxloom.serve.http.monailabel.ohif import ohif_router


@pytest.fixture
def viewer(tmp_path: Path) -> TestClient:
    folder = tmp_path / "ohif"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<html>viewer")
    (folder / "app.js").write_text("run()")
    (folder / "codec.wasm").write_bytes(b"\0asm")
    (folder / "assets" / "logo.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.js").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    app = FastAPI()
    app.include_router(ohif_router(folder))
    return TestClient(app, base_url="http://127.0.0.1:8123")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("app.js", "text/javascript"), ("codec.wasm", "application/wasm"), ("assets/logo.svg", "image/svg")],
)
def test_files_have_the_type_that_browsers_insist_on(path: str, kind: str, viewer: TestClient) -> None:
    answer = viewer.get(f"/ohif/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("path", ["", "viewer?StudyInstanceUIDs=1.2.840", "monai-label", "nowhere/at/all", "assets"])
def test_every_address_of_the_viewer_is_its_page(path: str, viewer: TestClient) -> None:
    assert viewer.get(f"/ohif/{path}").text == "<html>viewer"


def test_a_script_that_is_not_there_is_told(viewer: TestClient) -> None:
    assert viewer.get("/ohif/missing.js").status_code == 404


@pytest.mark.parametrize(
    "path", ["..%2fsecret.txt", "%2e%2e/secret.txt", "%2fetc/passwd", "link.txt", "assets/..%2f..%2fsecret.js", "a%00b"]
)
def test_no_file_outside_the_folder_is_served(path: str, viewer: TestClient) -> None:
    answer = viewer.get(f"/ohif/{path}")
    assert "secret" not in answer.text
    assert "root:" not in answer.text


def test_the_panel_knows_the_server(viewer: TestClient) -> None:
    first = viewer.get("/ohif/viewer")
    assert first.headers["set-cookie"].startswith("MONAILABEL_SERVER_URL=http%3A%2F%2F127.0.0.1%3A8123%2F; Path=/ohif")
    assert "set-cookie" not in viewer.get("/ohif/app.js").headers
    assert "set-cookie" not in viewer.get("/ohif/viewer").headers


def test_a_folder_without_a_viewer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"index\.html"):
        ohif_router(tmp_path)
