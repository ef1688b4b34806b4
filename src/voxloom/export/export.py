"""``export``: a run as a MONAI bundle that MONAI's own loader runs.

Knows MONAI's bundle layout. What is done before and after the network is said in MONAI's words by
``voxloom.export.bundle_transforms``; what MONAI cannot say is refused, not approximated in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.export.bundle_folds import Copies
from voxloom.export.bundle_transforms import postprocessing, preprocessing, refuse_postprocessing
from voxloom.files import new_folder, write_json, write_text
from voxloom.prepare import PrepareSettings
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.training.weights import load_weights

#: Version of the bundles that are written.
BUNDLE_VERSION = "1.0.0"


def export_run(run: Run, out: Path, to: str = "monai") -> Path:
    """Write the run as a MONAI bundle into ``out``.

    Parameters
    ----------
    out : new or empty folder.
    to : "monai".

    Raises
    ------
    BadInput : the folder is not empty, or the run uses something that a bundle cannot express.
    """
    if to != "monai":
        raise BadInput(f"cannot export to {to}", None, "Known: monai")
    need(run, "export")
    if out.exists() and any(out.iterdir()):
        raise BadInput("the folder is not empty", out, "Choose another with -o")
    described = [load_weights(folder)[1] for folder in run.folds]
    about = described[0]
    kind = about["network"]["kind"]
    if kind not in ("unet", "resunet"):
        raise BadInput(
            f"MONAI has no network of the kind `{kind}`, so a bundle cannot hold it", run.folder,
            "Export a run of `unet` or `resunet`; Voxloom itself predicts with every kind",
        )  # fmt: skip
    refuse_postprocessing(run, about)
    copies = Copies.of(described)
    transforms = preprocessing(PrepareSettings.model_validate(about["prepare"]), about, copies)
    network = network_config(about, copies)
    with new_folder(out) as building:
        names = [save_model(folder, building, number, copies) for number, folder in enumerate(run.folds)]
        write_json(building / "configs" / "metadata.json", describe(run, about, copies))
        write_json(building / "configs" / "inference.json", inference_config(run, about, names, transforms, network))
        write_json(building / "configs" / "evaluate.json", evaluate_config(about))
        write_json(building / "configs" / "train.json", train_config(run, network))
        write_text(building / "docs" / "README.md", readme(run, about, names))
        write_text(building / "LICENSE", (resources.files("voxloom") / "recipes" / "bundle-license.txt").read_text())
    return out


def save_model(fold: Path, bundle: Path, number: int, copies: Copies) -> str:
    """Write a fold's weights as MONAI's DynUNet has them; the name of the file without its ending."""
    import torch
    from monai.networks.nets import DynUNet

    from voxloom.networks import NetworkSettings, monai_config

    weights, about = load_weights(fold)
    network = DynUNet(**monai_config(NetworkSettings.model_validate(about["network"])))
    own = {name.removeprefix("net."): tensor for name, tensor in weights.items()}
    missing = network.load_state_dict(own, strict=False)
    # the skip layers name the same modules a second time
    lost = [name for name in missing.missing_keys if not name.startswith("skip_layers.")]
    if lost or missing.unexpected_keys:
        raise BadInput(
            "the weights do not fit MONAI's DynUNet",
            fold,
            f"First differing weight: {(lost or missing.unexpected_keys)[0]}",
        )
    name = "model" if number == 0 else f"model_{number}"
    path = bundle / "models" / f"{name}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    dims = about["network"]["dims"]
    chosen = {"0.weight": copies.layer_weights(number, dims)} if copies.layer(dims) else {}
    # its place in the sequence
    prefix = f"{len(chosen)}." if isinstance(network_config(about, copies), str) else ""
    torch.save({**chosen, **{prefix + key: tensor for key, tensor in network.state_dict().items()}}, path)
    return name


def network_config(about: dict[str, Any], copies: Copies) -> dict[str, Any] | str:
    """The network in MONAI's words: after the layer that takes the fold's copy of the scan, and followed, where it computes on
    cells, by MONAI's sub-pixel layer, which knows cells of equal sides."""
    from voxloom.networks import NetworkSettings, monai_config

    settings = NetworkSettings.model_validate(about["network"])
    trunk, cell = monai_config(settings), settings.strides[0]
    first = copies.layer(settings.dims)
    if max(cell) == 1 and first is None:
        return {"_target_": "DynUNet", **trunk}
    parts = [] if first is None else [first]
    parts.append(f"monai.networks.nets.DynUNet(**{trunk!r})")
    if max(cell) > 1:
        parts.append(_subpixel(cell, settings.dims, trunk["out_channels"], settings.out_channels))
    return f"$torch.nn.Sequential({', '.join(parts)})"


def _subpixel(cell: Sequence[int], dims: int, inputs: int, outputs: int) -> str:
    if len(set(cell)) > 1:
        raise BadInput(f"a MONAI bundle cannot express cells of {cell} voxels", None, "Export a run with equal strides")
    voxels = {
        "spatial_dims": dims,
        "in_channels": inputs,
        "out_channels": outputs,
        "scale_factor": cell[0],
        "apply_pad_pool": False,
    }
    return f"monai.networks.blocks.SubpixelUpsample(conv_block=torch.nn.Identity(), **{voxels!r})"


