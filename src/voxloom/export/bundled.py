"""What a MONAI bundle runs where MONAI's transforms cannot say what a run does: the run itself, as a reader and a network.

Knows MONAI's conventions (dictionaries of tensors with an affine in RAS mm). The bundle's ``inference.json`` names these classes,
so their names and arguments are part of the files that were written. Everything between scan and label map is Voxloom's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from voxloom.dataset import Labels
from voxloom.errors import BadInput
from voxloom.formats import read_label
from voxloom.run.find_scans import find_scans
from voxloom.run.run import Run
from voxloom.run.scans import Scan, read_scan
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.volume import Volume


class BundledRun(nn.Module):
    """The networks of a run with all that is done before and after them.

    Parameters
    ----------
    folder : ``models/run`` of the bundle.
    device : where the networks live.
    """

    def __init__(self, folder: str, device: str = "cpu") -> None:
        super().__init__()
        self.predictor = Predictor.of(Run(folder), device=torch.device(device).type)
        self.networks = nn.ModuleList(member.network for member in self.predictor.members)

    def forward(self, image: Tensor) -> Tensor:
        """Label maps (B, 1, I, J, K) in the data set's own values of scans (B, C, I, J, K), on the scans' grids."""
        found = torch.zeros_like(image[:, :1])
        for scan, labels in zip(image, found, strict=True):
            affine = torch.as_tensor(scan.affine if isinstance(scan, MetaTensor) else torch.eye(4)).cpu().numpy()
            volume = Volume(np.asarray(scan.cpu().numpy()), affine.reshape(-1, 4, 4)[0].astype(np.float64))
            labels[...] = torch.from_numpy(self.predictor.predict(volume).data.astype(np.float32))
        return found


def scans_in(folder: str, run: str) -> list[dict[str, Any]]:
    """The scans of a folder as MONAI's items: files or DICOM folders under ``image``, and how they are read (``Scan``)."""
    predictor = Predictor.of(Run(run), device="cpu")
    items = []
    for scan in find_scans([folder], len(predictor.channels), predictor.may_lack):
        items.append({"image": [str(path) for path in scan.source], "missing": list(scan.missing), "whole": scan.whole})
    return items


def labelled_scans_in(folder: str, labels: str, run: str) -> list[dict[str, Any]]:
    """``scans_in``, each with the label map of its name in the folder ``labels``."""
    items = []
    for item in scans_in(folder, run):
        first = Path(item["image"][0])
        names = {first.name, first.name.replace("_0000.", ".", 1)}
        found = [path for name in names if (path := Path(labels) / name).is_file()]
        if not found:
            raise BadInput("no label map of this scan", first, f"Put {min(names, key=len)} into {labels}")
        items.append({**item, "label_file": str(found[0])})
    return items


class ReadScan:
    """Reads the scan of an item as Voxloom does: every format, DICOM series, one file per channel."""

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The item with ``image`` as a tensor float32 (C, I, J, K); a missing channel holds NaN."""
        files = tuple(map(Path, item["image"]))
        volume = read_scan(Scan(files[0].name, files, ".nii.gz", tuple(item["missing"]), item["whole"]))
        # The shape tells MONAI's writer that the scan is 3D: 1.6 else refuses one whose first axis is not left-right.
        shape = np.asarray(volume.data.shape[1:])
        meta = {
            "filename_or_obj": str(files[0]),
            "original_affine": volume.affine,
            "spatial_shape": shape,
            "space": "RAS",
        }
        image = MetaTensor(
            torch.from_numpy(volume.data.astype(np.float32)), affine=torch.tensor(volume.affine), meta=meta
        )
        return {"image": image, **{key: item[key] for key in ("label_file",) if key in item}}


class ReadTruth:
    """Reads ``label_file`` into ``label``, and makes of it and of ``pred`` one channel per label, 0 and 1.

    Parameters
    ----------
    labels, regions_order : of the run, as in its ``model.json``. Voxels that nobody annotated are 0 in both.
    """

    def __init__(self, labels: Mapping[str, Any], regions_order: Sequence[int] | None = None) -> None:
        self.labels = Labels.from_nnunet(labels, regions_order)

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The item with ``pred`` and ``label`` (L, I, J, K)."""
        truth, found = (
            read_label(item["label_file"]).data[0],
            np.asarray(item["pred"].cpu().numpy())[0].round().astype(np.int64),
        )
        if truth.shape != found.shape:
            raise BadInput(f"has {truth.shape} voxels, its scan has {found.shape}", item["label_file"])
        valid = self.labels.valid(truth)
        maps = {"label": self._channels(truth, valid), "pred": self._channels(found, valid)}
        return {**item, **maps}

    def _channels(self, outer: np.ndarray, valid: np.ndarray | None) -> Tensor:
        masks = [mask if valid is None else mask & valid for _, mask in self.labels.masks(outer)]
        return torch.from_numpy(np.stack(masks).astype(np.float32))
