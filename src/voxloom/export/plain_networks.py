"""The networks of a run alone, as ONNX or TorchScript, with a file that says what goes in and what comes out.

Each file is run once after it was written and compared with the network that it came from. What is done to a scan before and after the
network is in ``network.json``; software that loads the network does it itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxloom.errors import MissingExtra, VoxloomError
from voxloom.files import atomic_path, new_folder, refuse_existing, write_json
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.task import task_of
from voxloom.training.weights import load_weights

#: Largest difference of logits, as a share of the largest logit, at which a file counts as the same network.
TOLERANCE = 1e-3
#: Version of the ONNX operators that are written.
OPSET = 17
ENDINGS = {"onnx": ".onnx", "torchscript": ".pt"}
#: What ``network.json`` has of ``model.json``.
_KEPT = ("channels", "labels", "regions_order", "patch", "prepare", "slices", "statistics", "inference")


def write_networks(run: Run, out: Path, form: str) -> Path:
    """Write ``fold_K.onnx`` or ``fold_K.pt`` for every fold, and ``network.json``, into the new folder ``out``.

    A network takes float32 (B, C, I, J, K) of the size of the training's patch, or (B, C, I, J) in 2D, any B, and gives
    logits of that size.

    Parameters
    ----------
    form : "onnx" (operators of version 17) or "torchscript".

    Raises
    ------
    BadInput : the folder is there, or the task's networks take more than an image.
    MissingExtra : ONNX is not installed.
    VoxloomError : a file does not give what its network gives.
    """
    need(run, f"export --to {form}")
    refuse_existing(out)
    write, read = (_write_onnx, _read_onnx) if form == "onnx" else (_write_script, _read_script)
    networks = task_of(run).load(run.folds, device="cpu").modules
    about = [load_weights(fold.folder)[1] for fold in run.folds]
    with new_folder(out) as building:
        files = []
        for fold, network, said in zip(run.folds, networks, about, strict=True):
            path = building / f"{fold.folder.name}{ENDINGS[form]}"
            image = _example(said)
            with atomic_path(path) as temporary:
                write(network, image, temporary)
            difference = compare(network, read(path), image)
            files.append({"file": path.name, "statistics": said["statistics"], "difference": difference})
        write_json(building / "network.json", describe(run, about[0], files, form))
    return out


def _example(about: dict[str, Any]) -> Tensor:
    """A random batch of two, as the network sees it."""
    dims = about["network"]["dims"]
    size = (2, about["network"]["in_channels"], *about["patch"][:dims])
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


def compare(network: nn.Module, other: Callable[[Tensor], Tensor], image: Tensor) -> float:
    """Largest difference of both for one image of the batch and for two, as a share of the largest logit.

    Raises
    ------
    VoxloomError : it is larger than ``TOLERANCE``.
    """
    worst = 0.0
    with torch.no_grad():
        for seen in (image[:1], image):
            expected = network(seen).float()
            worst = max(worst, float((other(seen) - expected).abs().max() / expected.abs().max().clamp(min=1e-6)))
    if not worst <= TOLERANCE:
        raise VoxloomError(f"the exported network differs from the run's by {worst:.2g} of its largest logit")
    return worst


def _write_script(network: nn.Module, image: Tensor, path: Path) -> None:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes are followed, which is meant: the patch is of one size
        torch.jit.save(torch.jit.freeze(torch.jit.trace(network, (image,), check_trace=False)), str(path))


def _read_script(path: Path) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and still what other software loads
        loaded: Callable[[Tensor], Tensor] = torch.jit.load(str(path))
    return loaded


def _write_onnx(network: nn.Module, image: Tensor, path: Path) -> None:
    try:
        import onnx  # noqa: F401  PyTorch's exporter needs it, and says so late
    except ImportError as error:
        raise MissingExtra("onnx", "onnx") from error
    free = {"image": {0: "batch"}, "logits": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its newer exporter takes 40 times as long and writes the same operators
        torch.onnx.export(
            network,
            (image,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            dynamic_axes=free,
            input_names=["image"],
            output_names=["logits"],
        )


def _read_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "onnx") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda seen: torch.from_numpy(np.asarray(session.run(None, {"image": seen.numpy()})[0]))


def describe(run: Run, about: dict[str, Any], files: list[dict[str, Any]], form: str) -> dict[str, Any]:
    """``network.json``."""
    dims = about["network"]["dims"]
    size: list[Any] = ["batch", about["network"]["in_channels"], *about["patch"][:dims]]
    return {
        "format": 1,
        "form": form,
        "task": run.task,
        "input": {"name": "image", "type": "float32", "axes": ["batch", "channel", *"ijk"[:dims]], "shape": size},
        "output": {
            "name": "logits",
            "shape": ["batch", about["network"]["out_channels"], *size[2:]],
            "activation": "sigmoid" if about["regions_order"] is not None else "softmax",
        },
        "axes": "i, j, k after prepare.orientation; mm per voxel in prepare.spacing",
        **{key: about[key] for key in _KEPT},
        "largest_component": run.summary.get("largest_component", []),
        "files": files,
    }