def inference_config(
    run: Run, about: dict[str, Any], models: list[str], transforms: list[dict[str, Any]], network: dict[str, Any] | str
) -> dict[str, Any]:
    """``inference.json``: predicts every image of ``dataset_dir`` and writes label maps into ``output_dir``."""
    dims, inference = about["network"]["dims"], about["inference"]
    config: dict[str, Any] = {
        "imports": ["$import glob", "$import os", "$import torch", "$import monai"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "data": "$[{'image': path} for path in sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))]",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": transforms},
        "dataset": {"_target_": "Dataset", "data": "@data", "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": {
            "_target_": "SlidingWindowInferer" if dims == 3 else "SliceInferer",
            "roi_size": list(about["patch"][:dims]),
            "sw_batch_size": 1,
            "overlap": inference["overlap"],
            "mode": "gaussian",
            **({} if dims == 3 else {"spatial_dim": 2}),
        },
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing(run, about, len(models))},
    }
    return {**config, **evaluator(models, network), "run": ["$@evaluator.run()"]}


def evaluator(models: list[str], network: dict[str, Any] | str) -> dict[str, Any]:
    """One network with its checkpoint, or an ensemble with one checkpoint each."""
    common = {
        "device": "@device",
        "val_data_loader": "@dataloader",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
        "val_handlers": "@handlers",
    }
    members = ["network"] if len(models) == 1 else [f"network{n}" for n in range(len(models))]
    loaders = [
        {
            "_target_": "CheckpointLoader",
            "load_path": f"$@bundle_root + '/models/{name}.pt'",
            "load_dict": {"model": f"@{member}"},
        }
        for name, member in zip(models, members, strict=True)
    ]
    if len(models) == 1:
        single = {"_target_": "SupervisedEvaluator", **common, "network": "@network"}
        return {"handlers": loaders, "evaluator": single}
    defined = {f"{m}_def": network for m in members} | {m: f"$@{m}_def.to(@device)" for m in members}
    ensemble = {
        "_target_": "EnsembleEvaluator",
        **common,
        "networks": [f"@{m}" for m in members],
        "pred_keys": [f"pred{n}" for n in range(len(models))],
    }
    return {**defined, "handlers": loaders, "evaluator": ensemble}


def evaluate_config(about: dict[str, Any]) -> dict[str, Any]:
    """``evaluate.json``: laid over ``inference.json``; adds the label and mean Dice."""
    count = about["network"]["out_channels"]
    return {
        "labels_dir": "$@bundle_root + '/labels'",
        "data": "$[{'image': p, 'label': os.path.join(@labels_dir, os.path.basename(p))} "
        "for p in sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))]",
        "evaluator": {
            "key_val_metric": {"mean_dice": {"_target_": "MeanDice", "include_background": False, "num_classes": count}}
        },
    }


def train_config(run: Run, network: dict[str, Any] | str) -> dict[str, Any]:
    """``train.json``: how the weights came about; Voxloom trains them, MONAI need not."""
    return {
        "imports": ["$import torch", "$import monai"],
        "bundle_root": ".",
        "network_def": network,
        "voxloom_recipe": run.recipe.model_dump(mode="json"),
        "run": ["$print('These weights were trained by Voxloom; repeat with: voxloom train DATASET -r recipe.yaml')"],
    }


def describe(run: Run, about: dict[str, Any], copies: Copies) -> dict[str, Any]:
    """``metadata.json`` after MONAI's schema."""
    dims, window = about["network"]["dims"], about["patch"]
    image = {
        "type": "image", "format": "magnitude", "num_channels": copies.inputs, "spatial_shape": list(window[:dims]),
        "dtype": "float32", "value_range": [], "is_patch_data": True,
        "channel_def": {str(n): name for n, name in enumerate(copies.names(about["channels"]))},
    }  # fmt: skip
    names = ["background", *(name for name in about["labels"] if name != "background")]
    output = {
        **image, "format": "segmentation", "num_channels": len(names), "value_range": [0, len(names) - 1],
        "channel_def": dict(zip(map(str, range(len(names))), names, strict=True)),
    }  # fmt: skip
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json",
        "version": BUNDLE_VERSION,
        "changelog": {BUNDLE_VERSION: "exported by Voxloom"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch"),
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {
            name: metadata.version(name) for name in ("nibabel", "pytorch-ignite") if _installed(name)
        },
        "name": run.folder.name,
        "task": f"Segmentation of {', '.join(names[1:])}",
        "description": run.recipe.description or "Trained and exported by Voxloom",
        "authors": "the makers of the run",
        "copyright": "the makers of the run",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": output}},
    }


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def readme(run: Run, about: dict[str, Any], models: list[str]) -> str:
    """``docs/README.md``."""
    dice = run.summary.get("validation", {}).get("dice", {})
    rows = [f"| {label} | {f['mean']:.4f} | {f['n']} |" for label, f in dice.items()]
    table = ["| label | mean Dice on held-out cases | cases |", "|---|---|---|", *rows] if rows else []
    return "\n".join(
        [
            f"# {run.folder.name}",
            "",
            f"Segments {', '.join(n for n in about['labels'] if n != 'background')}. {len(models)} network(s), exported by Voxloom.",
            "",
            "Put NIfTI images into `images/` and run `python -m monai.bundle run --config_file configs/inference.json "
            "--bundle_root . --meta_file configs/metadata.json`; label maps appear in `eval/`.",
            "",
            *table,
            "",
        ]
    )
