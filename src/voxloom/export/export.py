"""``export``: a run for other software; here as a MONAI bundle that MONAI's own loader runs.

Knows MONAI's bundle layout. What is done before and after the network is said in MONAI's words by
``voxloom.export.bundle_transforms``; what MONAI cannot say is not approximated: such a run is exported whole (``bundle_own``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.export import bundle_own
from voxloom.export.bundle_folds import Copies
from voxloom.export.bundle_own import mean_dice
from voxloom.export.bundle_transforms import (
    NotInMonai,
    label_values,
    postprocessing,
    preprocessing,
    refuse_postprocessing,
)
from voxloom.export.nnunet_out import write_nnunet
from voxloom.export.plain_networks import write_networks
from voxloom.export.share import shared_recipe, zip_run
from voxloom.files import new_folder, read_json, write_json, write_text
from voxloom.prepare import PrepareSettings
from voxloom.run.environment import version_of
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.training.weights import load_weights

#: Version of the bundles that are written.
BUNDLE_VERSION = "1.0.0"
#: What a bundle needs beside MONAI.
_PACKAGES = ("nibabel", "pytorch-ignite", "fire")


def export_run(run: Run, out: Path, to: str = "monai") -> Path:
    """Write the run for other software or other people; see ``TARGETS``.

    Parameters
    ----------
    out : new file or folder; of a bundle, also an empty folder.

    Raises
    ------
    BadInput : ``out`` is there already, or the run cannot be exported so.
    """
    if to not in TARGETS:
        raise BadInput(f"cannot export to {to}", None, f"Known: {', '.join(TARGETS)}; and a hub: push_run")
    return TARGETS[to](run, out)


def export_bundle(run: Run, out: Path) -> Path:
    """Write the run as a MONAI bundle into the folder ``out``.

    A bundle holds the run in MONAI's own words where MONAI has them; otherwise it runs Voxloom's preparation, network and
    post-processing inside, and says so (``own_preparation``).

    Parameters
    ----------
    out : new or empty folder; of a zip, a new file.

    Raises
    ------
    BadInput : the folder is not empty, or the run does not segment.
    """
    need(run, "export --to monai")
    if out.exists() and any(out.iterdir()):
        raise BadInput("the folder is not empty", out, "Choose another with -o")
    described = [load_weights(fold.folder)[1] for fold in run.folds]
    with new_folder(out) as building:
        try:
            write_plain(run, building, described)
        except NotInMonai as reason:
            shutil.rmtree(building)
            building.mkdir()
            write_own(run, building, described, str(reason))
        write_text(building / "LICENSE", (resources.files("voxloom") / "recipes" / "bundle-license.txt").read_text())
    return out


def own_preparation(bundle: Path) -> str | None:
    """Why a bundle runs Voxloom's own preparation; None where it is MONAI's alone."""
    found: str | None = read_json(bundle / "configs" / "metadata.json").get("voxloom_runs_because")
    return found


def write_plain(run: Run, building: Path, described: list[dict[str, Any]]) -> None:
    """The bundle in MONAI's own transforms and network (NotInMonai where it has none)."""
    about = described[0]
    kind = about["network"]["kind"]
    if kind not in ("unet", "resunet"):
        raise NotInMonai(f"a network of the kind {kind}")
    refuse_postprocessing(run, described)
    copies = Copies.of(described)
    transforms = preprocessing(PrepareSettings.model_validate(about["prepare"]), about, copies)
    network = network_config(about, copies)
    names = [save_model(fold.folder, building, number, copies) for number, fold in enumerate(run.folds)]
    write_json(building / "configs" / "metadata.json", describe(run, about, copies))
    write_json(building / "configs" / "inference.json", inference_config(run, about, names, transforms, network))
    write_json(building / "configs" / "evaluate.json", evaluate_config(run, about, len(names)))
    write_json(building / "configs" / "train.json", train_config(run, network))
    write_text(building / "docs" / "README.md", readme(run, about, len(names), None))


def write_own(run: Run, building: Path, described: list[dict[str, Any]], reason: str) -> None:
    """The bundle that runs Voxloom inside."""
    about = described[0]
    copies = Copies(len(about["channels"]), (), (0,) * len(described))
    config = bundle_own.inference_config(about)
    bundle_own.save_run(run, building)
    write_json(building / "configs" / "metadata.json", describe(run, about, copies, reason))
    write_json(building / "configs" / "inference.json", config)
    write_json(building / "configs" / "evaluate.json", bundle_own.evaluate_config(about))
    write_json(building / "configs" / "train.json", train_config(run, config["network_def"]))
    write_text(building / "docs" / "README.md", readme(run, about, len(described), reason))


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
        raise NotInMonai(f"this network (its weight {(lost or missing.unexpected_keys)[0]})")
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
        raise NotInMonai(f"cells of {' x '.join(map(str, cell))} voxels")
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


