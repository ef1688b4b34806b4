"""A predicted label map as the clients of MONAI Label take it: its format, its type, and which labels it holds.

Labels keep the values that the run writes where a byte holds them, which OHIF's panel needs; otherwise they are counted from
1. Voxels stay in their order: i along a DICOM image's rows, j down its columns, k along their normal, which is the order of
OHIF's volumes; so OHIF, which reads no geometry, lays the mask on the right place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.files import atomic_path
from voxloom.formats import read_label, write_volume
from voxloom.serve.run_info import RunLabel
from voxloom.volume import Volume

_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
_TYPES = ("uint8", "uint16", "int16", "int32", "float32")


@dataclass(frozen=True)
class MaskWish:
    """How a client wants a label map.

    Parameters
    ----------
    ending : of the file.
    dtype : of its voxels.
    compress : whether NRRD is compressed; the other formats are as their ending says.
    """

    ending: str = ".nii.gz"
    dtype: str = "uint8"
    compress: bool = True

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> MaskWish:
        """What the form field ``params`` says of it (``result_extension``, ``result_dtype``, ``result_compress``).

        Raises
        ------
        BadInput : it asks for a format or type that there is not.
        """
        ending, dtype = str(params.get("result_extension") or cls.ending), str(params.get("result_dtype") or cls.dtype)
        if ending not in _ENDINGS:
            raise BadInput(f"there is no result in {ending!r}", "result_extension", f"Ask for {', '.join(_ENDINGS)}")
        if dtype not in _TYPES:
            raise BadInput(f"there is no result of type {dtype!r}", "result_dtype", f"Ask for {', '.join(_TYPES)}")
        return cls(ending, dtype, bool(params.get("result_compress", True)))


def indices_of(labels: Sequence[RunLabel]) -> dict[str, int]:
    """Index of each label, by name, in the order of the index: what ``/info/`` says and masks hold."""
    if all(0 < label.value <= 255 for label in labels):
        return {label.name: label.value for label in sorted(labels, key=lambda label: label.value)}
    return {label.name: n for n, label in enumerate(labels, start=1)}


def write_mask(prediction: Path, labels: Sequence[RunLabel], wish: MaskWish, out: Path) -> dict[str, int]:
    """Write a predicted label map as a client wants it; returns the labels that it holds, name -> index, ascending.

    Only these are named: 3D Slicer gives the first name to the smallest value that there is.

    Parameters
    ----------
    prediction : file with the values of ``labels`` and 0.
    out : file with the ending of ``wish``.
    """
    volume, indices = read_label(prediction), indices_of(labels)
    pairs = {label.value: indices[label.name] for label in labels}
    data = renumbered(volume.data, pairs, wish.dtype)
    _write(Volume(data, volume.affine), out, wish)
    present = set(np.unique(data).tolist())
    return {name: index for name, index in indices.items() if index in present}


def renumbered(data: NDArray[Any], pairs: Mapping[int, int], dtype: str) -> NDArray[Any]:
    """Voxels of any shape with other values: ``pairs`` old -> new; 0 stays 0.

    Raises
    ------
    BadInput : a value that ``pairs`` does not have.
    """
    found = np.unique(data)
    if unknown := sorted(set(found.tolist()) - {0, *pairs}):
        raise BadInput(f"holds the values {', '.join(map(str, unknown[:8]))}, which no label has", "label", None)
    new = np.array([pairs.get(int(value), 0) for value in found], dtype=dtype)
    return new[np.searchsorted(found, data)]


def _write(volume: Volume, out: Path, wish: MaskWish) -> None:
    if wish.ending != ".nrrd" or wish.compress:
        write_volume(volume, out)
        return
    import SimpleITK as sitk

    from voxloom.formats.itk import to_image

    with atomic_path(out) as temporary:
        sitk.WriteImage(to_image(volume), str(temporary), False)
