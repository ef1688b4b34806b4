"""What lies in a folder of images: image files, folders of DICOM slices, and what is neither, so that nothing is lost unsaid.

Knows endings, clutter and dead links. Opens the first bytes of files in subfolders, to tell DICOM; reads no image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxloom.dataset.names import composed, is_clutter, split_ending
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.formats.dicom.files import looks_like_dicom
from voxloom.formats.dicom.results.objects import objects_in

PICTURE_ENDINGS = (".png", ".tiff", ".tif", ".jpg", ".jpeg")
#: Data of a header file of the same name.
_DATA_OF = {".raw": (".mhd", ".nhdr"), ".zraw": (".mhd",), ".img": (".hdr",)}


@dataclass(frozen=True)
class Listing:
    """Names in a folder, sorted, without clutter.

    Parameters
    ----------
    folder : that was listed.
    images : image files.
    series : subfolders with DICOM files.
    closed : subfolders without DICOM that hold image files somewhere; they are not entered.
    others : files that are not images by their ending: loose DICOM slices, tables, notes.
    """

    folder: Path
    images: tuple[str, ...]
    series: tuple[str, ...]
    closed: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def pictures_beside(self) -> tuple[str, ...]:
        """Pictures that lie beside volumes or DICOM slices: previews, no scans."""
        pictures = tuple(name for name in self.images if is_picture(name))
        return pictures if len(pictures) < len(self.images) or self.series else ()

    def with_others(self, others: tuple[str, ...]) -> Listing:
        """The listing with other ``others``."""
        return replace(self, others=others)

    @property
    def loose_dicom(self) -> tuple[str, ...]:
        """The DICOM slices that lie in the folder itself (the first bytes of its other files are read)."""
        files = (n for n in self.others if n.upper() != "DICOMDIR")
        return tuple(n for n in files if looks_like_dicom(self.folder / n))


def is_picture(name: str) -> bool:
    """Whether a file name is that of a 2D picture."""
    return name.lower().endswith(PICTURE_ENDINGS)


def list_folder(folder: Path) -> Listing:
    """What lies in a folder. Raises BadInput for an image that is a dead link, and a folder that cannot be listed."""
    images: list[str] = []
    others: list[str] = []
    inside: dict[str, list[str]] = {"dicom": [], "images": [], "": []}
    for entry in _entries(folder):
        path = folder / entry.name
        if entry.is_dir():
            inside[_inside(path)].append(entry.name)
        elif not split_ending(entry.name)[1]:
            others += [entry.name] if entry.is_file() else []
        elif entry.is_file():
            images.append(entry.name)
        else:
            refuse_dead_link(path)
    headers = {name.lower() for name in others}
    others = [name for name in others if not _is_data(name, headers | {n.lower() for n in images})]
    return Listing(folder, tuple(images), tuple(inside["dicom"]), tuple(inside["images"]), tuple(others))


def refuse_dead_link(path: Path) -> None:
    """Refuse a link to what is not there (BadInput)."""
    if path.is_symlink() and not path.exists():
        what = f"is a link to {os.readlink(path)}, which is not there"
        raise BadInput(what, path, "Bring the file back, or remove the link")


def images_by_stem(folder: Path, ending: str | None = None) -> tuple[dict[str, str], list[str]]:
    """Paths of image files and DICOM folders by name without ending (NFC), sorted; and notes on what was not taken.

    Parameters
    ----------
    ending : that the data set declares; it chooses between two files of one name, and others are taken with a note.

    A missing folder is empty. Raises BadInput for a dead link, or two files of one name of which none is declared.
    """
    return _by_stem(list_folder(folder), ending) if folder.is_dir() else ({}, [])


def labels_by_stem(folder: Path) -> tuple[dict[str, str], list[str]]:
    """The same of a folder of label maps, where DICOM SEG and RTSTRUCT files (``CASE.seg.dcm``, ``CASE.dcm``) are maps too.

    Of an image file and a DICOM object of one name the image file is taken.
    """
    if not folder.is_dir():
        return {}, []
    listing = list_folder(folder)
    found, _ = _by_stem(listing, None)
    objects = {composed(stem): str(path) for stem, path in objects_in(folder, found).items()}
    others = tuple(name for name in listing.others if str(folder / name) not in objects.values())
    _, notes = _by_stem(listing.with_others(others), None)
    return dict(sorted({**objects, **found}.items())), notes


def _by_stem(listing: Listing, ending: str | None) -> tuple[dict[str, str], list[str]]:
    """See ``images_by_stem``."""
    folder = listing.folder
    left = set(listing.pictures_beside)
    found: dict[str, str] = {}
    for name in sorted({*listing.images, *listing.series} - left):
        stem = composed(name if name in listing.series else split_ending(name)[0])
        if (other := found.get(stem)) is not None:
            kept = [n for n in (other, name) if ending is not None and _ends(n, ending)]
            if len(kept) != 1:
                raise BadInput(f"two images for {stem}: {other} and {name}", folder, "Keep one of them")
            left.add(name if kept[0] == other else other)
            name = kept[0]
        found[stem] = name
    unlike = [n for n in found.values() if ending is not None and n in listing.images and not _ends(n, ending)]
    notes = [f"{folder.name}: taken, though another ending than {ending} is declared: {name_some(unlike)}"] * bool(
        unlike
    )
    notes += left_out_notes(folder.name, sorted(left), listing)
    return {stem: str(folder / name) for stem, name in sorted(found.items())}, notes


def left_out_notes(where: str, left: Sequence[str], listing: Listing) -> list[str]:
    """A sentence on each kind of thing in a folder that was left out."""
    kinds = (
        ("left out, beside other images", left),
        ("subfolders that were not entered, as they hold images but no DICOM series", listing.closed),
        ("left out, not images by their ending", listing.others),
    )
    return [f"{where}: {what}: {name_some(names)}" for what, names in kinds if names]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not is_clutter(e.name)), key=lambda e: e.name)
    except OSError as error:
        raise BadInput(f"cannot be listed ({error.strerror})", folder, "Check the path and its permissions") from error


def _inside(folder: Path) -> str:
    """What a subfolder holds, at any depth: "dicom", "images" or ""."""
    found = ""
    for path in _walk(folder):
        if split_ending(path.name)[1]:
            found = "images"
        elif looks_like_dicom(path):
            return "dicom"
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """The files of a folder and of its subfolders, clutter left out, files of a folder first."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        yield from (Path(root, name) for name in sorted(files) if not is_clutter(name) and Path(root, name).is_file())


def _ends(name: str, ending: str) -> bool:
    return split_ending(name)[1].lower() == ending.lower()


def _is_data(name: str, headers: set[str]) -> bool:
    """Whether a file holds the voxels of a header file beside it."""
    stem, _, ending = name.lower().rpartition(".")
    return any(f"{stem}{header}" in headers for header in _DATA_OF.get(f".{ending}", ()))
