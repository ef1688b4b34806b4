"""A trained model of nnU-Net v2 as a run: its folder read, its weights taken, its preparation said in Voxloom's words.

Knows ``dataset.json``, ``plans.json`` and ``fold_*/checkpoint_*.pth`` of nnU-Net v2. Weights are read without running what a pickle
could hold (``weights_only=True``). What Voxloom has no words for is refused; what it does a little differently is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxloom.augment import AugmentSettings
from voxloom.dataset import Labels
from voxloom.errors import BadInput
from voxloom.export.nnunet_plans import Architecture, configuration_of, normalizations_of, statistics_of
from voxloom.export.share import NOT_SHARED
from voxloom.files import read_json, write_json
from voxloom.networks import build_network, network_settings
from voxloom.prepare import PrepareSettings
from voxloom.recipe.recipe import Recipe
from voxloom.run.environment import describe_environment
from voxloom.runfiles import RunFold
from voxloom.training.settings import InferenceSettings
from voxloom.training.weights import save_weights

KIND = "voxloom.networks.nnunet:NnUNet"
#: The last checkpoint; the best one of the moving Dice is taken where it is missing.
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_DAMAGED = "Copy the model again"


@dataclass(frozen=True)
class Model:
    """A folder ``TRAINER__PLANS__CONFIGURATION`` of nnU-Net v2.

    Parameters
    ----------
    folder : with ``dataset.json``, ``plans.json`` and ``fold_*``.
    """

    folder: Path

    @cached_property
    def dataset(self) -> dict[str, Any]:
        """``dataset.json``."""
        return _object(self.folder / "dataset.json")

    @cached_property
    def plans(self) -> dict[str, Any]:
        """``plans.json``."""
        return _object(self.folder / "plans.json")

    @property
    def configuration(self) -> str:
        """Name of the configuration, from the checkpoint, or the folder's name where that has none."""
        said = self.first.get("init_args", {}).get("configuration")
        return str(said) if said else self.folder.name.split("__")[-1]

    @cached_property
    def checkpoints(self) -> tuple[Path, ...]:
        """One file per fold, in order (BadInput where there is none)."""
        folds = sorted(path for path in self.folder.glob("fold_*") if path.is_dir())
        found = [next((fold / name for name in CHECKPOINTS if (fold / name).is_file()), None) for fold in folds]
        kept = tuple(path for path in found if path is not None)
        if not kept:
            raise BadInput(f"no fold has a {CHECKPOINTS[0]}", self.folder, "Train a fold in nnU-Net first")
        return kept

    @cached_property
    def first(self) -> dict[str, Any]:
        """What the checkpoint of the first fold holds."""
        return load_checkpoint(self.checkpoints[0])


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise BadInput("is not a JSON object", path, _DAMAGED)
    return value


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Weights and notes of a checkpoint (BadInput for one that is damaged or holds more than data)."""
    import pickle

    import numpy as np

    scalar: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]  # figures of the log are NumPy's numbers
    dtypes = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    named = [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]
    try:
        with torch.serialization.safe_globals([np.dtype, *dtypes, *named]):
            found = torch.load(path, map_location="cpu", weights_only=True)
        weights = found["network_weights"]
        if not all(isinstance(one, Tensor) for one in weights.values()):
            raise ValueError("its weights are no tensors")
    except pickle.UnpicklingError as error:
        what = f"holds more than weights, which could run code when it is opened ({str(error).splitlines()[0]})"
        raise BadInput(what, path, "Save the checkpoint again with nnU-Net v2") from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"is not a checkpoint of nnU-Net v2, or damaged ({error})", path, _DAMAGED) from error
    result: dict[str, Any] = found
    return result


def find_models(folder: Path) -> list[Model]:
    """All models of nnU-Net v2 at or below a folder, as nnU-Net's results and its export have them."""
    plans = [folder / "plans.json", *sorted(folder.glob("*/plans.json")), *sorted(folder.glob("*/*/plans.json"))]
    return [Model(path.parent) for path in plans if path.is_file() and (path.parent / "dataset.json").is_file()]


def choose(models: Sequence[Model], configuration: str | None, where: Path) -> Model:
    """The model of a configuration (BadInput where none or several are meant)."""
    named = [(model.folder.name.split("__")[-1] if "__" in model.folder.name else "", model) for model in models]
    meant = [model for name, model in named if configuration in (None, name) or (len(models) == 1 and not name)]
    if len(meant) == 1:
        return meant[0]
    known = ", ".join(sorted({name for name, _ in named}))
    what = f"holds {len(meant) or 'no'} models" + (f" of the configuration {configuration}" if configuration else "")
    raise BadInput(f"{what}; there are: {known}", where, "Choose one with --configuration, or name its folder")


def convert(model: Model, run: Path) -> list[str]:
    """Write the run of a model into the folder ``run``; what a user must know of it, a sentence each.

    Raises
    ------
    BadInput : it is damaged, or does something that Voxloom has no words for.
    """
    try:
        return _convert(model, run)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        what = f"is not the model of an nnU-Net v2 that is known, or damaged ({type(error).__name__}: {error})"
        raise BadInput(what, model.folder, _DAMAGED) from error