def evaluate_config(run: Run, about: dict[str, Any], members: int) -> dict[str, Any]:
    """``evaluate.json``: laid over ``inference.json``; adds the label and mean Dice."""
    values = [value for value in label_values(about) if value]
    classes = {"orig_labels": [0, *values], "target_labels": list(range(len(values) + 1))}
    truth = [
        {"_target_": "DeleteItemsd", "keys": "label"},  # the evaluator leaves an empty one
        {"_target_": "CopyItemsd", "keys": "label_file", "names": "label"},
        {"_target_": "LoadImaged", "keys": "label"},
        {"_target_": "EnsureChannelFirstd", "keys": "label"},
        {"_target_": "MapLabelValued", "keys": ["pred", "label"], **classes},
    ]
    return {
        "labels_dir": "$@bundle_root + '/labels'",
        "data": "$[{'image': p, 'label_file': os.path.join(@labels_dir, os.path.basename(p))} "
        "for p in sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))]",
        "postprocessing": {"_target_": "Compose", "transforms": [*postprocessing(run, about, members), *truth]},
        "+evaluator": {"key_val_metric": mean_dice(include_background=False, num_classes=len(values) + 1)},
        "run": ["$@evaluator.run()", "$print('mean Dice', @evaluator.state.metrics['mean_dice'])"],
    }


def train_config(run: Run, network: dict[str, Any] | str) -> dict[str, Any]:
    """``train.json``: how the weights came about; Voxloom trains them, MONAI need not."""
    return {
        "imports": ["$import torch", "$import monai"],
        "bundle_root": ".",
        "network_def": network,
        "voxloom_recipe": shared_recipe(run.recipe).model_dump(mode="json"),
        "run": ["$print('These weights were trained by Voxloom; repeat with: voxloom train DATASET -r recipe.yaml')"],
    }


def describe(run: Run, about: dict[str, Any], copies: Copies, own: str | None = None) -> dict[str, Any]:
    """``metadata.json`` after MONAI's schema; ``own`` is why Voxloom runs inside."""
    dims, window = about["network"]["dims"], about["patch"]
    image = {
        "type": "image", "format": "magnitude", "num_channels": copies.inputs, "spatial_shape": list(window[:dims]),
        "dtype": "float32", "value_range": [], "is_patch_data": True,
        "channel_def": {str(n): name for n, name in enumerate(copies.names(about["channels"]))},
    }  # fmt: skip
    names = ["background", *(name for name in about["labels"] if name not in ("background", "ignore"))]
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
            name: found
            for name in (*_PACKAGES, *(["voxloom"] if own else []))
            if (found := version_of(name)) is not None
        },
        **({"voxloom_runs_because": f"MONAI cannot express {own}"} if own else {}),
        "name": run.folder.resolve().name,
        "task": f"Segmentation of {', '.join(names[1:])}",
        "description": run.recipe.description or "Trained and exported by Voxloom",
        "authors": "the makers of the run",
        "copyright": "the makers of the run",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": output}},
    }


def readme(run: Run, about: dict[str, Any], members: int, own: str | None) -> str:
    """``docs/README.md``; ``own`` is why Voxloom runs inside."""
    dice = run.summary.get("validation", {}).get("dice", {})
    rows = [f"| {label} | {f['mean']:.4f} | {f['n']} |" for label, f in dice.items()]
    table = ["| label | mean Dice on held-out cases | cases |", "|---|---|---|", *rows] if rows else []
    packages = ["monai", *_PACKAGES, *(["voxloom"] if own else [])]
    if own:
        inside = (
            f"MONAI cannot express {own}, so this bundle prepares scans, predicts and corrects label maps with "
            "Voxloom's own code."
        )
        images = "scans (any format that Voxloom reads; with several channels CASE_0000, CASE_0001, ...)"
    else:
        inside = "Everything is MONAI's own: transforms, network and post-processing. Voxloom is not needed."
        images = "NIfTI images (.nii.gz; several channels in the fourth axis)"
    command = "python -m monai.bundle run --bundle_root . --config_file"
    return "\n".join(
        [
            f"# {run.folder.resolve().name}",
            "",
            f"Segments {', '.join(n for n in about['labels'] if n not in ('background', 'ignore'))}. "
            f"{members} network(s), exported by Voxloom. {inside}",
            "",
            f"Install what it needs: `pip install {' '.join(packages)}`. Put {images} into `images/` and run, in this folder,",
            "",
            f"    {command} configs/inference.json",
            "",
            "Label maps appear in `eval/`. With label maps of the same names in `labels/`, this prints the mean Dice too:",
            "",
            f"    {command} \"['configs/inference.json','configs/evaluate.json']\"",
            "",
            *table,
            "",
        ]
    )


#: What a run can be written as.
TARGETS: Mapping[str, Callable[[Run, Path], Path]] = {
    "monai": export_bundle,
    "zip": zip_run,
    "onnx": partial(write_networks, form="onnx"),
    "torchscript": partial(write_networks, form="torchscript"),
    "nnunet": write_nnunet,
}
