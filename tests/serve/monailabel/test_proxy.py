"""The way to the PACS through the service: what passes, and what never does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydicom import dcmread

from tests.serve.monailabel.live import live
from tests.serve.orthanc import Orthanc
from tests.serve.pacs.web import Answer, Web, serving
from voxloom.formats import write_dicom_series
from voxloom.serve.http.monailabel.proxy import proxy_router
from voxloom.serve.pacs import Pacs
from voxloom.volume import Volume

SECRET = {"Authorization": "Basic cGFjcw=="}


def app_of(address: str, **options: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(proxy_router(Pacs(address, headers=SECRET, timeout=(2, 2)), **options))
    return app


@pytest.fixture
def web() -> Iterator[Web]:
    """A PACS that answers everything with an empty list."""
    with serving(Answer()) as made:
        yield made


@pytest.fixture
def visitor(web: Web) -> TestClient:
    return TestClient(app_of(web.address, largest=100), base_url="http://voxloom:8000", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three slices as DICOM files."""
    folder = tmp_path_factory.mktemp("phantom") / "series"
    write_dicom_series(Volume(np.arange(60, dtype=np.int16).reshape(1, 5, 4, 3), np.eye(4)), folder)
    return sorted(folder.iterdir())


def test_a_client_of_other_people_stores_finds_and_retrieves_through_it(orthanc: Orthanc, series: list[Path]) -> None:
    with live(app_of(orthanc.dicom_web)) as address:
        client = DICOMwebClient(
            f"{address}/proxy/dicom", qido_url_prefix="qido", wado_url_prefix="wado", stow_url_prefix="stow"
        )
        written = [dcmread(file) for file in series]
        client.store_instances(written)
        study, uid = written[0].StudyInstanceUID, written[0].SeriesInstanceUID
        assert [row["0020000E"]["Value"] for row in client.search_for_series(study)] == [[uid]]
        back = {one.SOPInstanceUID: one.PixelData for one in client.retrieve_series(study, uid)}
        assert back == {one.SOPInstanceUID: one.PixelData for one in written}
        raw = (("application/octet-stream", "1.2.840.10008.1.2.1"),)
        (frame,) = client.retrieve_instance_frames(study, uid, written[0].SOPInstanceUID, [1], media_types=raw)
        assert frame == written[0].PixelData
        assert str(orthanc.http).encode() not in str(client.search_for_series(study)).encode()


@pytest.mark.parametrize(
    "path",
    [
        "wado/../instances/1/file",
        "wado/%2e%2e/instances",
        "wado/studies/..%2f..%2fpatients",
        "wado/studies/%2e%2e/%2e%2e/patients",
        "wado/tools/execute-script",
        "wado/patients",
        "wado/studies/1.2;x=1",
        "wado/studies/1%0d%0aX-Y:%20z",
        "wado/studies/a@evil.org",
        "wado/http://evil.org/studies",
        "admin/studies",
        "wado",
        "wado/",
        "wado/" + "/".join(["studies"] * 17),
    ],
)
def test_no_other_path_reaches_the_pacs(path: str, visitor: TestClient, web: Web) -> None:
    assert visitor.get(f"/proxy/dicom/{path}").status_code in (404, 405)
    assert web.asked == []


@pytest.mark.parametrize("path", ["stow/series", "wado/studies/1.2/series", "qido/instances"])
def test_nothing_is_stored_but_under_studies(path: str, visitor: TestClient, web: Web) -> None:
    assert visitor.post(f"/proxy/dicom/{path}", content=b"x").status_code == 405
    assert web.asked == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_nothing_else_is_asked(method: str, visitor: TestClient, web: Web) -> None:
    assert visitor.request(method, "/proxy/dicom/wado/studies/1.2").status_code == 405
    assert web.asked == []


def test_the_query_passes_and_secrets_stay(visitor: TestClient, web: Web) -> None:
    visitor.cookies.set("voxloom", "mine")
    headers = {"Authorization": "Bearer mine", "X-Forwarded-For": "10.0.0.1", "Accept": "application/dicom+json"}
    answer = visitor.get("/proxy/dicom/qido/studies?PatientID=a%26b&limit=3", headers=headers)
    assert (answer.status_code, answer.json()) == (200, [])
    ((method, path, sent, _),) = web.asked
    assert (method, path) == ("GET", "/dicom-web/studies?PatientID=a%26b&limit=3")
    assert sent["Authorization"] == SECRET["Authorization"]
    assert sent["accept"] == "application/dicom+json"
    assert not {"Cookie", "X-Forwarded-For"} & set(sent)


def test_addresses_in_answers_lead_through_it(visitor: TestClient, web: Web) -> None:
    web.answers = [Answer(200, f'[{{"BulkDataURI": "{web.address}/studies/1/bulk/7"}}]'.encode())]
    (row,) = visitor.get("/proxy/dicom/wado/studies/1/metadata").json()
    assert row["BulkDataURI"] == "http://voxloom:8000/proxy/dicom/wado/studies/1/bulk/7"


def test_a_large_request_is_refused(visitor: TestClient, web: Web) -> None:
    assert visitor.post("/proxy/dicom/stow/studies", content=b"x" * 101).status_code == 413
    assert web.asked == []
    assert visitor.post("/proxy/dicom/stow/studies", content=b"x" * 100).status_code == 200
    assert web.asked[0][3] == b"x" * 100


def test_a_pacs_that_sends_elsewhere_is_not_followed(web: Web, visitor: TestClient) -> None:
    web.answers = [Answer(302, b"", location="http://127.0.0.1:9/")]
    assert visitor.get("/proxy/dicom/wado/studies").status_code == 502
    assert len(web.asked) == 1


def test_a_pacs_that_is_away_is_told_without_its_address() -> None:
    answer = TestClient(app_of("http://127.0.0.1:9/dicom-web")).get("/proxy/dicom/qido/studies")
    assert answer.status_code == 502
    assert "127.0.0.1" not in answer.text


def test_the_status_of_the_pacs_is_the_answer(web: Web, visitor: TestClient) -> None:
    web.answers = [Answer(404, b"no such study", "text/plain")]
    answer = visitor.get("/proxy/dicom/wado/studies/1.2")
    assert (answer.status_code, answer.text) == (404, "no such study")
