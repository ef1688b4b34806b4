"""Scans and label maps as NIfTI files that a browser reads: the same voxels, the same grid, nothing of the source's header.

Written once into the state folder, and again where a source has changed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Callable
from pathlib import Path

from voxloom.dataset import Case
from voxloom.dataset.sources import read_source
from voxloom.dataset.spacing import measured
from voxloom.errors import BadInput
from voxloom.files import atomic_path
from voxloom.formats import Header, write_volume
from voxloom.volume import Volume

_THUMB = 256


class Images:
    """NIfTI copies of the sources of cases, below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._at_work: dict[Path, threading.Lock] = {}
        self._headers: dict[tuple[str, str], Header] = {}
        self._modalities: dict[tuple[str, str], str] = {}

    def channel(self, case: Case, number: int) -> Path:
        """A channel of a case (BadInput where it has none of that number, or it cannot be read)."""
        names = case.channel_numbers
        if number not in names:
            raise BadInput(f"there is no channel {number}", case.id, f"There are {', '.join(map(str, names))}")
        source = list(case.images.values())[list(names).index(number)]
        return self._kept(f"{case.id}_{number:04d}", case, lambda: measured(read_source(source), case.pixel_spacing))

    def truth(self, case: Case) -> Path:
        """The true label map on the image's grid (BadInput where there is none)."""

        def read() -> Volume:
            label = case.read_label()
            if label is None:
                raise BadInput("there is no true label map", case.id, None)
            return label

        return self._kept(f"{case.id}_truth", case, read)

    def header(self, case: Case) -> Header:
        """Grid of the first channel, remembered."""
        key = (case.id, signature(case))
        if key not in self._headers:
            self._headers[key] = case.header()
        return self._headers[key]

    def modality(self, case: Case) -> str:
        """Modality as DICOM names it ("CT", "MR"), remembered; "" where the source is none."""
        key = (case.id, signature(case))
        if key not in self._modalities:
            first = next(iter(case.image_files), None)
            self._modalities[key] = "" if first is None else dicom_modality(first)
        return self._modalities[key]

    def thumbnail(self, case: Case) -> Path:
        """A PNG of one slice: through most of the truth, or the middle one."""
        return self._once(self.folder / f"{case.id}.{signature(case)}.png", lambda path: write_thumbnail(case, path))

    def _kept(self, name: str, case: Case, read: Callable[[], Volume]) -> Path:
        def write(path: Path) -> None:
            volume = read()
            write_volume(Volume(volume.data, volume.affine), path)

        return self._once(self.folder / f"{name}.{signature(case)}.nii.gz", write)

    def _once(self, path: Path, write: Callable[[Path], None]) -> Path:
        """The file, written by the first who asks; others wait."""
        with self._lock:
            turn = self._at_work.setdefault(path, threading.Lock())
        with turn:
            if not path.is_file():
                write(path)
        with self._lock:
            self._at_work.pop(path, None)
        return path


def signature(case: Case) -> str:
    """What changes when a file of a case does: a hash over name, size and time of its files."""
    digest = hashlib.sha256()
    for path in case.source_files:
        try:
            stat = path.stat()
            digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        except OSError:
            digest.update(f"{path}\0gone\0".encode())
    return digest.hexdigest()[:10]


def dicom_modality(path: Path) -> str:
    """The modality that a DICOM file tells; "" for any other file."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        return str(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"]).get("Modality", ""))
    except (InvalidDicomError, OSError):
        return ""


def write_thumbnail(case: Case, path: Path) -> None:
    """One slice as every report draws it, with pixels as wide as high."""
    from PIL import Image

    from voxloom.report.case_picture import draw_case

    drawn = draw_case((case, None, tuple(case.images)))
    picture = Image.open(io.BytesIO(base64.b64decode(drawn.images[0])))
    width, height = picture.width, picture.width * drawn.aspect
    factor = _THUMB / max(width, height)
    shown = picture.resize((max(1, round(width * factor)), max(1, round(height * factor))))
    with atomic_path(path) as temporary:
        shown.save(temporary, format="PNG", optimize=True)
