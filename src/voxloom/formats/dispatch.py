"""Which reader and writer a source needs, by its ending or because it is a folder.

Knows the endings. Does not know the inside of any format; each reader's library is imported when its format is met.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from voxloom.errors import BadInput
from voxloom.formats.checks import as_integers, check_file
from voxloom.formats.header import Header
from voxloom.formats.label_like import check_label_like
from voxloom.formats.placed import Grid, placed
from voxloom.notes import tell
from voxloom.volume import Volume

#: A file, a folder with one DICOM series, or the DICOM files of one series.
Source: TypeAlias = str | Path | Sequence[str | Path]

_FORMATS = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".png": "picture",
    ".tif": "picture",
    ".tiff": "picture",
    ".hdr.gz": "nifti",
    ".hdr": "nifti",
    ".mgz": "freesurfer",
    ".mgh": "freesurfer",
    ".jpeg": "picture",
    ".jpg": "picture",
    ".img.gz": "nifti",
    ".img": "nifti",
    ".dcm": "dicom",
}
#: Endings of the second file of a pair: read when named, but not a scan of its own in a folder.
_SECOND = (".img.gz", ".img")
#: Endings that ``write_volume`` knows, longest first.
ENDINGS: tuple[str, ...] = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".png", ".tif", ".tiff")
#: Endings of images that a data set or a folder of scans may hold, longest first.
IMAGE_ENDINGS: tuple[str, ...] = tuple(e for e, name in _FORMATS.items() if name != "dicom" and e not in _SECOND)
#: Endings of 2D pictures.
PICTURE_ENDINGS: tuple[str, ...] = tuple(e for e, name in _FORMATS.items() if name == "picture")
#: Endings of pictures that compression changes: images, never label maps.
LOSSY = (".jpg", ".jpeg")


def format_of(path: str | Path) -> str:
    """``"nifti"``, ``"metaimage"``, ``"nrrd"``, ``"freesurfer"``, ``"picture"`` or ``"dicom"``.

    The ending decides. A folder and a file whose content begins like DICOM are ``"dicom"``. Raises BadInput for others.
    """
    path = Path(path)
    name = path.name.lower()
    for ending, format_name in _FORMATS.items():
        if name.endswith(ending):
            return format_name
    if path.is_dir() or _is_dicom(path):
        return "dicom"
    check_file(path)
    known = ", ".join(IMAGE_ENDINGS)
    raise BadInput(f"the ending is none of {known}", path, "Give such a file or a folder of DICOM files")


def ending_of(path: Path) -> str | None:
    """The known image ending of a file name, the longest that fits (``.nii.gz`` before ``.gz``), or None."""
    return max((e for e in IMAGE_ENDINGS if path.name.lower().endswith(e)), key=len, default=None)


def result_ending(ending: str) -> str:
    """The ending for a label map of an image with this one: its own, or of a format that holds labels and can be written."""
    known = ending.lower()
    if known in ENDINGS:
        return ending
    return ".png" if known in LOSSY else ".nii.gz"


def read_volume(source: Source, *, resample_tilt: bool = False, series: str | None = None) -> Volume:
    """Read one volume, (C, I, J, K), from a file, a folder with one DICOM series, or a list of its files.

    Voxels keep their stored type where the file's intensity scale allows it. With ``resample_tilt`` a DICOM series that
    was taken with a tilted gantry, or with unequal gaps, is resampled linearly; other sources are not changed by it.
    ``series`` names the wanted one of several DICOM series of a folder, by its UID, number or description.

    Raises
    ------
    BadInput : the source is missing, damaged or not one 3D volume; the line says what is wrong and what to do.
    """
    path = _single(source)
    with _there(source):
        if path is None or format_of(path) == "dicom":
            from voxloom.formats import dicom

            return _noted(dicom.read(source if path is None else path, resample_tilt=resample_tilt, series=series))
        _no_series(path, series)
        return _noted(_reader(path).read(path))


def read_channels(path: str | Path) -> Volume:
    """Read a file whose fourth axis holds channels (4D NIfTI of the Decathlon), a color picture with all its channels even where
    they are equal, any other file as ``read_volume`` does."""
    path = Path(path)
    with _there(path):
        if format_of(path) == "nifti":
            from voxloom.formats import nifti

            return _noted(nifti.read_channels(path))
        if format_of(path) == "picture":
            from voxloom.formats import picture

            return _noted(picture.read_colors(path))
    return read_volume(path)


def _noted(volume: Volume) -> Volume:
    """Tell what the reader could not be sure of: every reading passes here."""
    if note := volume.meta.get("geometry_note"):
        tell(volume.meta.get("source"), str(note))
    return volume


def read_header(source: Source, *, series: str | None = None) -> Header:
    """Grid, channels and type without decoding voxels. Raises BadInput as ``read_volume``, but for faults of voxels."""
    path = _single(source)
    with _there(source):
        if path is None or format_of(path) == "dicom":
            from voxloom.formats import dicom

            return dicom.read_header(source if path is None else path, series=series)
        _no_series(path, series)
        return _reader(path).read_header(path)  # type: ignore[no-any-return]


def read_label(source: Source, *, like: Grid | None = None) -> Volume:
    """Read a label map, integers of shape (1, I, J, K); also a DICOM SEG, or the regions of an RTSTRUCT.

    Parameters
    ----------
    like : image (or its header) that the map belongs to. SEG and RTSTRUCT are put onto its grid; without it a SEG goes from its
        first slice to its last, and an RTSTRUCT needs its series beside it.

    Raises BadInput as ``read_volume``, and for several channels, values that are not whole numbers, an image or an interpolated
    mask, JPEG, and segments or regions that overlap.
    """
    if (found := _label_object(source)) is not None:
        volume = _noted(_read_object(*found, like))
        return volume if like is None else placed(volume, like.shape, like.affine)
    volume = _integers(source)
    check_label_like(volume.data, volume.meta.get("source", str(source)))
    return volume


def label_object(path: str | Path) -> str | None:
    """``"seg"`` or ``"rtstruct"`` for a DICOM file (or a folder that holds that one) with a label map in it; None for all else."""
    found = _label_object(path)
    return None if found is None else found[0]


def _label_object(source: Source) -> tuple[str, Path] | None:
    path = _single(source)
    if path is None or not path.exists() or not _may_be_object(path):
        return None
    from voxloom.formats.dicom.results.objects import find_object

    return find_object(path)


def _may_be_object(path: Path) -> bool:
    return path.is_dir() or path.name.lower().endswith(".dcm") or (ending_of(path) is None and _is_dicom(path))


def _read_object(kind: str, path: Path, like: Grid | None) -> Volume:
    with _there(path):
        if kind == "seg":
            from voxloom.formats.dicom.results.read_seg import read_seg

            return read_seg(path)
        from voxloom.formats.dicom.results.read_rtstruct import read_rtstruct

        return read_rtstruct(path, like)


def read_marks(source: Source) -> Volume:
    """Read a map of points, integers of shape (1, I, J, K): as ``read_label``, but values need not fill areas."""
    return _integers(source)


def _integers(source: Source) -> Volume:
    path = _single(source)
    if path is not None and path.name.lower().endswith(LOSSY):
        fix = "Save label maps as PNG, from the program that drew them"
        raise BadInput("is a JPEG, which changes label values at every edge", path, fix)
    with _there(source):
        if path is not None and format_of(path) == "picture":
            from voxloom.formats import picture

            volume = _noted(picture.read_indices(path))
        else:
            volume = read_volume(source)
    where = volume.meta.get("source", str(source))
    if volume.channels != 1:
        raise BadInput(f"has {volume.channels} channels, a label map has one", where, "Save it as one integer channel")
    return volume.with_data(as_integers(volume.data, where))


def write_volume(volume: Volume, path: str | Path) -> Path:
    """Write a volume by the ending of ``path`` (one of ``ENDINGS``), whole or not at all; returns the path.

    PNG and TIFF hold one slice (K = 1) and no geometry. Raises BadInput when the format cannot hold the volume.
    """
    path = Path(path)
    if not path.name.lower().endswith(ENDINGS):
        raise BadInput(f"the ending is none of {', '.join(ENDINGS)}", path, "Choose one of them")
    _reader(path).write(volume, path)
    return path


def write_dicom_series(volume: Volume, folder: str | Path, *, template: Mapping[str, Any] | None = None) -> list[Path]:
    """Write a volume as a DICOM series of MR or CT slices; returns the files in slice order.

    See :func:`voxloom.formats.dicom.write_series` for ``template`` and what is refused.
    """
    from voxloom.formats import dicom

    return dicom.write_series(volume, Path(folder), template=template)


@contextlib.contextmanager
def _there(source: Source) -> Iterator[None]:
    """Refuse a file that vanishes, or turns out unreadable, while it is read (BadInput)."""
    try:
        yield
    except OSError as error:
        where = error.filename or (source if isinstance(source, (str, Path)) else source[0])
        fix = "Was it moved, removed, or on a drive that is gone?"
        raise BadInput(f"cannot be read ({error.strerror or error})", where, fix) from error


def _no_series(path: Path, series: str | None) -> None:
    if series is not None:
        raise BadInput(f"holds no DICOM series {series!r}, it is one image", path, "Leave the series out")


def _single(source: Source) -> Path | None:
    """The path of a source that is one path, None for a list of files."""
    if isinstance(source, (str, Path)):
        return Path(source)
    return Path(source[0]) if len(source) == 1 else None


def _reader(path: Path) -> Any:
    """The module that reads and writes the format of ``path``."""
    from importlib import import_module

    return import_module(f"voxloom.formats.{_MODULES[format_of(path)]}")


_MODULES = {
    "nifti": "nifti", "metaimage": "itk", "nrrd": "itk", "freesurfer": "freesurfer", "picture": "picture",
}  # fmt: skip


def _is_dicom(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as f:
        return f.read(132)[128:] == b"DICM"
