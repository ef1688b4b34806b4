"""Where the voxels of a case come from: a file, one channel of a file, one item of an .npz, a pile of masks, a DICOM series.

Knows how each is read into a Volume, and which files it touches. Sources are small picklable values; nothing is opened
before ``read``. Does not know what a case is.
"""

from __future__ import annotations

import math
import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np

from voxloom.dataset.focus import (
    Focus,
    box_of_mask,
    box_of_point,
    focused_on_mask,
    focused_on_point,
    grown,
    inside,
    moved,
)
from voxloom.dataset.names import is_clutter
from voxloom.errors import BadInput
from voxloom.formats.checks import check_bomb, check_room
from voxloom.formats.nifti_pair import pair_of
from voxloom.volume import Volume, spacing_of

if TYPE_CHECKING:
    from voxloom.formats import Header


@dataclass(frozen=True, slots=True)
class FileChannel:
    """One channel of a file that holds several (4D NIfTI of the Decathlon, RGB picture)."""

    path: str
    index: int

    def read(self) -> Volume:
        """The channel alone, (1, I, J, K)."""
        return self.pick(self.read_whole())

    def read_whole(self) -> Volume:
        """All channels of the file."""
        from voxloom.formats import read_channels

        return read_channels(self.path)

    def pick(self, whole: Volume) -> Volume:
        """This channel of the file's volume (BadInput when the file has fewer channels)."""
        if self.index >= whole.channels:
            raise BadInput(
                f"has {whole.channels} channels, channel {self.index} is needed",
                self.path,
                "Check the channels declared",
            )
        return whole.with_data(whole.data[self.index : self.index + 1])

    def header(self) -> Header:
        """Grid of the file."""
        return source_header(self.path)


@dataclass(frozen=True, slots=True)
class NpzItem:
    """Item ``index`` of the array ``array`` in a MedMNIST ``.npz``: (D, H, W), (H, W) or (H, W, 3) per item.

    ``channel`` picks one color of a color picture; None reads all.
    """

    path: str
    array: str
    index: int
    channel: int | None = None

    def read(self) -> Volume:
        """The item as a Volume: pictures (C, W, H, 1), volumes as stored; sizes are not recorded, so lengths count pixels."""
        data = _npz_member(self.path, self.array, os.getpid()).item(self.index)
        meta = {"source": f"{self.path}:{self.array}[{self.index}]", "unit": "pixel"}
        if data.ndim == 3 and data.shape[-1] != 3:
            return Volume(data[None], np.eye(4), meta)
        picture = data[..., None] if data.ndim == 2 else data
        if self.channel is not None:
            picture = picture[..., self.channel : self.channel + 1]
        return Volume(picture.transpose(2, 1, 0)[..., None], np.diag([-1.0, -1.0, 1.0, 1.0]), meta)

    def header(self) -> Header:
        """Grid of the item."""
        from voxloom.formats import Header

        v = self.read()
        return Header(v.shape, v.channels, v.affine, str(v.data.dtype), v.meta["source"], {"unit": v.unit})


@dataclass(frozen=True, slots=True)
class MaskStack:
    """One mask or probability map per label (BIDS ``mask``, ``probseg``): the value is n where the n-th exceeds 0.5."""

    paths: tuple[str, ...]

    def read(self) -> Volume:
        """The label map (1, I, J, K), uint8 or uint16. Raises BadInput where grids differ or two masks overlap."""
        first = read_source(self.paths[0])
        values = np.zeros(first.data[:1].shape, dtype=np.uint8 if len(self.paths) < 256 else np.uint16)
        for n, path in enumerate(self.paths, start=1):
            volume = first if n == 1 else read_source(path)
            if not volume.same_grid(first):
                raise BadInput(f"does not lie on the grid of {self.paths[0]}", path, "Resample the masks to one grid")
            inside = volume.data[:1] > 0.5
            if (values[inside] != 0).any():
                raise BadInput(
                    "overlaps another mask of the same case", path, "Give a dseg file or masks without overlap"
                )
            values[inside] = n
        return first.with_data(values)

    def header(self) -> Header:
        """Grid of the first map."""
        return source_header(self.paths[0])


@dataclass(frozen=True, slots=True)
class DicomSeries:
    """One series of a DICOM folder that holds several: that which any of ``wanted`` names (UID, number or description)."""

    path: str
    wanted: tuple[str, ...]

    def files(self) -> list[Path]:
        """The files of the series, sorted (BadInput when no series, or several, are named so)."""
        from voxloom.formats.dicom import choose_series

        return sorted(choose_series(self.path, self.wanted))

    def read(self) -> Volume:
        """The series, (1, I, J, K)."""
        from voxloom.formats import read_volume

        return read_volume(self.files())

    def header(self) -> Header:
        """Grid of the series."""
        from voxloom.formats import read_header

        return read_header(self.files())


