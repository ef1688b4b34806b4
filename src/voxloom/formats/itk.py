"""MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr): read without ITK, whose readers crash on damaged headers, written by SimpleITK.

Knows the way between ITK's LPS and our RAS. The headers are in ``metaimage`` and ``nrrd``.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.errors import VoxloomError
from voxloom.files import atomic_path
from voxloom.formats import metaimage, nrrd
from voxloom.formats.checks import check_file, check_finite
from voxloom.formats.header import Header
from voxloom.formats.planes import planes_of
from voxloom.formats.textheader import TextHeader
from voxloom.volume import Volume

#: Turns LPS coordinates into RAS and back.
LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path: Path) -> Volume:
    """Read a volume, (C, I, J, K); vector pixels are channels.

    Raises BadInput for 4D files, files shorter than their header says, NaN or infinite values and singular directions.
    """
    header = _header(path)
    data = header.voxels()
    check_finite(data, path)
    return Volume(data, header.affine, {"source": str(path), **header.meta})


def read_header(path: Path) -> Header:
    """Grid, channels and type without the voxels. Raises BadInput for a damaged header, 4D and too short files."""
    header = _header(path)
    name = header.dtype.newbyteorder("=").name
    return Header(header.shape, header.channels, header.affine, name, str(path), header.meta)


def _header(path: Path) -> TextHeader:
    """The header by content: an NRRD may carry any ending."""
    check_file(path)
    with path.open("rb") as f:
        is_nrrd = f.read(4) == b"NRRD" or path.suffix.lower() in (".nrrd", ".nhdr")
    return nrrd.read_header(path) if is_nrrd else metaimage.read_header(path)


def write(volume: Volume, path: Path) -> None:
    """Write by ending, compressed; channels become vector pixels, bool uint8 and float16 float32."""
    import SimpleITK as sitk

    image = to_image(volume)
    if path.suffix.lower() not in (".mhd", ".nhdr"):
        with atomic_path(path) as temporary, _told(path):
            sitk.WriteImage(image, str(temporary), True, 1)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part", dir=path.parent) as folder:
        with _told(path):
            sitk.WriteImage(image, str(Path(folder) / path.name), True, 1)
        for part in sorted(Path(folder).iterdir(), key=lambda p: p.name == path.name):
            part.replace(path.parent / part.name)


def to_image(volume: Volume) -> Any:
    """The volume as a SimpleITK image (LPS), with vector pixels for several channels."""
    import SimpleITK as sitk

    data = volume.data
    if data.dtype.kind == "b" or data.dtype == np.float16:
        data = data.astype(np.uint8 if data.dtype.kind == "b" else np.float32)
    vector = volume.channels > 1
    array = np.ascontiguousarray(data.transpose(3, 2, 1, 0)) if vector else planes_of(data[0])
    image = sitk.GetImageFromArray(array, isVector=vector)
    lps = LPS_RAS @ volume.affine
    image.SetSpacing(volume.spacing)
    image.SetDirection((lps[:3, :3] / volume.spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """ITK's lines on a file that it cannot write, as one."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise VoxloomError(f"{path}: cannot be written ({reason}). Is the disk full, or the folder closed?") from error
