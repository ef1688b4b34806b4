"""A trained model of nnU-Net v2 becomes a run: the peer's own networks give the same logits, and the label map is the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet

from voxloom.cli.app import run as voxloom
from voxloom.export.nnunet_folder import load_checkpoint
from voxloom.files import read_json
from voxloom.formats import read_volume, write_volume
from voxloom.verbs.run import Run
from voxloom.volume import Volume

SIZE = (16, 12, 8)  # of the scan, i j k


def arch(kind: str, dims: int) -> dict[str, Any]:
    """``arch_kwargs`` as nnU-Net's planner writes them; strides and kernels differ along the axes."""
    flat, conv = dims == 2, f"Conv{dims}d"
    return {
        "n_stages": 3,
        "features_per_stage": [4, 8, 8],
        "conv_op": f"torch.nn.modules.conv.{conv}",
        "kernel_sizes": [[3, 3], [3, 1], [3, 3]] if flat else [[1, 3, 3], [3, 3, 1], [3, 3, 3]],
        "strides": [[1, 1], [2, 2], [1, 2]] if flat else [[1, 1, 1], [1, 2, 2], [2, 1, 2]],
        "n_conv_per_stage" if kind == "PlainConvUNet" else "n_blocks_per_stage": [2, 1, 2],
        "n_conv_per_stage_decoder": [1, 2],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def peer(kind: str, dims: int, inputs: int, heads: int, seed: int) -> torch.nn.Module:
    """The network as nnU-Net builds it."""
    given = dict(arch(kind, dims))
    given["conv_op"] = (torch.nn.Conv2d, torch.nn.Conv3d)[dims - 2]
    given["norm_op"] = (torch.nn.InstanceNorm2d, torch.nn.InstanceNorm3d)[dims - 2]
    given["nonlin"] = torch.nn.LeakyReLU
    made = {"PlainConvUNet": PlainConvUNet, "ResidualEncoderUNet": ResidualEncoderUNet}[kind]
    torch.manual_seed(seed)
    network = made(inputs, num_classes=heads, deep_supervision=True, **given)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.3)
    network.eval()
    network.decoder.deep_supervision = False
    return network


def write_model(
    root: Path,
    kind: str = "PlainConvUNet",
    dims: int = 3,
    *,
    transpose: tuple[int, ...] = (0, 1, 2),
    folds: int = 1,
    **more: Any,
) -> list[torch.nn.Module]:
    """A folder of results as nnU-Net v2 leaves it; its networks."""
    name = f"{dims}d_fullres" if dims == 3 else "2d"
    folder = root / f"nnUNetTrainer__nnUNetPlans__{name}"
    zyx = [SIZE[2 - axis] for axis in transpose]
    spacing = [[2.0, 1.5, 1.0][axis] for axis in transpose]
    labels = {"background": 0, "liver": 1, "tumour": 2}
    channels = more.get("channels", {"0": "CT", "1": "MR"})
    conf = {
        "patch_size": zyx[-dims:], "spacing": spacing[-dims:], "batch_size": 2, "use_mask_for_norm": [False, False],
        "normalization_schemes": ["CTNormalization", "ZScoreNormalization"],
        "preprocessor_name": "DefaultPreprocessor", "batch_dice": True,
        **{f"resampling_fn_{what}": "resample_data_or_seg_to_shape" for what in ("data", "seg", "probabilities")},
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
            "arch_kwargs": arch(kind, dims), "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }  # fmt: skip
    intensity = {"mean": 10.0, "std": 50.0, "percentile_00_5": -80.0, "percentile_99_5": 120.0, "median": 0.0}
    plans = {
        "dataset_name": "Dataset042_Liver", "plans_name": "nnUNetPlans", "transpose_forward": list(transpose),
        "transpose_backward": [int(n) for n in np.argsort(transpose)], "image_reader_writer": "SimpleITKIO",
        "configurations": {name: conf, f"{name}_bs8": {"inherits_from": name, "batch_size": 8}},
        "foreground_intensity_properties_per_channel": {"0": intensity, "1": intensity},
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps({**plans, **more.get("plans", {})}))
    about = {"channel_names": channels, "labels": labels, "numTraining": 3, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(about))
    networks = [peer(kind, dims, 2, 3, seed) for seed in range(folds)]
    for number, network in enumerate(networks):
        (folder / f"fold_{number}").mkdir()
        checkpoint = {
            "network_weights": network.state_dict(), "optimizer_state": {}, "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)], "epochs": [np.int64(3)]},
            "_best_ema": np.float64(0.8), "current_epoch": 1000, "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": name, "fold": number}, "inference_allowed_mirroring_axes": more.get("mirror"),
        }  # fmt: skip
        torch.save(checkpoint, folder / f"fold_{number}" / "checkpoint_final.pth")
    return networks


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def scan(path: Path) -> Volume:
    random = np.random.default_rng(0)
    data = random.normal(0, 60, (2, *SIZE)).astype(np.float32)
    volume = Volume(data, np.diag([-1.0, -1.5, 2.0, 1.0]))  # LPS as most NIfTI files that come from DICOM
    for number, channel in enumerate(data):
        write_volume(Volume(channel[None], volume.affine), path / f"case_{number:04d}.nii.gz")
    return volume