@dataclass(frozen=True)
class RecodedLabel:
    """A label map some of whose values are others: ``table`` holds pairs (value in the file, value that is read)."""

    source: ImageSource
    table: tuple[tuple[int, int], ...]

    def read(self) -> Volume:
        """The label map (1, I, J, K), in a type that holds its values."""
        return self.read_on(None)

    def read_on(self, image: ImageSource | None) -> Volume:
        """The same, of a DICOM SEG or RTSTRUCT on the grid of an image."""
        volume = read_label_source(self.source, image)
        highest = max(int(volume.data.max(initial=0)), *(new for _, new in self.table))
        values = volume.data.astype(np.result_type(volume.data.dtype, np.min_scalar_type(highest)))
        for old, new in self.table:
            values[volume.data == old] = new
        return volume.with_data(values)

    def header(self) -> Header:
        """Grid of the file."""
        return source_header(self.source)


@dataclass(frozen=True)
class FocusedImage:
    """A box of an image: around the union of masks (of several raters), or around a point in RAS mm.

    Parameters
    ----------
    source : the whole image.
    masks : label maps on its grid; empty where there is a point.
    point : RAS mm.
    """

    source: ImageSource
    focus: Focus
    masks: tuple[ImageSource, ...] = ()
    point: tuple[float, float, float] | None = None

    def read(self) -> Volume:
        """The box, (C, i, j, k) (BadInput for an empty mask, or one on another grid)."""
        volume = read_source(self.source)
        if self.point is not None:
            return focused_on_point(volume, self.point, self.focus)
        mask, grid = _union(self.masks, self.focus)
        if not volume.same_grid(grid, tolerance_mm=0.1):
            what = "the mask to crop around does not lie on the image"
            raise BadInput(what, grid.meta.get("source"), "Export the mask on the grid of the image")
        return focused_on_mask(volume, mask, self.focus)

    def header(self) -> Header:
        """Grid of the box; the voxels of the image are not read."""
        from voxloom.formats import Header

        whole = source_header(self.source)
        spacing = spacing_of(whole.affine)
        if self.point is not None:
            box = box_of_point(self.point, whole.affine, spacing, self.focus)
        else:
            mask, _ = _union(self.masks, self.focus)
            box = box_of_mask(grown(mask, spacing, self.focus) if mask.any() else mask, spacing, self.focus)
        i, j, k = (stop - start for start, stop in box)
        return Header((i, j, k), whole.channels, moved(whole.affine, box), whole.dtype, whole.source, whole.meta)


@lru_cache(maxsize=4)
def _union(masks: tuple[ImageSource, ...], focus: Focus) -> tuple[np.ndarray[Any, Any], Volume]:
    """Where any of the masks holds what counts (I, J, K), and the first of them."""
    first = read_label_source(masks[0])
    whole = inside(first.data[0], focus.labels)
    for other in masks[1:]:
        volume = read_label_source(other)
        if not volume.same_grid(first, tolerance_mm=0.1):
            what = "does not lie on the grid of the other masks of the case"
            raise BadInput(what, volume.meta.get("source"), "Export all masks on the grid of the image")
        whole = whole | inside(volume.data[0], focus.labels)
    return whole, first


#: A path (file or DICOM folder), or one of the values above.
ImageSource: TypeAlias = str | FileChannel | NpzItem | MaskStack | DicomSeries | RecodedLabel | FocusedImage


def read_source(source: ImageSource) -> Volume:
    """Read any source (BadInput from the format when the file is broken)."""
    if isinstance(source, str):
        from voxloom.formats import read_volume

        return read_volume(source)
    return source.read()


def read_label_source(source: ImageSource, image: ImageSource | None = None) -> Volume:
    """Read a label map, integers of shape (1, I, J, K); a DICOM SEG or RTSTRUCT on the grid of the ``image`` that it belongs to."""
    if isinstance(source, str):
        from voxloom.formats import label_object, read_label

        return read_label(source, like=source_header(image) if image is not None and label_object(source) else None)
    return source.read_on(image) if isinstance(source, RecodedLabel) else source.read()


def source_header(source: ImageSource) -> Header:
    """Grid of a source without its voxels where the format allows it."""
    if isinstance(source, str):
        from voxloom.formats import read_header

        return read_header(source)
    return source.header()


