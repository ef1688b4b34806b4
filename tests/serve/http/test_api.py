"""The own API: every end point, on a small run and a data set of four cases."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from tests.serve.conftest import Small
from tests.serve.http.conftest import Served
from voxloom.formats import read_label, read_volume, write_dicom_series, write_volume
from voxloom.points import Point, read_points, write_points
from voxloom.serve.engine import Order
from voxloom.serve.http.runs import FORMATS
from voxloom.verbs import dicom_results
from voxloom.verbs.options import PredictOptions
from voxloom.verbs.predict import predict
from voxloom.volume import Volume


@pytest.fixture(scope="module")
def predicted(served: Served) -> dict[str, Any]:
    """The job that predicted ``labelled_0`` with maps of uncertainty."""
    body = {"run": "balls", "case": "labelled_0", "uncertainty": True}
    job = served.done(served.post("/predict", body))
    assert job["state"] == "done", job
    return job


def test_info_runs_and_recipes(served: Served, small: Small) -> None:
    info = served.get("/info")
    assert (info["user"], info["login"]) == (None, False)
    assert info["can"] == {"annotate": True, "train": True, "compare": True}
    (run,) = [run for run in served.get("/runs") if run["name"] == "balls"]
    assert [(label["name"], label["value"]) for label in run["labels"]] == [("bright", 3), ("dark", 207)]
    assert info["labels"] == run["labels"], "a data set that names no labels is drawn with those of its first run"
    assert info["landmarks"] == []
    assert run["task"] == "segmentation"
    assert run["report"] == "/api/reports/balls/"
    assert str(small.run) not in json.dumps(run)
    names = {recipe["name"]: recipe["title"] for recipe in served.get("/recipes")}
    assert "auto" in names
    assert all(names.values())


def test_cases_are_listed(served: Served) -> None:
    cases = {case["id"]: case for case in served.get("/cases")}
    person = next(name for name in cases if name.startswith("DOE"))
    assert "^" not in person
    first = cases["labelled_0"]
    assert (first["truth"], first["channels"], first["problem"], first["dicom"]) == (True, ["MR"], None, False)
    assert first["shape"] == [22, 20, 15]
    assert first["spacing"] == pytest.approx([1.5, 1.5, 2])
    assert cases["new_0"]["truth"] is False
    assert served.get("/cases/labelled_0") == first


def test_images_have_the_voxels_and_the_grid_of_their_source(served: Served, small: Small, tmp_path: Path) -> None:
    source = read_volume(small.data / "imagesTr" / "ball00_0000.nii.gz")
    found = served.volume("/cases/labelled_0/image.nii.gz?channel=0", tmp_path)
    assert np.array_equal(found.data, source.data)
    assert found.same_grid(source)
    truth = served.volume("/cases/labelled_0/truth.nii.gz", tmp_path)
    assert np.array_equal(truth.data, read_label(small.data / "labelsTr" / "ball00.nii.gz").data)
    picture = served.client.get("/api/cases/labelled_0/thumbnail.png")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content[:4] == b"\x89PNG"
    served.get("/cases/labelled_0/image.nii.gz?channel=1", 400)
    served.get("/cases/new_0/truth.nii.gz", 404)


def test_a_prediction_is_that_of_the_verb_and_is_compared_with_the_truth(
    served: Served, small: Small, predicted: dict[str, Any], tmp_path: Path
) -> None:
    source = small.data / "imagesTr" / "ball00_0000.nii.gz"
    own = predict(small.run, [source], tmp_path / "own", PredictOptions(device="cpu"))
    found = served.volume("/cases/labelled_0/predictions/balls.nii.gz", tmp_path)
    assert np.array_equal(found.data, read_volume(next(iter(own.files.values()))).data)
    assert predicted["about"] == {"run": "balls", "case": "labelled_0"}
    assert set(predicted["result"]["dice"]) == {"bright", "dark", "mean"}
    case = served.get("/cases/labelled_0")
    assert case["predicted"] == ["balls"]
    assert case["dice"] == {"balls": predicted["result"]["dice"]["mean"]}
    uncertainty = served.volume("/cases/labelled_0/predictions/balls/uncertainty.nii.gz", tmp_path)
    assert uncertainty.same_grid(found)
    assert uncertainty.data.max() > 0
    served.get("/cases/labelled_0/predictions/balls.mrk.json", 404)
    served.get("/cases/labelled_0/answer/balls", 404)
    served.get("/cases/labelled_0/predictions/another.nii.gz", 404)


def test_the_difference_from_the_truth(served: Served, predicted: dict[str, Any], tmp_path: Path) -> None:
    found = served.volume("/cases/labelled_0/predictions/balls.nii.gz", tmp_path).data
    truth = served.volume("/cases/labelled_0/truth.nii.gz", tmp_path).data
    difference = served.volume("/cases/labelled_0/predictions/balls/difference.nii.gz", tmp_path).data
    assert ((difference == 0) == (found == truth)).all()
    assert ((difference == 1) == ((found != 0) & (truth == 0))).all()
    assert ((difference == 2) == ((found == 0) & (truth != 0))).all()


def test_an_explanation_is_a_map_per_label(served: Served, predicted: dict[str, Any], tmp_path: Path) -> None:
    served.get("/cases/labelled_0/predictions/balls/activation.nii.gz", 404)
    job = served.done(served.post("/explain", {"run": "balls", "case": "labelled_0"}))
    assert job["result"]["answers"] == ["bright", "dark"], job
    image = served.volume("/cases/labelled_0/image.nii.gz", tmp_path)
    for answer in ("", "dark"):
        found = served.volume(f"/cases/labelled_0/predictions/balls/activation.nii.gz?answer={answer}", tmp_path)
        assert found.same_grid(image)


def test_uploads_become_cases(served: Served, small: Small, tmp_path: Path) -> None:
    data = small.scan(0).read_bytes()
    made = served.client.post("/api/cases", files={"file": ("new scan.nii.gz", data)}, data={"name": "sent"})
    assert made.status_code == 201, made.text
    assert made.json() == {"id": "sent", "ids": ["sent"]}
    assert np.array_equal(served.volume("/cases/sent/image.nii.gz", tmp_path).data, read_volume(small.scan(0)).data)
    job = served.done(served.post("/predict", {"run": "balls", "case": "sent"}))
    assert job["state"] == "done", job
    refused = served.client.delete("/api/cases/sent")
    assert refused.status_code == 405
    assert "sent" in [case["id"] for case in served.get("/cases")]


def test_a_dicom_series_is_uploaded_file_by_file(served: Served, small: Small, tmp_path: Path) -> None:
    image = read_volume(small.scan(1))
    template = {"PatientName": "DOE^JANE", "PatientID": "SECRET7", "Modality": "MR"}
    whole = Volume(np.round(image.data).astype(np.int16), image.affine)
    files = write_dicom_series(whole, tmp_path / "DOE^JANE", template=template)
    parts = [("file", (f"DOE^JANE/{n}", file.read_bytes())) for n, file in enumerate(files)]
    made = served.client.post("/api/cases", files=parts)
    assert made.status_code == 201, made.text
    case = served.get(f"/cases/{made.json()['id']}")
    assert (case["dicom"], case["modality"]) == (True, "MR")
    assert "DOE" not in json.dumps(case)
    found = served.client.get(f"/api/cases/{case['id']}/image.nii.gz")
    assert b"DOE" not in found.content
    done = served.done(served.post("/predict", {"run": "balls", "case": case["id"], "formats": ["seg"]}))
    assert done["result"]["files"] == [f"{case['id']}.seg.dcm"], done
    sent = served.client.get(f"/api/jobs/{done['id']}/files/{case['id']}.seg.dcm")
    predicted = pydicom.dcmread(io.BytesIO(sent.content))
    assert (predicted.Modality, predicted.PatientName) == ("SEG", "DOE^JANE")
    mask = served.volume(f"/cases/{case['id']}/predictions/balls.nii.gz", tmp_path).data
    assert predicted.pixel_array.sum() == (mask != 0).sum()

    version = served.draw(case["id"], tmp_path, author="anna")["version"]
    drawn = pydicom.dcmread(
        io.BytesIO(served.client.get(f"/api/cases/{case['id']}/annotations/{version}.nii.gz?as=seg").content)
    )
    assert drawn.pixel_array.sum() == 27
    assert [segment.SegmentLabel for segment in drawn.SegmentSequence] == ["bright", "dark"]
    assert drawn.SegmentSequence[0].SegmentAlgorithmType == "MANUAL"
    nifti = served.draw("new_0", tmp_path, author="anna")["version"]
    served.get(f"/cases/new_0/annotations/{nifti}.nii.gz?as=seg", 400)


def test_the_formats_that_are_offered_are_those_that_there_are() -> None:
    assert set(dicom_results.FORMATS) <= set(FORMATS)


def test_a_bad_scan_of_a_job_is_told_without_its_path(served: Served, small: Small, tmp_path: Path) -> None:
    refused = served.client.post("/api/cases", files={"file": ("DOE_JOHN.nii.gz", b"\x1f\x8bnothing")})
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert set(error) == {"what", "where", "fix"}
    for secret in ("DOE", "/tmp", str(served.service.store.state)):
        assert secret not in refused.text


def test_drawings_are_versions(served: Served, predicted: dict[str, Any], tmp_path: Path) -> None:
    first = served.draw("new_0", tmp_path, author="anna", tag="draft", seconds=30, parent="")
    second = served.draw("new_0", tmp_path, author="anna", value=207, parent=str(first["version"]))
    assert second["version"] == first["version"] + 1
    assert second["from"] == {"version": first["version"]}
    assert (first["author"], first["tag"], first["seconds"], first["kind"]) == ("anna", "draft", 30, "label")
    shown = served.get("/cases/new_0/annotations?author=anna")
    assert [version["version"] for version in shown][-2:] == [first["version"], second["version"]]
    label = served.volume(f"/cases/new_0/annotations/{first['version']}.nii.gz", tmp_path)
    assert int((label.data == 3).sum()) == 27
    for form in (".nii.gz?as=nifti", "?as=nifti", ""):
        again = served.volume(f"/cases/new_0/annotations/{first['version']}{form}", tmp_path)
        assert np.array_equal(again.data, label.data)
    table = served.client.get(f"/api/cases/new_0/annotations/{first['version']}.nii.gz?as=csv").text
    (bright, dark) = csv.DictReader(io.StringIO(table))
    assert (bright["label"], bright["voxels"], dark["voxels"]) == ("bright", "27", "0")
    assert float(bright["volume_ml"]) == pytest.approx(27 * 1.5 * 1.5 * 2 / 1000)
    served.get(f"/cases/new_0/annotations/{first['version']}.nii.gz?as=mrk.json", 400)
    served.get("/cases/new_0/annotations/999.nii.gz", 404)
    served.get(f"/cases/new_0/annotations/{first['version']}.mrk.json", 404)


def test_an_uncompressed_drawing_is_kept_voxel_for_voxel(served: Served, tmp_path: Path) -> None:
    image = served.volume("/cases/new_0/image.nii.gz", tmp_path)
    label = np.random.default_rng(0).integers(0, 4, image.data.shape).astype(np.uint8)
    data = write_volume(Volume(label, image.affine), tmp_path / "drawn.nii").read_bytes()
    made = served.client.post("/api/cases/new_0/annotations", content=data).json()
    kept = served.volume(f"/cases/new_0/annotations/{made['version']}.nii.gz", tmp_path)
    assert np.array_equal(kept.data, label)


def test_points_are_versions_too(served: Served, tmp_path: Path) -> None:
    points = [
        Point("L1", "left", (1.0, 2.5, 3.0)),
        Point("L1", "left", (1.0, 3.5, 3.0)),
        Point("L2", "", (4.0, 5.0, 6.0)),
    ]
    data = write_points(points, tmp_path / "p.mrk.json").read_bytes()
    made = served.client.post("/api/cases/new_0/annotations?author=anna", content=data).json()
    assert made["kind"] == "points"
    (tmp_path / "q.mrk.json").write_bytes(
        served.client.get(f"/api/cases/new_0/annotations/{made['version']}.mrk.json").content
    )
    assert read_points(tmp_path / "q.mrk.json") == tuple(points)
    rows = list(
        csv.DictReader(io.StringIO(served.client.get(f"/api/cases/new_0/annotations/{made['version']}?as=csv").text))
    )
    assert [(row["case"], row["name"], float(row["y"])) for row in rows] == [
        ("new_0", "L1", 2.5), ("new_0", "L1", 3.5), ("new_0", "L2", 5.0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (b"neither", ""),
        (b"{}", ""),
        (b"\x1f\x8b broken", ""),
        (b"{}", "?parent=../x"),
        (b"", ""),
        (b"{}", "?seconds=-1"),
    ],
)
def test_bad_drawings_are_refused(served: Served, body: bytes, query: str) -> None:
    before = served.get("/cases/labelled_1/annotations?all=1")
    found = served.client.post(f"/api/cases/labelled_1/annotations{query}", content=body)
    assert found.status_code in (400, 422), found.text
    assert set(found.json()["error"]) == {"what", "where", "fix"}
    assert served.get("/cases/labelled_1/annotations?all=1") == before
    assert not list((served.service.store.state / "jobs").glob("drawing*"))


def test_predicted_points_and_answers(served: Served, tmp_path: Path) -> None:
    """What runs on points and on classes predict is kept and told in their own kinds."""
    store = served.service.store
    marks = [Point("L1", "left", (1.0, 2.0, 3.0), 0.5)]
    (tmp_path / "scan.answer.json").write_text('{"prediction": "many", "probabilities": {"few": 0.25, "many": 0.75}}')
    store.keep_prediction("new_0", "marks", write_points(marks, tmp_path / "scan.mrk.json"), weights="a", labels=None)
    expected = {"dice": 0.9, "bound": 0.8}
    store.keep_prediction("new_0", "kinds", tmp_path / "scan.answer.json", weights="b", labels=None, quality=expected)
    (tmp_path / "p.mrk.json").write_bytes(served.client.get("/api/cases/new_0/predictions/marks.mrk.json").content)
    assert [(mark.name, mark.position) for mark in read_points(tmp_path / "p.mrk.json")] == [("L1", (1.0, 2.0, 3.0))]
    assert served.get("/cases/new_0/answer/kinds")["probabilities"]["many"] == 0.75
    served.get("/cases/new_0/predictions/marks.nii.gz", 404)
    case = served.get("/cases/new_0")
    assert {"marks", "kinds"} <= set(case["predicted"])
    assert case["quality"] == {"kinds": expected}


def test_readers_are_compared(served: Served, tmp_path: Path) -> None:
    case = next(case["id"] for case in served.get("/cases") if case["id"].startswith("DOE"))
    for author, size in (("ben", 3), ("cleo", 4)):
        served.draw(case, tmp_path, author=author, size=size)
        points = [Point("L1", "left", (float(size), 0.0, 0.0))] + ([Point("L2", "", (0, 0, 0))] if size == 3 else [])
        data = write_points(points, tmp_path / "p.mrk.json").read_bytes()
        assert served.client.post(f"/api/cases/{case}/annotations?author={author}", content=data).status_code == 201
    found = served.get(f"/compare?case={case}&a=ben&b=cleo")
    assert found["labels"]["bright"]["dice"] == pytest.approx(2 * 27 / (27 + 64))
    assert found["landmarks"][0]["distance"] == pytest.approx(1.0)
    assert found["missing"] == {"a": [], "b": ["L2"]}
    served.get(f"/compare?case={case}&a=ben&b=nobody", 404)
    table = served.get("/raters")
    pairs = table["labels"]["labels"]["bright"]["pairs"]  # other tests draw by other names
    (pair,) = [row for row in pairs if {row["first"], row["second"]} == {"ben", "cleo"}]
    assert pair["cases"] == 1
    assert pair["dice"]["median"] == pytest.approx(2 * 27 / (27 + 64))
    (points,) = [row for row in table["landmarks"] if {row["a"], row["b"]} == {"ben", "cleo"}]
    assert points["landmarks"][0]["mean_mm"] == pytest.approx(1.0)


def test_results_of_jobs_have_names_in_the_place_of_paths(served: Served, small: Small, tmp_path: Path) -> None:
    """Other faces of a service order predictions too, whose results are told as they are."""
    job = served.service.engine.submit(Order("balls", (small.scan(0),), tmp_path / "out"))
    ended = served.done({"id": job.id})
    assert ended["result"]["files"] == {"scan6": "scan6.nii.gz"}
    assert str(tmp_path) not in json.dumps(ended)


def test_jobs_are_listed_and_cancelled(served: Served) -> None:
    job = served.post("/predict", {"run": "balls", "case": "labelled_1"})
    assert job["id"] in [one["id"] for one in served.get("/jobs")]
    ended = served.done(job)
    assert ended["state"] == "done"
    assert served.client.delete(f"/api/jobs/{job['id']}").json() == {"changed": False}
    served.get(f"/jobs/{job['id']}/files/x.dcm", 404)
    served.get(f"/jobs/{job['id']}/log", 400)
    served.get("/jobs/ffff", 400)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", {"run": "other", "case": "new_0"}, 404),
        ("/predict", {"run": "balls", "case": "../etc"}, 404),
        ("/predict", {"run": "balls", "case": "new_0", "formats": ["seg"]}, 400),
        ("/predict", {"run": "balls", "case": "new_0", "formats": ["pickle"]}, 400),
        ("/predict", {"run": "balls", "case": "new_0", "device": "cuda"}, 422),
        ("/rank", {"run": "other"}, 404),
        ("/train", {"name": "../x", "budget": "1m"}, 400),
        ("/train", {"name": "x", "budget": "soon"}, 400),
        ("/train", {"name": "x", "budget": "1m", "recipe": "/etc/passwd"}, 400),
        ("/train", {"name": "x", "budget": "1m", "run": "other"}, 404),
    ],
)
def test_bad_requests_are_refused_in_three_parts(served: Served, path: str, body: dict[str, Any], status: int) -> None:
    error = served.post(path, body, status)["error"]
    assert set(error) == {"what", "where", "fix"}
    assert error["what"]


def test_a_report_can_reach_nothing(served: Served) -> None:
    found = served.client.get("/api/reports/balls/")
    assert found.status_code == 200
    assert "<html" in found.text.lower()
    policy = found.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    served.get("/reports/other/", 404)


def test_openapi_names_every_end_point(served: Served) -> None:
    schema = served.client.get("/api/openapi.json").json()
    ways = {(path, method) for path, methods in schema["paths"].items() for method in methods}
    for way in [
        ("/api/predict", "post"),
        ("/api/cases/{case}/annotations", "post"),
        ("/api/jobs/{job}/resume", "post"),
    ]:
        assert way in ways
    for path, methods in schema["paths"].items():
        for method, about in methods.items():
            assert about.get("summary"), (method, path)
            assert about.get("description"), (method, path)


def test_the_page_is_answered(served: Served) -> None:
    found = served.client.get("/")
    assert "<title>Voxloom</title>" in found.text
    assert "script-src 'self'" in found.headers["content-security-policy"]
    assert served.client.get("/page/js/main.js").status_code == 200
    served.client.get("/page/nothing.js").json()["error"]