@pytest.mark.parametrize("kind", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("dims", [2, 3])
def test_logits_are_the_peers(kind: str, dims: int, tmp_path: Path) -> None:
    transpose = (0, 2, 1) if dims == 2 else (1, 0, 2)
    (network,) = write_model(tmp_path / "results", kind, dims, transpose=transpose)
    assert voxloom(["import", str(tmp_path / "results"), "-o", str(tmp_path / "run")]) == 0
    order = [2 - axis for axis in transpose][3 - dims :]
    image = torch.randn(2, 2, *SIZE[:dims], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = Run(tmp_path / "run").network(image)
        expected = network(image.permute(0, 1, *(n + 2 for n in order)))
    back = [order.index(n) + 2 for n in range(dims)]
    assert torch.allclose(found, expected.permute(0, 1, *back), atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_label_map_is_nnunets(dims: int, tmp_path: Path) -> None:
    """nnU-Net's steps by hand, of a scan on the plans' own grid that one window holds: turn, normalize, network, label."""
    networks = write_model(tmp_path / "results", dims=dims, folds=2)
    volume = scan(tmp_path / "scan")
    assert voxloom(["import", str(tmp_path / "results"), "-o", str(tmp_path / "run")]) == 0
    words = ["predict", str(tmp_path / "run"), str(tmp_path / "scan"), "-o", str(tmp_path / "out")]
    assert voxloom(words) == 0
    found = read_volume(tmp_path / "out" / "case.nii.gz")
    zyx = volume.data.transpose(0, 3, 2, 1).astype(np.float32)
    seen = np.stack([(zyx[0].clip(-80, 120) - 10) / 50, (zyx[1] - zyx[1].mean()) / zyx[1].std()])
    batch = torch.from_numpy(seen)[None] if dims == 3 else torch.from_numpy(seen).movedim(1, 0)
    with torch.no_grad():
        chance = torch.stack([torch.softmax(network(batch), 1) for network in networks]).mean(0)
    labels = chance.argmax(1) if dims == 2 else chance.argmax(1)[0]
    assert len(np.unique(found.data)) > 1
    assert np.array_equal(found.data[0], labels.numpy().transpose(2, 1, 0))
    assert found.same_grid(volume)


def test_a_zip_of_nnunets_export_is_imported_and_its_origin_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(tmp_path / "Dataset042_Liver", mirror=(0, 2))
    write_model(tmp_path / "Dataset042_Liver", dims=2)
    shutil.make_archive(str(tmp_path / "liver"), "zip", tmp_path, "Dataset042_Liver")
    assert voxloom(["import", str(tmp_path / "liver.zip"), "-o", str(tmp_path / "run")]) == 2
    assert "2d, 3d_fullres" in capsys.readouterr().err
    words = [
        "import",
        str(tmp_path / "liver.zip"),
        "--configuration",
        "3d_fullres",
        "-o",
        str(tmp_path / "run"),
        "--json",
    ]
    assert voxloom(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == str(tmp_path / "run")
    about = read_json(tmp_path / "run" / "fold_0" / "model.json")
    assert about["inference"]["mirror"] == [0, 2]
    assert about["labels"] == {"background": 0, "liver": 1, "tumour": 2}
    assert about["prepare"]["spacing"] == [1.0, 1.5, 2.0]
    assert read_json(tmp_path / "run" / "summary.json")["imported"]["data_set"] == "Dataset042_Liver"


def test_plans_of_before_2_5_name_the_same_network(tmp_path: Path) -> None:
    (network,) = write_model(tmp_path / "results")
    path = next((tmp_path / "results").glob("*/plans.json"))
    plans = json.loads(path.read_text())
    conf = plans["configurations"]["3d_fullres"]
    given = conf.pop("architecture")["arch_kwargs"]
    conf |= {
        "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 4, "unet_max_num_features": 8,
        "n_conv_per_stage_encoder": [2, 1, 2], "n_conv_per_stage_decoder": [1, 2],
        "pool_op_kernel_sizes": given["strides"], "conv_kernel_sizes": given["kernel_sizes"],
    }  # fmt: skip
    path.write_text(json.dumps(plans))
    assert voxloom(["import", str(tmp_path / "results"), "-o", str(tmp_path / "run")]) == 0
    image = torch.randn(1, 2, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(image.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
        assert torch.allclose(Run(tmp_path / "run").network(image), expected, atol=1e-5)


class Harm:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (self.mark,))


def test_a_checkpoint_that_runs_code_is_refused_unrun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path / "results")
    path = next((tmp_path / "results").glob("*/fold_0/checkpoint_final.pth"))
    torch.save({**load_checkpoint(path), "logging": Harm(tmp_path / "mark")}, path)
    assert voxloom(["import", str(tmp_path / "results"), "-o", str(tmp_path / "run")]) == 2
    assert "could run code" in capsys.readouterr().err
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"transpose_forward": [2, 0, 1]}, None),
        ({"architecture.network_class_name": "x.PrimusM"}, "PrimusM is not known"),
        ({"architecture.arch_kwargs.features_per_stage": [4, 8, 16]}, "do not fit"),
        ({"architecture.arch_kwargs.nonlin": "torch.nn.GELU"}, "GELU"),
        ({"normalization_schemes": ["CTNormalization", "My"]}, "My is not known"),
        ({"previous_stage": "3d_lowres"}, "3d_lowres"),
    ],
)
def test_what_is_not_known_is_refused(
    changes: dict[str, Any], said: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(tmp_path / "results")
    path = next((tmp_path / "results").glob("*/plans.json"))
    plans = json.loads(path.read_text())
    for key, value in changes.items():
        place = plans if key in plans else plans["configurations"]["3d_fullres"]
        *parents, last = key.split(".")
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(plans))
    code = voxloom(["import", str(tmp_path / "results"), "-o", str(tmp_path / "run")])
    assert code == (0 if said is None else 2)
    assert said is None or said in capsys.readouterr().err
    assert (tmp_path / "run").exists() == (said is None)
