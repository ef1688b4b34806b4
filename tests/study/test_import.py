"""A run leaves as one file, a repository on a hub, networks alone or a model of nnU-Net, and comes back checked."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet

import voxloom as vx
from tests.study.conftest import TINY, write_balls
from tests.study.fake_hub import Hub, hub
from voxloom.cli.app import run as voxloom
from voxloom.dataset import Dataset
from voxloom.errors import BadInput, VoxloomError
from voxloom.export.export import export_run
from voxloom.export.importing import import_run
from voxloom.export.manifest import DOI, VERSION
from voxloom.export.nnunet_folder import load_checkpoint
from voxloom.export.plain_networks import compare
from voxloom.files import read_json
from voxloom.formats import read_volume
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.task import task_of
from voxloom.verbs.run import Run
from voxloom.verbs.train import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps with what its author says; a scan lies beside it."""
    root = tmp_path_factory.mktemp("shared")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data, place = write_balls(root / "data", 6), root / "balls"
    few = {
        **TINY,
        "network.features": [2, 4, 4],
        "training.patch": [16, 16, 16],
        "training.steps": 30,
        "training.precision": "fp32",
    }
    train(Dataset(data), Recipe.load("auto").changed({**few, "training.validations": 1}), out=place, folds=2)
    torch.set_num_threads(threads)
    shutil.copy(data / "imagesTr" / "ball03_0000.nii.gz", root / "scan.nii.gz")
    (place / "author.yaml").write_text("license: CC-BY-4.0\nversion: 1.2.0\ndoi: https://doi.org/10.5281/zenodo.123\n")
    return place


@pytest.fixture(scope="module")
def packed(folder: Path) -> Path:
    return export_run(Run(folder), folder.parent / "balls.zip", "zip")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    with hub() as made:
        yield made


def scan(folder: Path) -> Path:
    return folder.parent / "scan.nii.gz"


