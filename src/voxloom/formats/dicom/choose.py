"""One series among several in a folder, chosen by its UID, number or description.

Knows how a series is named and listed. Does not know whether its slices belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.formats.dicom.files import Found, find_images, looks_like_dicom, read_dataset

_LISTED = 10


def group_series(images: Sequence[Found]) -> dict[str, list[Found]]:
    """Image objects by SeriesInstanceUID ("" where there is none), sorted by UID."""
    series: dict[str, list[Found]] = {}
    for image in images:
        series.setdefault(str(image.header.get("SeriesInstanceUID", "")), []).append(image)
    return dict(sorted(series.items()))


def list_series(series: dict[str, list[Found]]) -> str:
    """The series in words, ten at most: UID, number, description, count of files and one of them."""
    listed = [
        f"{uid or 'no UID'} ({_number(members[0])}{members[0].header.get('SeriesDescription') or 'no description'},"
        f" {len(members)} files such as {members[0].path.name})"
        for uid, members in series.items()
    ]
    more = f"; and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return f"{'; '.join(listed[:_LISTED])}{more}"


def choose_series(folder: str | Path, wanted: Sequence[str]) -> list[Path]:
    """The files of the one series of a folder that any of ``wanted`` names; see ``named_series``."""
    return [found.path for found in named_series(find_images(folder), str(folder), wanted)]


def named_series(images: Sequence[Found], where: str, wanted: Sequence[str]) -> list[Found]:
    """The objects of the one series that any of ``wanted`` names: a SeriesInstanceUID, else a SeriesNumber, else a SeriesDescription.

    Descriptions are compared as wholes, without regard to case. Raises BadInput when no series or several are named, listing
    all that are there.
    """
    series, texts = group_series(images), [text.strip().casefold() for text in wanted]
    ways = (
        lambda uid: uid.casefold(),
        *(lambda uid, k=k: told(series[uid][0], k) for k in ("SeriesNumber", "SeriesDescription")),
    )
    for way in ways:
        named = [uid for uid in series if way(uid) and way(uid) in texts]
        if named:
            break
    if len(named) != 1:
        count = "no series is" if not named else f"{len(named)} series are"
        what = f"{count} named {' or '.join(wanted)}; there are {list_series(series)}"
        raise BadInput(what, where, "Choose by the UID, the number or the whole description")
    return series[named[0]]


def told(image: Found, keyword: str) -> str:
    """What a header says under a keyword, without regard to case."""
    value = image.header.get(keyword)
    return "" if value is None else str(value).strip().casefold()


def first_series_uid(folder: str | Path) -> str:
    """SeriesInstanceUID of the first DICOM file in a folder or, where it has none itself, its subfolders; "" if unknown."""
    own = sorted(p for p in Path(folder).iterdir() if p.is_file())
    for path in (*own, *sorted(p for p in Path(folder).rglob("*") if p.is_file())):
        if path.name.upper() != "DICOMDIR" and looks_like_dicom(path):
            try:
                return str(read_dataset(path, headers_only=True).get("SeriesInstanceUID") or "")
            except BadInput:  # a damaged file is told when it is read
                return ""
    return ""


def _number(found: Found) -> str:
    number = found.header.get("SeriesNumber")
    return "" if number in (None, "") else f"number {number}, "
