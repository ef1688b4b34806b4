"""The threats of docs/threats.md, one test each: who may ask, from where, how much, and what is never told."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.serve.http.conftest import BASE, OWN, Served
from voxloom.errors import BadInput
from voxloom.serve.http.app import create_app
from voxloom.serve.http.guard import COOKIE, Security, allowed_host
from voxloom.serve.http.people import FAILURES, People, Person
from voxloom.serve.http.server import Listening, check_listening, is_loopback, open_socket
from voxloom.serve.service import Service

TOKENS = {"anna": "a" * 24, "ben": "b" * 24, "prof": "p" * 24, "guest": "g" * 24}


def token_file(folder: Path) -> Path:
    path = folder / "tokens"
    roles = {"anna": "", "ben": "annotate", "prof": "lead", "guest": "view"}
    path.write_text("# who may use it\n" + "".join(f"{who} {TOKENS[who]} {roles[who]}\n" for who in TOKENS))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def guarded(service: Service, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A client without a token of a service that wants one."""
    people = People.of(token_file(tmp_path_factory.mktemp("tokens")))
    return TestClient(create_app(service, Security(people, body=4096, upload=64 << 10)), base_url=BASE)


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[who]}"}


def every_address(app: Any) -> list[tuple[str, str]]:
    """Method and address of every end point."""
    found = []
    for path, methods in app.openapi()["paths"].items():
        address = path
        for name in ("case", "run", "version", "job", "name", "kind"):
            address = address.replace(f"{{{name}}}", "1")
        found += [(method.upper(), address) for method in methods]
    return found


def test_without_a_token_nothing_is_answered(guarded: TestClient) -> None:
    asked = 0
    for method, address in every_address(guarded.app):
        for headers in ({}, {"Authorization": "Bearer " + "x" * 24}, {"Cookie": f"{COOKIE}=guess"}):
            found = guarded.request(method, address, headers={**OWN, **headers})
            if address == "/api/login":
                continue
            assert found.status_code == 401, (method, address, found.status_code)
            assert found.json()["error"]["what"] == "a token is needed"
            asked += 1
    assert asked > 60
    assert guarded.get("/api/openapi.json").status_code == 401


def test_a_token_in_the_address_is_no_token(guarded: TestClient) -> None:
    assert guarded.get(f"/api/cases?token={TOKENS['prof']}").status_code == 401


def test_roles_decide_what_may_be_done(guarded: TestClient) -> None:
    post = {"annotate": "/api/explain", "lead": "/api/train"}
    for who, may in {"guest": (), "anna": ("annotate",), "ben": ("annotate",), "prof": ("annotate", "lead")}.items():
        assert guarded.get("/api/cases", headers=bearer(who)).status_code == 200
        assert guarded.get("/api/info", headers=bearer(who)).json()["user"] == who
        for role, address in post.items():
            status = guarded.post(address, json={}, headers=bearer(who)).status_code
            assert (status != 403) == (role in may), (who, role, status)
        for address in ("/api/raters", "/api/compare?case=new_0&a=x&b=y", "/api/cases/new_0/annotations?all=1"):
            assert (guarded.get(address, headers=bearer(who)).status_code != 403) == ("lead" in may), (who, address)
        uploaded = guarded.post("/api/cases", files={"file": ("x", b"x")}, headers=bearer(who)).status_code
        assert (uploaded != 403) == ("annotate" in may)


def test_readers_are_blind_to_each_other(guarded: TestClient, served: Served, tmp_path: Path) -> None:
    image = guarded.get("/api/cases/new_0/image.nii.gz", headers=bearer("anna")).content
    made = {}
    for who in ("anna", "ben"):
        # An author in the address does not make anybody somebody else.
        found = guarded.post(
            "/api/cases/new_0/annotations?author=prof", content=label_like(image, tmp_path), headers=bearer(who)
        )
        assert found.json()["author"] == who
        made[who] = found.json()["version"]
    for who, other in (("anna", "ben"), ("ben", "anna")):
        shown = guarded.get(f"/api/cases/new_0/annotations?author={other}", headers=bearer(who)).json()
        assert {version["author"] for version in shown} == {who}
        for form in (".nii.gz", ".nii.gz?as=csv", "", "?as=csv"):
            address = f"/api/cases/new_0/annotations/{made[other]}{form}"
            assert guarded.get(address, headers=bearer(who)).status_code == 403
        done = served.done(served.post("/predict", {"run": "balls", "case": "new_0"}))
        assert done["state"] == "done"
        address = "/api/cases/new_0/predictions/balls/difference.nii.gz?version="
        assert guarded.get(f"{address}{made[who]}", headers=bearer(who)).status_code == 200
        assert guarded.get(f"{address}{made[other]}", headers=bearer(who)).status_code == 403
    assert guarded.get(f"/api/cases/new_0/annotations/{made['ben']}.nii.gz", headers=bearer("prof")).status_code == 200


