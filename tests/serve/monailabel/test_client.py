"""Every call of MONAI Label's own client, which is also that of its module for 3D Slicer."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from tests.serve.conftest import Small
from tests.serve.monailabel.conftest import Site
from voxloom.formats import read_label, read_volume, write_volume
from voxloom.volume import Volume


@pytest.fixture
def client(site: Site, tmp_path: Path) -> MONAILabelClient:
    return site.client(tmp_path)


def drawn(site: Site, case: str, folder: Path, **boxes: int) -> tuple[Path, np.ndarray]:
    """A label map on the grid of a case: one corner voxel block per value."""
    image = read_volume(site.desk.service.store.image(case))
    data = np.zeros(image.data.shape, np.uint8)
    for n, value in enumerate(boxes.values()):
        data[0, 2 + 4 * n : 5 + 4 * n, 3:7, 2:5] = value
    return write_volume(Volume(data, image.affine), folder / "drawn.nii.gz"), data


def ask(site: Site, method: str, path: str, status: int = 200, **options: Any) -> requests.Response:
    found = requests.request(method, site.address + path, timeout=60, **options)
    assert found.status_code == status, found.text
    return found


def test_info(site: Site, client: MONAILabelClient) -> None:
    info = client.info()
    assert info["labels"] == ["bright", "dark"]
    assert info["models"]["balls"]["type"] == "segmentation"
    assert info["models"]["balls"]["labels"] == {"bright": 3, "dark": 207}
    assert "config" not in info, "3D Slicer takes it for an old server"
    assert set(info["trainers"]) == {"balls"}
    assert set(info["strategies"]) == {"first", "random", "rank"}
    assert 0 <= info["train_stats"]["balls"]["best_metric"] <= 1
    assert info["datastore"]["total"] == len(site.desk.service.store.ids())
    assert not client.auth_enabled()


def same_as_predicted(site: Site, file: str, case: str) -> bool:
    own = read_label(site.desk.service.store.prediction(case, "balls"))
    got = read_label(file)
    return bool(np.array_equal(got.data, own.data) and np.allclose(got.affine, own.affine, atol=1e-4))


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_infer_of_an_image_of_the_store(site: Site, client: MONAILabelClient, ending: str) -> None:
    file, params = client.infer("balls", "head0", {"result_extension": ending, "tta": False, "device": "cuda"})
    assert file.endswith(ending)
    assert same_as_predicted(site, file, "head0")
    present = set(np.unique(read_label(file).data).tolist()) - {0}
    assert params["label_names"] == {n: v for n, v in {"bright": 3, "dark": 207}.items() if v in present}
    assert params["ignored"] == ["device"]
    assert params["latencies"]["infer"] > 0


def test_infer_of_a_file_and_of_a_session_give_the_same_and_keep_nothing(
    site: Site, small: Small, client: MONAILabelClient
) -> None:
    cases = site.desk.service.store.ids()
    by_file, _ = client.infer("balls", "", {}, file=str(small.scan(0)))
    session = client.create_session(str(small.scan(0)))
    assert client.get_session(session["session_id"]) == session["session_info"]
    by_session, _ = client.infer("balls", "", {}, session_id=session["session_id"])
    assert np.array_equal(read_label(by_file).data, read_label(by_session).data)
    assert np.allclose(read_label(by_file).affine, read_volume(small.scan(0)).affine, atol=1e-4)
    assert client.remove_session(session["session_id"])["name"] == session["session_id"]
    with pytest.raises(MONAILabelClientException):
        client.get_session(session["session_id"])
    assert site.desk.service.store.ids() == cases


def test_outputs(site: Site) -> None:
    params = {"params": json.dumps({"result_extension": ".nrrd", "result_compress": False, "result_dtype": "uint8"})}
    said = ask(site, "POST", "/infer/balls?image=head0&output=json", data=params).json()
    assert set(said) == {"label_names", "latencies", "told"}
    assert set(said["told"]) == {"features"}
    raw = ask(site, "POST", "/infer/balls?image=head0&output=image", data=params)
    assert raw.content.startswith(b"NRRD")
    assert ".nrrd" in raw.headers["content-disposition"]


def test_upload_then_predict_by_the_name_that_slicer_knows(site: Site, small: Small, client: MONAILabelClient) -> None:
    name = "4: T1w ax"
    made = client.upload_image(str(small.scan(1)), name)
    assert made["image"] in site.desk.service.store.ids()
    assert client.upload_image(str(small.scan(1)), name) == made, "the same bytes are the same image"
    file, _ = client.infer("balls", name, {})
    assert same_as_predicted(site, file, made["image"])
    with pytest.raises(MONAILabelClientException) as told:
        client.upload_image(str(small.scan(0)), name)
    assert "409" in told.value.msg
    assert "another image has this name" in told.value.msg


def test_a_label_of_slicer_becomes_a_version_and_comes_back(
    site: Site, client: MONAILabelClient, tmp_path: Path
) -> None:
    file, data = drawn(site, "head1", tmp_path, first=1, second=2)
    before = len(site.desk.service.store.versions("head1"))
    said = [{"name": "dark", "idx": 1}, {"name": "bright", "idx": 2}]
    kept = client.save_label("head1", str(file), params={"label_info": said, "model": "balls"})
    assert (kept["image"], kept["label"], kept["tag"], kept["version"]) == ("head1", "head1", "final", before + 1)
    version = site.desk.service.store.versions("head1")[-1]
    assert (version.author, version.tag) == ("ana", "final")
    back = read_label(client.download_label("head1", "final")).data
    assert np.array_equal(back, np.select([data == 1, data == 2], [207, 3]))
    again = client.save_label("head1", str(file), params={"label_info": said})
    assert again["version"] == before + 2, "nothing is written over"
    labels = client.datastore()["objects"]["head1"]["labels"]
    assert labels["final"]["info"]["params"]["label_names"] == {"bright": 3, "dark": 207}
    assert labels["final"]["info"]["version"] == before + 2


def test_the_first_label_is_shown_to_slicer_as_original(site: Site, client: MONAILabelClient) -> None:
    client.infer("balls", "head2", {})
    original = client.datastore()["objects"]["head2"]["labels"]["original"]
    assert original["info"]["model"] == "balls"
    values = set(np.unique(read_label(client.download_label("head2", "original")).data).tolist()) - {0}
    assert set(original["info"]["params"]["label_names"].values()) == values


def test_a_drawing_with_turned_axes_lies_where_it_was_drawn(
    site: Site, client: MONAILabelClient, tmp_path: Path
) -> None:
    file, data = drawn(site, "head2", tmp_path, bright=3)
    volume = read_volume(file)
    affine = volume.affine @ np.array([[-1, 0, 0, data.shape[1] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    write_volume(Volume(data[:, ::-1], affine), file)
    client.save_label("head2", str(file), tag="turned")
    assert np.array_equal(read_label(client.download_label("head2", "turned")).data, data)


def test_raw_voxels_of_ohif_are_a_label(site: Site, tmp_path: Path) -> None:
    _, data = drawn(site, "head2", tmp_path, bright=3, dark=207)
    for dtype in ("u1", "<u2"):
        content = data[0].astype(dtype).tobytes(order="F")
        files = {"params": (None, "{}"), "label": ("label.bin", content)}
        ask(site, "PUT", "/datastore/label?image=head2&tag=raw", files=files)
        version = site.desk.service.store.latest("head2", tag="raw")
        assert version is not None
        assert np.array_equal(read_label(site.desk.service.store.drawings("head2").file(version)).data, data)
    short = {"params": (None, "{}"), "label": ("label.bin", content[:-1])}
    assert "bytes are not a label map" in ask(site, "PUT", "/datastore/label?image=head2", 400, files=short).text


def test_what_is_not_understood_is_refused_and_not_kept(site: Site, client: MONAILabelClient, tmp_path: Path) -> None:
    before = len(site.desk.service.store.versions("head0"))
    file, _ = drawn(site, "head0", tmp_path, odd=9)
    with pytest.raises(MONAILabelClientException) as told:
        client.save_label("head0", str(file))
    assert "values 9" in told.value.msg
    image = read_volume(file)
    write_volume(Volume(image.data[:, 1:], image.affine), file)
    with pytest.raises(MONAILabelClientException) as told:
        client.save_label("head0", str(file))
    assert len(site.desk.service.store.versions("head0")) == before
    for call in (lambda: client.infer("nothing", "head0", {}), lambda: client.infer("balls", "nobody", {})):
        with pytest.raises(MONAILabelClientException) as told:
            call()
        assert "404" in told.value.msg


def test_next_sample_until_none_is_left(site: Site, client: MONAILabelClient, tmp_path: Path) -> None:
    seen = []
    while found := client.next_sample("first", {}):
        seen.append(found["id"])
        image = ask(site, "GET", f"/datastore/image?image={found['id']}").content
        assert found["checksum"] == "SHA256:" + hashlib.sha256(image).hexdigest()
        assert found["name"].endswith(".nii.gz")
        assert "path" not in found
        file, _ = drawn(site, found["id"], tmp_path, bright=3)
        client.save_label(found["id"], str(file))
    assert len(set(seen)) == len(seen)
    assert client.next_sample("random", {}) == {}
    stats = client.info()["datastore"]
    assert stats["completed"] == stats["total"]
    with pytest.raises(MONAILabelClientException):
        client.next_sample("best", {})


def test_images_and_labels_are_there_or_not(site: Site, client: MONAILabelClient) -> None:
    digest = hashlib.sha256(ask(site, "GET", "/datastore/image?image=head0").content).hexdigest()
    ask(site, "HEAD", f"/datastore/image?image=head0&check_sum=SHA256:{digest}")
    ask(site, "HEAD", "/datastore/image?image=head0&check_sum=SHA256:00", 404)
    ask(site, "HEAD", "/datastore/image?image=nobody", 404)
    client.infer("balls", "head0", {})
    ask(site, "HEAD", "/datastore/label?image=head0&tag=original")
    ask(site, "HEAD", "/datastore/label?image=head0&tag=nothing", 404)
    assert ask(site, "GET", "/datastore/").json()["total"] == len(site.desk.service.store.ids())


def test_notes(site: Site, client: MONAILabelClient) -> None:
    client.infer("balls", "head0", {})
    ask(site, "PUT", "/datastore/image/info?image=head0", data={"info": '{"seen": "yes"}'})
    assert ask(site, "GET", "/datastore/image/info?image=head0").json()["seen"] == "yes"
    for address, field in (("/datastore/label/info", "info"), ("/datastore/updatelabelinfo", "params")):
        ask(site, "PUT", f"{address}?label=head0&tag=original", data={field: f'{{"{field}": 1}}'})
    found = ask(site, "GET", "/datastore/label/info?label=head0&tag=original").json()
    assert found["info"] == 1
    assert found["params"] != 1, "what is known goes before a note"


def test_the_data_set_as_a_zip(site: Site, client: MONAILabelClient, tmp_path: Path) -> None:
    file, _ = drawn(site, "head1", tmp_path, bright=3)
    client.save_label("head1", str(file))
    answer = ask(site, "GET", "/datastore/dataset?limit_cases=1")
    names = zipfile.ZipFile(BytesIO(answer.content)).namelist()
    assert len(names) == 2
    assert {Path(name).parent.as_posix() for name in names} == {"images", "labels/final"}
    until = time.monotonic() + 10
    while list(site.desk.service.store.state.glob("*.zip")):
        assert time.monotonic() < until, "the archive is removed when it was sent"


@pytest.mark.parametrize(
    "address",
    ["/datastore/?id=head0", "/datastore/image?id=head0", "/datastore/label?id=head0&tag=final", "/model/balls"],
)
def test_nothing_is_deleted(site: Site, address: str) -> None:
    before = sorted(site.desk.service.store.state.rglob("*"))
    ask(site, "DELETE", address, 403)
    assert sorted(site.desk.service.store.state.rglob("*")) == before


def test_batch_and_scoring(site: Site, client: MONAILabelClient, tmp_path: Path) -> None:
    file, _ = drawn(site, "head1", tmp_path, bright=3)
    client.save_label("head1", str(file))
    done = ask(site, "POST", "/batch/infer/balls?images=labeled&run_sync=true").json()
    assert (done["status"], done["result"]["failed"]) == ("DONE", {})
    assert "balls" in site.desk.service.store.predictions("head1")
    assert ask(site, "GET", "/batch/infer").json()["id"] == done["id"]
    ask(site, "GET", "/batch/infer?check_if_running=true", 404)
    assert ask(site, "DELETE", "/batch/infer").json() is None
    scored = ask(site, "POST", "/scoring/dice?run_sync=true").json()
    assert 0 <= scored["result"]["dice"]["head1"] <= 1
    assert ask(site, "GET", "/scoring/?all=true").json()[-1]["id"] == scored["id"]
    ask(site, "POST", "/scoring/beauty", 404)
    assert "batch balls DONE" in ask(site, "GET", "/logs/").text


def test_weights(site: Site, small: Small) -> None:
    archive = zipfile.ZipFile(BytesIO(ask(site, "GET", "/model/balls").content))
    weights = archive.read("fold_0/model.safetensors")
    assert weights == (small.run / "fold_0" / "model.safetensors").read_bytes()
    about = ask(site, "GET", "/model/info/balls").json()
    assert about["checksum"] == site.desk.service.run("balls").weights
    ask(site, "GET", "/model/nothing", 404)


def test_training_starts_stops_and_is_told(site: Site, client: MONAILabelClient, tmp_path: Path) -> None:
    for case in ("head0", "head1", "head2"):
        file, _ = drawn(site, case, tmp_path, bright=3, dark=207)
        client.save_label(case, str(file))
    assert not client.train_status(check_if_running=True)
    started = client.train_start("balls", {"budget": "1h"})
    assert started["request"]["run"] == "balls-2"
    assert client.train_status(check_if_running=True)
    assert client.train_status()["id"] == started["id"]
    assert client.info()["train_stats"]["balls"]["total_epochs"] == 100
    stopped = client.train_stop()
    assert (stopped["id"], stopped["status"]) == (started["id"], "STOPPED")
    assert stopped["details"]
    site.desk.service.engine.wait(started["id"], 60)
    assert client.train_status()["status"] == "STOPPED"
