"""Where a training's first weights come from: another run, a file, or the Hugging Face hub.

Knows the names that ``model.safetensors`` of a run and of an ImageNet encoder give to weights. Everything is safetensors:
no pickle is loaded. The network is asked for only when a recipe names the hub and the file is not on the machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from voxloom.errors import BadInput
from voxloom.networks.base import StagedNetwork
from voxloom.networks.initial import adapt_stem
from voxloom.runfiles import WEIGHTS, RunFold
from voxloom.training.init import InitSettings
from voxloom.training.weights import load_weights

_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
_FILE_ON_HUB = "model.safetensors"
_ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def set_first_weights(network: StagedNetwork, init: InitSettings) -> None:
    """Put the weights that ``init`` names into the network; where it names none, nothing changes.

    The kernels that see the image are adapted to the number of its channels (``adapt_stem``).

    Raises
    ------
    BadInput : the source is missing, cannot be fetched or read, or does not fit the network.
    """
    if init.run is not None:
        _from_run(network, init)
    elif init.weights is not None:
        _from_encoder_file(network, init.weights)


def _from_run(network: StagedNetwork, init: InitSettings) -> None:
    assert init.run is not None
    folder = RunFold(init.fold, init.run).folder
    weights, about = load_weights(folder)
    found = {_common_name(name): tensor for name, tensor in weights.items()}
    names = network.encoder_names() if init.part == "encoder" else list(network.state_dict())
    hint = f"That run's network is {about['network']['kind']}; take the same one, of the same sizes, under network:"
    _copy(network, {name: found.get(_common_name(name)) for name in names}, folder / WEIGHTS, hint)


def _from_encoder_file(network: StagedNetwork, source: str) -> None:
    encoder = getattr(network.settings, "encoder", None)
    if encoder is None:
        raise BadInput(
            f"`init.weights` needs an encoder, and a `{network.settings.kind}` has none that others trained", source,
            "Choose network.kind: encoder_unet, fpn, linknet, pspnet or dynamic_unet; or start from a run: init.run",
        )  # fmt: skip
    path = locate(source, encoder)
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput("not a readable safetensors file", path, "Convert the weights to safetensors first") from error
    chosen = {name: found.get(_common_name(name).removeprefix("encoder.")) for name in network.encoder_names()}
    _copy(network, chosen, path, f"Take the weights of a {encoder}")


def _common_name(name: str) -> str:
    """The name of a weight without what only says which class wraps the network."""
    return name.removeprefix("net.")


def _copy(network: nn.Module, chosen: Mapping[str, Tensor | None], where: Path, hint: str) -> None:
    """Copy all or nothing; counters of batch norms may be missing, since they do not change a result."""
    own = network.state_dict()
    stem = next(name for name in chosen if own[name].ndim > 2)
    ready: dict[str, Tensor] = {}
    for name, tensor in chosen.items():
        if tensor is None:
            if name.endswith("num_batches_tracked"):
                continue
            raise BadInput(f"the weights do not fit this network: `{name}` is missing", where, hint)
        if name == stem and tensor.ndim == own[name].ndim:
            tensor = adapt_stem(tensor, own[name].shape[1])
        if tensor.shape != own[name].shape:
            there, here = (" x ".join(map(str, shape)) for shape in (tensor.shape, own[name].shape))
            raise BadInput(f"the weights do not fit this network: `{name}` is {there}, not {here}", where, hint)
        ready[name] = tensor
    with torch.no_grad():
        for name, tensor in ready.items():
            own[name].copy_(tensor)


def weights_folder() -> Path:
    """Where weight files that were fetched by hand are looked for."""
    return Path.home() / ".cache" / "voxloom" / "weights"


def locate(source: str, encoder: str) -> Path:
    """The file of encoder weights: a path, or fetched from the hub (which keeps what it fetched).

    Raises
    ------
    BadInput : there is no such file, or it could not be fetched; the message says which file to put where.
    """
    from voxloom.networks.encoder import hub_address

    path = Path(source).expanduser()
    if path.is_file():
        return path
    if source != "imagenet" and (source.endswith(_ENDINGS) or not _HUB_ID.match(source)):
        raise BadInput("no such file of weights", path, "Give a safetensors file, a hub id, or init.weights: imagenet")
    repository, revision = hub_address(encoder) if source == "imagenet" else (source, "main")  # type: ignore[arg-type]
    kept = weights_folder() / f"{repository.replace('/', '--')}.safetensors"
    return kept if kept.is_file() else _fetch(repository, revision, kept)


def _fetch(repository: str, revision: str, kept: Path) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, _FILE_ON_HUB, revision=revision))
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"the weights {repository} are not on this machine and could not be fetched",
            None,
            f"Download https://huggingface.co/{repository}/resolve/{revision}/{_FILE_ON_HUB} to {kept}",
        ) from error