def label_like(image: bytes, folder: Path) -> bytes:
    import numpy as np

    from voxloom.formats import read_volume, write_volume
    from voxloom.volume import Volume

    (folder / "i.nii.gz").write_bytes(image)
    found = read_volume(folder / "i.nii.gz")
    return write_volume(Volume(np.zeros(found.data.shape, np.uint8), found.affine), folder / "l.nii.gz").read_bytes()


def test_a_cookie_cannot_be_read_sent_elsewhere_or_guessed(
    guarded: TestClient, service: Service, tmp_path: Path
) -> None:
    assert guarded.post("/api/login", json={"token": "wrong" * 5}, headers=OWN).status_code == 401
    found = guarded.post("/api/login", json={"token": TOKENS["ben"]}, headers=OWN)
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert TOKENS["ben"] not in cookie
    session = {"Cookie": f"{COOKIE}={found.cookies[COOKIE]}"}
    guarded.cookies.clear()
    assert guarded.get("/api/info", headers=session).json()["user"] == "ben"
    assert guarded.post("/api/logout", headers={**session, **OWN}).status_code == 200
    assert guarded.get("/api/info", headers=session).status_code == 401
    safe = TestClient(
        create_app(service, Security(People.of(token_file(tmp_path)), tls=True)), base_url="https://127.0.0.1:8000"
    )
    assert "Secure" in safe.post("/api/login", json={"token": TOKENS["ben"]}, headers=OWN).headers["set-cookie"]


def test_tokens_cannot_be_tried_one_after_the_other(tmp_path: Path) -> None:
    people = People.of(token_file(tmp_path))
    for _ in range(FAILURES):
        assert people.log_in("wrong" * 5) is None
    with pytest.raises(BadInput, match="too many"):
        people.log_in(TOKENS["ben"])
    assert people.by_token(TOKENS["ben"]) == Person("ben", "annotate")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),  # a form of another site, as old browsers send it
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example", **OWN}, 403),
        ({"Origin": "https://127.0.0.1:8000"}, 403),  # another scheme is another site
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:8000"}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        (OWN, 404),
    ],
)
def test_forged_requests_of_other_sites_change_nothing(service: Service, headers: dict[str, str], status: int) -> None:
    client = TestClient(create_app(service, Security()), base_url=BASE)
    before = len(service.engine.jobs())
    body = {"run": "none", "case": "new_0"}
    assert client.post("/api/predict", json=body, headers=headers).status_code == status
    assert client.get("/api/cases", headers=headers).headers.get("access-control-allow-origin") is None
    assert len(service.engine.jobs()) == before


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8000", True), ("localhost:8000", True), ("[::1]:8000", True), ("10.1.2.3", True), ("pacs.ward:8000", True),
        (socket.gethostname(), True), ("evil.example", False), ("127.0.0.1.evil.example:8000", False), ("", False),
        ("localhost.evil.example", False),
    ],
)  # fmt: skip
def test_a_foreign_name_that_points_here_is_refused(service: Service, host: str, allowed: bool) -> None:
    security = Security(names=frozenset({"PACS.ward"}))
    assert allowed_host(host, security.hosts) == allowed
    client = TestClient(create_app(service, security), base_url=BASE)
    assert client.get("/api/info", headers={"Host": host}).status_code == (200 if allowed else 421)