def source_files(source: ImageSource) -> list[Path]:
    """The files behind a source; a DICOM folder gives its files, sorted."""
    if isinstance(source, MaskStack):
        return [Path(p) for p in source.paths]
    if isinstance(source, DicomSeries):
        return source.files()
    if isinstance(source, RecodedLabel):
        return source_files(source.source)
    if isinstance(source, FocusedImage):
        return [file for one in (source.source, *source.masks) for file in source_files(one)]
    path = Path(source if isinstance(source, str) else source.path)
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and not is_clutter(p.name))
    raw = _data_file(path)
    return [path] if raw is None else [path, raw]


def _data_file(path: Path) -> Path | None:
    """The separate file with the voxels of an .mhd, .nhdr or .hdr header, if it is there."""
    ending = path.suffix.lower()
    if ending in (".hdr", ".gz") and (pair := pair_of(path)):
        return pair[1] if pair[1].is_file() else None
    key, sign = {".mhd": ("elementdatafile", "="), ".nhdr": ("data file", ":")}.get(ending, ("", ""))
    if not key or not path.is_file():
        return None
    for line in path.read_text(errors="replace").splitlines():
        name, _, value = line.partition(sign)
        if name.strip().lower() in (key, key.replace(" ", "")) and os.path.isfile(path.parent / value.strip()):
            return path.parent / value.strip()
    return None


class _Member:
    """One array inside an .npz, read item by item: memory for one item, fast in ascending order."""

    def __init__(self, path: str, array: str) -> None:
        try:
            packed = zipfile.ZipFile(path)
            info = packed.getinfo(f"{array}.npy")
            self._file: IO[bytes] = packed.open(info)
            self.shape, self._dtype = _array_header(self._file)
        except Exception as e:  # a damaged zip or header lets the libraries raise nearly anything
            raise BadInput(f"array {array} cannot be read ({e})", path, "Download the file again") from e
        self._start, self._source = self._file.tell(), f"{path}:{array}"
        self._packed, self._bytes = info.compress_size, math.prod(self.shape[1:]) * self._dtype.itemsize
        check_room(self._bytes * (len(self) if self.shape else 1), info.file_size - self._start, self._source)
        check_bomb(self._bytes, self._packed, self._source)

    def item(self, index: int) -> np.ndarray[Any, Any]:
        """Item ``index`` along the first axis."""
        if not 0 <= index < len(self):
            raise BadInput(f"item {index} is not there", self._source, "Download the file again")
        return self._read(self._start + index * self._bytes, self._bytes).reshape(self.shape[1:])

    def all_items(self) -> np.ndarray[Any, Any]:
        """The whole array."""
        check_bomb(self._bytes * len(self), self._packed, self._source)
        return self._read(self._start, self._bytes * len(self)).reshape(self.shape)

    def _read(self, start: int, count: int) -> np.ndarray[Any, Any]:
        try:
            self._file.seek(start)
            content = self._file.read(count)
        except Exception as e:  # a damaged zip lets the library raise nearly anything
            raise BadInput(f"cannot be read ({e})", self._source, "Download the file again") from e
        if len(content) != count:
            raise BadInput(f"ends after {start + len(content):,} bytes", self._source, "Download the file again")
        return np.frombuffer(content, self._dtype)

    def __len__(self) -> int:
        return int(self.shape[0]) if self.shape else 0


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(file)
    if dtype.kind not in "biuf" or fortran:
        raise ValueError("only plain C-ordered numbers are read, no Python objects")
    if not all(n >= 0 for n in shape):
        raise ValueError(f"the shape is {shape}")
    return tuple(int(n) for n in shape), dtype


@lru_cache(maxsize=8)
def _npz_member(path: str, array: str, process: int) -> _Member:
    """An open array; one per process, because a file position cannot be shared."""
    return _Member(path, array)


def npz_array(path: str, array: str) -> np.ndarray[Any, Any]:
    """One whole (small) array of an .npz. Raises BadInput when it is damaged."""
    return _Member(path, array).all_items()


def npz_shapes(path: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all arrays of an .npz by name, from their headers alone."""
    try:
        names = [name for name in zipfile.ZipFile(path).namelist() if name.endswith(".npy")]
    except Exception as e:  # a damaged zip lets the library raise nearly anything
        raise BadInput(f"is not a readable .npz ({e})", path, "Download the file again") from e
    return {name[:-4]: tuple(_Member(path, name[:-4]).shape) for name in names}
