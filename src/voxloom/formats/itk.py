"""MetaImage (.mha, .mhd) and NRRD (.nrrd), read and written by SimpleITK.

Knows the way between ITK's LPS and our RAS, and checks that a file holds the voxels that its header promises, because
the library fills up what is missing. Does not know detached files in several pieces.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.files import atomic_path
from voxloom.formats.checks import check_file, check_finite, check_room, check_shape, format_shape
from voxloom.formats.gunzip import inflated_size
from voxloom.formats.header import Header
from voxloom.formats.textheader import Payload, payload
from voxloom.volume import Volume, check_affine

#: Turns LPS coordinates into RAS and back.
LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path: Path) -> Volume:
    """Read a volume, (C, I, J, K); vector pixels are channels.

    Raises BadInput for 4D files, files shorter than their header says, NaN or infinite values and singular directions.
    """
    import SimpleITK as sitk

    read_header(path)
    _check_voxels(payload(path))
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise _refusal(error, path) from None
    array = sitk.GetArrayFromImage(image)
    array = array[None] if image.GetDimension() == 2 else array[(0,) * (image.GetDimension() - 3)]
    data = array.transpose(3, 2, 1, 0) if array.ndim == 4 else array.transpose(2, 1, 0)[None]
    if data.dtype.kind == "c":
        raise BadInput("holds complex voxels", path, "Save magnitude or real values")
    check_finite(data, path)
    affine = _affine(image.GetDirection(), image.GetSpacing(), image.GetOrigin())
    return Volume(data, affine, {"source": str(path)})


def read_header(path: Path) -> Header:
    """Grid, channels and type without the voxels. Raises BadInput for a damaged header, 4D and too short files."""
    import SimpleITK as sitk

    check_file(path)
    content = payload(path)
    check_shape(content.sizes, path)
    check_room(content.needed, content.available, content.path, compressed=content.encoding != "raw")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _refusal(error, path) from None
    size = reader.GetSize()
    if any(n > 1 for n in size[3:]):
        raise BadInput(f"is {len(size)}D ({format_shape(size)}), 3D is needed", path, "Split it into 3D files")
    affine = _affine(reader.GetDirection(), reader.GetSpacing(), reader.GetOrigin())
    check_affine(affine, path)
    i, j, k = (*size[:3], 1, 1)[:3]
    return Header((i, j, k), reader.GetNumberOfComponents(), affine, _dtype(reader.GetPixelID()), str(path))


def write(volume: Volume, path: Path) -> None:
    """Write by ending, compressed; channels become vector pixels, bool uint8 and float16 float32."""
    import SimpleITK as sitk

    image = to_image(volume)
    if path.suffix.lower() != ".mhd":
        with atomic_path(path) as temporary:
            sitk.WriteImage(image, str(temporary), True, 1)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part", dir=path.parent) as folder:
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
    array = data.transpose(3, 2, 1, 0) if vector else data[0].transpose(2, 1, 0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=vector)
    lps = LPS_RAS @ volume.affine
    image.SetSpacing(volume.spacing)
    image.SetDirection((lps[:3, :3] / volume.spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def _check_voxels(content: Payload) -> None:
    """Refuse damaged or cut compressed voxels (BadInput): the library gives noise for them without an error."""
    if content.encoding == "zlib":
        found = inflated_size(content.path, content.offset)
        check_room(content.needed, found, content.path)


def _affine(direction: Any, spacing: Any, origin: Any) -> NDArray[np.float64]:
    """RAS affine of ITK's direction, spacing and origin; 2D lies at z = 0 with 1 mm, further axes are left out."""
    count = len(spacing)
    lps, n = np.eye(4), min(count, 3)
    lps[:n, :n] = (np.array(direction).reshape(count, count) * np.array(spacing))[:n, :n]
    lps[:n, 3] = origin[:n]
    return LPS_RAS @ lps


def _dtype(pixel: int) -> str:
    import SimpleITK as sitk

    name = sitk.GetPixelIDValueAsString(pixel).removeprefix("vector of ")
    bits = name.split("-")[0].split(" ")[-1]
    if name.endswith("float"):
        return f"float{bits}"
    return f"{'uint' if 'unsigned' in name else 'int'}{bits}"


def _refusal(error: RuntimeError, path: Path) -> BadInput:
    reason = str(error).strip().splitlines()[-1]
    if "determinant" in str(error):
        return BadInput("the affine cannot be inverted (two voxel axes are parallel)", path, "Repair the file's header")
    return BadInput(f"cannot be read ({reason})", path, "The file is damaged; copy it again")