def test_uploads_and_bodies_are_limited(guarded: TestClient, service: Service) -> None:
    def parts(size: int) -> Iterator[bytes]:  # without a Content-Length
        for _ in range(size // 1024):
            yield b"x" * 1024

    before = service.store.ids()
    for content in (b"x" * (65 << 10), parts(80 << 10)):
        found = guarded.post("/api/cases/new_0/annotations", content=content, headers=bearer("anna"))
        assert found.status_code == 413, found.text
    form = guarded.post("/api/cases", files={"file": ("a.nii.gz", b"x" * (70 << 10))}, headers=bearer("anna"))
    assert form.status_code == 413
    long = guarded.post("/api/login", content=b"x" * 5000, headers={**OWN, "Content-Type": "application/json"})
    assert long.status_code == 413
    odd = guarded.get("/api/cases", headers={**bearer("anna"), "Content-Length": "-1"})
    assert odd.status_code == 400
    assert service.store.ids() == before
    assert not list((service.store.state / "jobs").glob("sent*"))


@pytest.mark.parametrize(
    "name",
    ["..", "../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "....//",
     "..%5c..%5cwindows", "new_0%00.png", "new_0/../../../runs", "a" * 3000],
)  # fmt: skip
def test_addresses_are_looked_up_and_never_opened(served: Served, name: str) -> None:
    for address in (
        f"/api/cases/{name}/image.nii.gz", f"/api/cases/new_0/predictions/{name}.nii.gz", f"/api/reports/{name}/",
        f"/api/cases/new_0/predictions/balls/{name}.nii.gz", f"/api/jobs/1/files/{name}", f"/page/js/{name}/x",
        f"/api/cases/new_0/predictions/balls/activation.nii.gz?answer={name}", f"/api/next?strategy=rank&run={name}",
    ):  # fmt: skip
        found = served.client.get(address)
        assert found.status_code in (400, 404, 422), (address, found.status_code)
        assert "root:" not in found.text


def test_pickles_are_refused(served: Served, tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'pwned'}",)

    data = pickle.dumps(Evil())
    for name in ("a.nii.gz", "a.pkl", "a.npz", "a.pt", "a.dcm"):
        assert served.client.post("/api/cases", files={"file": (name, data)}).status_code == 400
    assert served.client.post("/api/cases/new_0/annotations", content=data).status_code == 400
    assert not (tmp_path / "pwned").exists()


def test_answers_errors_and_logs_name_no_path_and_no_patient(
    served: Served,
    service: Service,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    case = next(name for name in service.store.ids() if name.startswith("DOE"))
    with caplog.at_level(logging.DEBUG):
        texts = [served.client.get(address).text for address in (
            "/api/cases", "/api/runs", "/api/jobs", "/api/recipes", "/api/progress", f"/api/cases/{case}",
            f"/api/cases/{case}/image.nii.gz?channel=9", f"/api/cases/{case}/predictions/x.nii.gz", "/api/cases/nobody",
        )]  # fmt: skip
        broken = served.client.post("/api/cases", files={"file": ("DOE^JOHN.nii.gz", b"\x1f\x8b")})
        drawn = served.client.post(f"/api/cases/{case}/annotations", content=b"\x1f\x8b")
    assert broken.status_code == drawn.status_code == 400
    printed = capfd.readouterr()
    logged = caplog.text + printed.out + printed.err
    assert "GET /api/cases/{case} 200" in logged  # the route, not the address
    for text in (*texts, broken.text, drawn.text, logged):
        assert "DOE^JOHN" not in text
        for folder in (str(service.store.state), str(Path(tmp_path).parents[1]), "/tmp/", str(Path.home())):
            assert folder not in text, (folder, text[:300])
    own_log = "\n".join(record.getMessage() for record in caplog.records if record.name == "voxloom.serve")
    assert case not in own_log


def test_an_unforeseen_error_tells_its_kind_alone(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise RuntimeError("/data/DOE^JOHN is secret")

    monkeypatch.setattr(service.store, "ids", fail)
    client = TestClient(create_app(service, Security()), base_url=BASE)
    found = client.get("/api/cases")
    assert found.status_code == 500
    assert "RuntimeError" in found.json()["error"]["what"]
    assert "DOE" not in found.text + caplog.text


@pytest.mark.parametrize(
    ("line", "match"),
    [("anna short", "fewer than"), ("anna " + "a" * 20 + " king", "no role"), ("a b c d", "is not NAME"), ("# nobody", "no token"),
     ("an/na " + "a" * 20, "other signs"), ("anna " + "a" * 20 + "\nben " + "a" * 20, "one token")],
)  # fmt: skip
def test_token_files_that_are_wrong(tmp_path: Path, line: str, match: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(line)
    path.chmod(0o600)
    with pytest.raises(BadInput, match=match):
        People.of(path)


def test_a_token_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = token_file(tmp_path)
    path.chmod(0o640)
    with pytest.raises(BadInput, match="others may read"):
        People.of(path)


@pytest.mark.parametrize(
    ("host", "tokens", "tls", "insecure", "refused"),
    [
        ("127.0.0.1", False, False, False, None), ("localhost", False, False, False, None), ("::1", False, False, False, None),
        ("0.0.0.0", False, False, True, "without a token"), ("0.0.0.0", False, True, False, "without a token"),
        ("10.0.0.5", True, False, False, "without TLS"), ("10.0.0.5", True, False, True, None),
        ("pacs.ward", True, True, False, None), ("0.0.0.0", True, True, False, None),
    ],
)  # fmt: skip
def test_beyond_this_machine_tokens_and_tls_are_needed(
    tmp_path: Path, host: str, tokens: bool, tls: bool, insecure: bool, refused: str | None
) -> None:
    cert, key = certificate(tmp_path) if tls else (None, None)
    where = Listening(host, 0, cert, key, insecure)
    if refused is None:
        check_listening(where, tokens)
    else:
        with pytest.raises(BadInput, match=refused):
            check_listening(where, tokens)
    assert is_loopback("127.0.0.1")
    assert not is_loopback("0.0.0.0")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A copy of the certificate for localhost that the tests have, and of its key."""
    made = folder / "cert.pem", folder / "key.pem"
    for name, path in zip(("test-cert.pem", "test-key.pem"), made, strict=True):
        shutil.copy(Path(__file__).parents[1] / name, path)
    return made


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with pytest.raises(BadInput, match="needs its key"):
        check_listening(Listening(cert=cert), True)
    key.write_text("no key")
    with pytest.raises(BadInput, match="cannot be loaded"):
        check_listening(Listening(cert=cert, key=key), True)


def test_a_port_that_is_taken_is_told() -> None:
    taken = open_socket(Listening(port=0))
    with pytest.raises(BadInput, match="cannot be opened"):
        open_socket(Listening(port=taken.getsockname()[1]))
    taken.close()


def test_the_command_listens_on_loopback_serves_and_stops(tmp_path: Path) -> None:
    """The whole command without a run: bound to 127.0.0.1, answers, and ends in order on SIGTERM."""
    line = [sys.executable, "-m", "voxloom", "serve", "--http", "0", "--state", str(tmp_path / "state")]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    said = process.stdout.readline()
    port = int(said.split("localhost:")[1].split("/")[0])
    for _ in range(100):
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/api/info", timeout=5)
            break
        except httpx.ConnectError:
            time.sleep(0.05)
    assert answer.json()["can"]["annotate"] is True
    assert listening_on(port) == {"0100007F"}
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert "GET /api/info 200" in err
    assert "Traceback" not in err, err
    assert process.returncode in (0, -15, 130), (process.returncode, err)


def listening_on(port: int) -> set[str]:
    """Addresses (as /proc writes them) of IPv4 sockets that listen on a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if int(row[1].split(":")[1], 16) == port and row[3] == "0A"}


def test_wrong_command_lines_are_told_in_one_line(tmp_path: Path) -> None:
    from voxloom.cli.app import run

    assert run(["serve", "--host", "0.0.0.0", "--state", str(tmp_path / "s")]) == 2
    assert run(["serve", str(tmp_path), "--state", str(tmp_path / "s")]) == 2
    assert run(["serve", "--data", str(tmp_path / "none"), "--state", str(tmp_path / "s")]) == 2
    assert json.dumps(sorted(os.listdir(tmp_path))) == "[]"