def _convert(model: Model, run: Path) -> list[str]:
    name = model.configuration
    settings = configuration_of(model.plans, name, model.folder)
    labels = Labels.from_nnunet(model.dataset["labels"], model.dataset.get("regions_class_order"))
    channels = [str(text) for text in (model.dataset.get("channel_names") or model.dataset["modality"]).values()]
    heads = labels.count if labels.has_regions else labels.count + 1
    architecture = Architecture.of(model.plans, settings, model.folder)
    spacing, patch = architecture.spacing(settings["spacing"]), architecture.patch(settings["patch_size"])
    normalize, told = normalizations_of(settings, model.folder)
    statistics = statistics_of(model.plans, len(channels)) if "ct" in normalize else None
    first = model.first
    mirror = sorted(architecture.axes[axis] for axis in first.get("inference_allowed_mirroring_axes") or ())
    reader = str(model.plans.get("image_reader_writer", "")) + str(
        model.dataset.get("overwrite_image_reader_writer", "")
    )
    prepare = PrepareSettings(
        orientation="RAS" if "Reorient" in reader else None,
        spacing=spacing, image_order="cubic", crop="nonzero", normalize=tuple(normalize),
    )  # fmt: skip
    network = {
        "kind": KIND, "dims": architecture.dims, "in_channels": len(channels), "out_channels": heads,
        "options": architecture.options, "divisible": list(architecture.divisible),
    }  # fmt: skip
    about: dict[str, Any] = {
        "task": "segmentation",
        "network": network_settings(network).model_dump(mode="json"),
        "prepare": prepare.model_dump(mode="json"),
        "inference": InferenceSettings(mirror=tuple(mirror), largest_component=()).model_dump(mode="json"),
        "patch": list(patch),
        "precision": "fp32",
        "channels_last": False,
        "channels": channels,
        "augment": AugmentSettings(mirror=tuple(mirror)).model_dump(mode="json"),
        "labels": labels.to_nnunet(),
        "regions_order": None if labels.regions_order is None else list(labels.regions_order),
        "statistics": None if statistics is None else statistics.to_dict(),
    }
    for number, path in enumerate(model.checkpoints):
        checkpoint = load_checkpoint(path) if number else first
        save_weights(RunFold(number, run).folder, weights_of(checkpoint, network, path), about)
    origin = {"from": "nnU-Net v2", "configuration": name, "trainer": str(first.get("trainer_name", ""))}
    origin |= {"data_set": str(model.plans.get("dataset_name", "")), "plans": str(model.plans.get("plans_name", ""))}
    _write_run(run, about, origin)
    if origin["trainer"] not in ("", "nnUNetTrainer"):
        told.append(
            f"Its trainer {origin['trainer']} is not nnU-Net's own: compare a prediction with nnU-Net's before you rely on it"
        )
    return told


def _write_run(run: Path, about: Mapping[str, Any], origin: Mapping[str, str]) -> None:
    """The files beside the folds: recipe, data and summary of a run whose cases are not known."""
    description = f"Imported from {origin['from']}: {origin['data_set']}, {origin['configuration']}"
    changes = {
        "name": run.name, "task": "segmentation", "description": description, "reference": "Isensee et al., nnU-Net, 2021",
        **{key: about[key] for key in ("prepare", "network", "inference", "augment")},
        "training.patch": about["patch"],
    }  # fmt: skip
    recipe = Recipe.load("auto").changed({**changes, "name": "imported"})
    recipe.save(run / "recipe.yaml")
    kinds = ["CT" if kind == "ct" else "zscore" for kind in about["prepare"]["normalize"]]
    dataset = {
        "name": origin["data_set"], "layout": "nnU-Net", "columns": {}, "channels": about["channels"], "channel_kinds": kinds,
        "labels": about["labels"], "regions_order": about["regions_order"], "root": NOT_SHARED,
    }  # fmt: skip
    write_json(run / "data.json", {"shared": True, "dataset": dataset, "cases": [], "outside": {}, "notes": []})
    write_json(run / "summary.json", {"imported": dict(origin)})
    write_json(run / "environment.json", describe_environment("cpu"))


def weights_of(checkpoint: Mapping[str, Any], network: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """A checkpoint's weights under the names of Voxloom's network; every one of them, or BadInput.

    nnU-Net's modules name some weights twice, and have outputs for deep supervision that prediction does not use.
    """
    built = build_network(network_settings(network)).state_dict()
    levels = len(network["options"]["features"])
    last = f"decoder.seg_layers.{levels - 2}."
    given: dict[str, Tensor] = {}
    for raw, tensor in checkpoint["network_weights"].items():
        name = raw.removeprefix("module.").removeprefix("_orig_mod.")
        if ".all_modules." in name or name.startswith("decoder.encoder."):
            continue
        if name.startswith(last):
            name = f"head.{name.removeprefix(last)}"
        elif name.startswith("decoder.seg_layers."):
            continue
        given[f"network.{name}"] = tensor.float() if tensor.is_floating_point() else tensor
    differing = sorted(set(built) ^ set(given)) or [key for key in built if built[key].shape != given[key].shape]
    if differing:
        what = f"its weights do not fit the network of plans.json, e.g. {differing[0].removeprefix('network.')}"
        raise BadInput(what, path, "A trainer with a network of its own cannot be imported")
    return given
