"""The addresses of MONAI Label are guarded as the own API is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from tests.serve.monailabel.conftest import Site
from tests.serve.monailabel.live import live
from voxloom.serve.http.app import create_app
from voxloom.serve.http.guard import Security
from voxloom.serve.http.monailabel import Desk, monailabel_part
from voxloom.serve.http.people import People
from voxloom.serve.service import Service

ANA, VIEWER, LEADER = "a" * 16, "v" * 16, "l" * 16
CLOSED = [
    ("GET", "/info/"),
    ("POST", "/infer/balls?image=head0"),
    ("POST", "/activelearning/first"),
    ("GET", "/datastore/"),
    ("GET", "/datastore/image?image=head0"),
    ("PUT", "/datastore/label?image=head0"),
    ("PUT", "/session/"),
    ("POST", "/train/balls"),
    ("POST", "/batch/infer/balls"),
    ("POST", "/scoring/dice"),
    ("GET", "/model/balls"),
    ("GET", "/logs/"),
    ("GET", "/auth/token/valid"),
    ("GET", "/ohif/"),
]


@pytest.fixture(scope="module")
def guarded(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the same service with tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    tokens = folder / "tokens"
    tokens.write_text(f"ana {ANA} annotate\nvera {VIEWER} view\nlea {LEADER} lead\n")
    tokens.chmod(0o600)
    (folder / "ohif").mkdir()
    (folder / "ohif" / "index.html").write_text("viewer")
    service = Service(site.desk.service.engine, site.desk.service.store)
    part = monailabel_part(Desk(service), folder / "ohif")
    with live(create_app(service, Security(People.of(tokens)), [part])) as address:
        yield address


def ask(method: str, address: str, token: str = "", **headers: str) -> requests.Response:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return requests.request(method, address, headers=headers, timeout=60)


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_no_address_answers_without_a_token(guarded: str, method: str, path: str) -> None:
    for token in ("", "x" * 16):
        assert ask(method, guarded + path, token).status_code == 401


def test_slicers_log_in(guarded: str, tmp_path: Path) -> None:
    client = MONAILabelClient(guarded, tmpdir=str(tmp_path))
    assert client.auth_enabled()
    assert not client.auth_valid_token()
    for name, password in (("ana", "x" * 16), ("vera", ANA)):
        with pytest.raises(MONAILabelClientException):
            client.auth_token(name, password)
    client.update_auth(client.auth_token("ana", ANA))
    assert client.auth_valid_token()
    file, _ = client.infer("balls", "head0", {})
    kept = client.save_label("head0", file, tag="draft")
    assert client.info()["name"] == "Voxloom", "a length that is left over from the last request does no harm"
    assert client.datastore()["objects"]["head0"]["labels"]["draft"]["info"]["author"] == "ana"
    assert kept["version"] >= 1


def test_roles(guarded: str) -> None:
    wanted = {
        ("POST", "/infer/balls?image=head0"): ANA,
        ("PUT", "/session/"): ANA,
        ("POST", "/batch/infer/balls"): ANA,
        ("POST", "/train/balls"): LEADER,
        ("DELETE", "/train/"): LEADER,
        ("GET", "/model/balls"): LEADER,
        ("GET", "/logs/"): LEADER,
        ("GET", "/datastore/dataset"): LEADER,
    }
    for (method, path), least in wanted.items():
        assert ask(method, guarded + path, VIEWER).status_code == 403, path
        if least == LEADER:
            assert ask(method, guarded + path, ANA).status_code == 403, path
    assert ask("GET", guarded + "/info/", VIEWER).json()["trainers"] == {}


def test_readers_are_blind_to_each_other(guarded: str, tmp_path: Path) -> None:
    client = MONAILabelClient(guarded, tmpdir=str(tmp_path))
    client.update_auth({"token_type": "bearer", "access_token": ANA})
    file, _ = client.infer("balls", "head1", {})
    client.save_label("head1", file, tag="secret")
    path = "/datastore/label?label=head1&tag=secret"
    assert [ask("GET", guarded + path, token).status_code for token in (ANA, LEADER, VIEWER)] == [200, 200, 404]
    assert "secret" not in ask("GET", guarded + "/datastore/?output=all", VIEWER).text


def test_a_page_of_another_site_changes_nothing(site: Site) -> None:
    address = site.address + "/activelearning/first"
    assert ask("POST", address).status_code == 200, "3D Slicer sends no Origin"
    assert ask("POST", address, Origin=site.address).status_code == 200, "OHIF comes from here"
    assert ask("POST", address, Origin="http://evil.org").status_code == 403
    assert ask("POST", address, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert ask("GET", site.address + "/info/", Host="evil.org").status_code == 421


@pytest.mark.parametrize("image", ["../../etc/passwd", "/etc/passwd", "head0/../head1", "a\0b", ""])
def test_an_image_is_looked_up_and_never_opened(site: Site, image: str) -> None:
    for path in ("/datastore/image", "/datastore/image/info"):
        answer = requests.get(site.address + path, params={"image": image}, timeout=60)
        assert answer.status_code == 404
        assert "root:" not in answer.text


def test_no_answer_names_a_path(site: Site, tmp_path: Path) -> None:
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    with (tmp_path / "broken.nii.gz").open("rb") as file:
        answer = requests.post(site.address + "/infer/balls", files={"file": file}, timeout=60)
    assert answer.status_code == 400
    for text in (answer.text, requests.get(site.address + "/datastore/?output=all", timeout=60).text):
        assert str(site.desk.service.store.state.parent) not in text
        assert "/tmp" not in text