def test_a_zip_predicts_the_same_bits_without_the_data(
    packed: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert voxloom(["import", str(packed), "-o", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["license"], told["doi"]) == ("1.2.0", "CC-BY-4.0", "10.5281/zenodo.123")
    expected = Run(folder).predict(scan(folder)).data
    assert np.array_equal(Run(tmp_path / "run").predict(scan(folder)).data, expected)
    card = (tmp_path / "run" / "model_card.md").read_text()
    assert "1.2.0" in card
    assert "10.5281/zenodo.123" in card


def test_no_voxel_of_a_scan_goes_along(packed: Path, folder: Path) -> None:
    assert "sketch" in (folder / "data.json").read_text()
    with zipfile.ZipFile(packed) as archive:
        assert "sketch" not in archive.read("balls/data.json").decode()


def changed(packed: Path, to: Path, name: str, content: bytes | None) -> Path:
    """The zip with one file changed, added, or left out."""
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(to, "w") as sink:
        for entry in source.namelist():
            if entry != name:
                sink.writestr(entry, source.read(entry))
        if content is not None:
            sink.writestr(name, content)
    return to


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("balls/fold_0/log.csv", b"step\n1\n", "its hash differs"),
        ("balls/fold_0/log.csv", None, "missing"),
        ("balls/fold_0/more.csv", b"1", "not in the list"),
        ("balls/fold_0/model.pth", b"1", "no place in a shared run"),
        ("balls/../../escape.csv", b"1", "outside its folder"),
        ("/tmp/escape.csv", b"1", "outside its folder"),
        ("balls/share.json", b'{"format": 99}', "later Voxloom"),
        ("balls/share.json", b"[]", "damaged"),
    ],
)
def test_what_was_changed_on_the_way_is_refused(
    name: str, content: bytes | None, said: str, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = changed(packed, tmp_path / "wrong.zip", name, content)
    assert voxloom(["import", str(wrong), "-o", str(tmp_path / "in" / "run")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "in").exists()
    assert not (tmp_path / "escape.csv").exists()


def test_a_zip_that_fills_the_disk_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/recipe.yaml", bytes(80 << 20))
    assert voxloom(["import", str(tmp_path / "bomb.zip"), "-o", str(tmp_path / "run")]) == 2
    assert "unpack to" in capsys.readouterr().err


def test_parts_of_other_packages_are_imported_only_where_they_are_trusted(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe of an earlier Voxloom's zip, which has no hashes: what it names would run when it is opened."""
    with zipfile.ZipFile(packed) as source:
        source.extractall(tmp_path)
    (tmp_path / "balls" / "share.json").unlink()
    recipe = tmp_path / "balls" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("task: segmentation", "task: antigravity_of_nobody:TASK"))
    assert voxloom(["import", str(tmp_path / "balls"), "-o", str(tmp_path / "run")]) == 2
    assert "antigravity_of_nobody:TASK" in (said := capsys.readouterr().err)
    assert "--own-parts" in said
    assert voxloom(["import", str(tmp_path / "balls"), "-o", str(tmp_path / "run"), "--own-parts"]) == 2
    assert "cannot be loaded" in capsys.readouterr().err


def test_a_zip_of_before_says_that_nothing_was_compared(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as source:
        source.extractall(tmp_path)
    (tmp_path / "balls" / "share.json").unlink()
    found = import_run(tmp_path / "balls", tmp_path / "run")
    assert found.shared is None
    assert len(vx.import_run(tmp_path / "balls", tmp_path / "again").networks) == 2
    assert "not compared" in found.told[0]


@pytest.mark.parametrize(("key", "value"), [("version", "2"), ("doi", "zenodo 5")])
def test_version_and_doi_are_written_as_such(key: str, value: str, folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "balls"
    shutil.copytree(folder, run, ignore=shutil.ignore_patterns("tensorboard", "predictions", "last.ckpt"))
    (run / "author.yaml").write_text(f"{key}: '{value}'\n")
    with pytest.raises(BadInput, match=key):
        export_run(Run(run), tmp_path / "a.zip", "zip")
    assert not (tmp_path / "a.zip").exists()
    assert VERSION.fullmatch("1.0.0-rc.1+a")
    assert DOI.fullmatch("10.5281/zenodo.1")


def test_a_hub_gets_a_version_with_its_card_and_gives_it_back(
    server: Hub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--endpoint", server.url]
    assert voxloom(["export", str(folder), "--to", "hub", "-o", "anna/balls", *more]) == 0
    assert server.private == {"anna/balls": True}
    files = server.commits["anna/balls"][-1]
    readme = files["README.md"].decode()
    assert readme.startswith("---\nlibrary_name: voxloom\nlicense: cc-by-4.0\npipeline_tag: image-segmentation\n")
    assert "# Model card" in readme
    assert not any(name.endswith((".ckpt", ".png", ".nii.gz", ".html")) for name in files)
    assert list(server.tags["anna/balls"]) == ["v1.2.0"]
    capsys.readouterr()
    assert voxloom(["export", str(folder), "--to", "hub", "-o", "anna/balls", *more]) == 2
    assert "on the hub already" in capsys.readouterr().err
    assert voxloom(["import", "anna/balls@v1.2.0", "-o", str(tmp_path / "run"), *more]) == 0
    assert not (tmp_path / "run" / "README.md").exists()
    expected = Run(folder).predict(scan(folder)).data
    assert np.array_equal(Run(tmp_path / "run").predict(scan(folder)).data, expected)


@pytest.mark.parametrize(
    ("name", "said"), [("anna/nothing", "no such repository"), ("anna/balls@v9", "no such revision")]
)
def test_what_a_hub_does_not_have(
    name: str, said: str, server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.commits["anna/balls"], server.tags["anna/balls"], server.private["anna/balls"] = [{}], {}, False
    assert voxloom(["import", name, "-o", str(tmp_path / "run"), "--endpoint", server.url]) == 2
    assert said in capsys.readouterr().err


def test_a_hub_that_is_away_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert voxloom(["import", "anna/balls", "-o", str(tmp_path / "run"), "--endpoint", "http://127.0.0.1:9"]) == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_onnx_gives_the_runs_logits(folder: Path, tmp_path: Path) -> None:
    made = export_run(Run(folder), tmp_path / "onnx", "onnx")
    about = read_json(made / "network.json")
    assert [one["file"] for one in about["files"]] == ["fold_0.onnx", "fold_1.onnx"]
    assert about["labels"] == {"background": 0, "bright": 3, "dark": 207}
    image = torch.randn(3, *about["input"]["shape"][1:], generator=torch.Generator().manual_seed(5))
    session = onnxruntime.InferenceSession(str(made / "fold_1.onnx"), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = Run(folder).networks[1](image)
    assert np.allclose(session.run(None, {"image": image.numpy()})[0], expected, atol=1e-3)


def test_torchscript_gives_the_runs_logits(folder: Path, tmp_path: Path) -> None:
    made = export_run(Run(folder), tmp_path / "script", "torchscript")
    image = torch.randn(3, *read_json(made / "network.json")["input"]["shape"][1:])
    with torch.no_grad():
        assert torch.allclose(torch.jit.load(made / "fold_0.pt")(image), Run(folder).network(image), atol=1e-4)


def test_an_exported_network_that_differs_is_not_kept() -> None:
    with pytest.raises(VoxloomError, match="differs"):
        compare(torch.nn.Identity(), lambda seen: seen + 1, torch.ones(2, 1, 4, 4))


def test_nnunet_gets_the_same_networks(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """nnU-Net's own class takes the weights strictly; imported again, the probabilities are the run's."""
    assert voxloom(["export", str(folder), "--to", "nnunet", "-o", str(tmp_path / "peer")]) == 0
    assert "207 is 2 in nnU-Net" in capsys.readouterr().err
    plans = read_json(tmp_path / "peer" / "plans.json")["configurations"]["3d_fullres"]
    given = dict(plans["architecture"]["arch_kwargs"])
    given |= {"conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU}
    peer = PlainConvUNet(1, num_classes=3, deep_supervision=False, **given).eval()
    peer.load_state_dict(load_checkpoint(tmp_path / "peer" / "fold_0" / "checkpoint_final.pth")["network_weights"])
    image = torch.randn(1, 1, *Run(folder).recipe.training["patch"], generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = peer(image.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
        assert torch.allclose(found, Run(folder).network(image), atol=1e-4)
    back = import_run(tmp_path / "peer", tmp_path / "back")
    volume = read_volume(scan(folder))
    ours, theirs = (task_of(run).open(run).probabilities(volume) for run in (Run(folder), Run(back.folder)))
    assert ours.std() > 0.01
    assert np.allclose(ours, theirs, atol=2e-3)
    assert Run(back.folder).predict(volume).same_grid(volume)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("prepare.n4", True, "`prepare.n4`"),
        ("network.kind", "resunet", "resunet"),
        ("prepare.orientation", "LPS", "orientation"),
    ],
)
def test_what_nnunet_has_no_words_for_is_refused(
    key: str, value: object, said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "balls"
    shutil.copytree(folder, run, ignore=shutil.ignore_patterns("tensorboard", "predictions", "last.ckpt"))
    path = run / "fold_0" / "model.json"
    about = read_json(path)
    section, name = key.split(".")
    about[section][name] = value
    path.write_text(json.dumps(about))
    assert voxloom(["export", str(run), "--to", "nnunet", "-o", str(tmp_path / "peer")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "peer").exists()
