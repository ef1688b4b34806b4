"""Headers of files, and of files inside zip and tar archives, as rows of the instance table.

Knows how much of a file to read first and when more is needed, and what is not DICOM. One broken file never stops the
others. Does not know folders, workers or Parquet.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voxloom.archive.columns import COLUMNS, PLACE
from voxloom.archive.parse import MARGIN, HeaderParser, Parsed, Status
from voxloom.archive.rows import FINISHED, FINISHED_FROM, REFUSED_BY, finish, is_directory, refusal
from voxloom.archive.slow import read_slowly
from voxloom.errors import BadInput
from voxloom.formats.dicom.strangers import DICOM_ENDINGS, ending

#: Bytes that are read of every file at first, and then of those whose header is longer.
WIDTHS = (8 << 10, 64 << 10, 1 << 20)
#: Files whose headers are walked at once.
TOGETHER = 2048
_MEMORY = 32 << 20
_ENHANCED = (
    "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2", "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.3", "1.2.840.10008.5.1.4.1.1.4.4", "1.2.840.10008.5.1.4.1.1.128.1",
    "1.2.840.10008.5.1.4.1.1.130",
)  # fmt: skip


class Item(Protocol):
    """One file to read: on disk, or a member of a container."""

    @property
    def file(self) -> str: ...

    @property
    def member(self) -> str | None: ...

    @property
    def size(self) -> int: ...

    @property
    def time(self) -> int: ...

    def start(self, buffer: memoryview) -> int:
        """Read the first bytes into ``buffer``; how many there were. Raises OSError."""

    def whole(self) -> bytes:
        """All bytes, or as many as a header may take. Raises OSError."""


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A file on disk."""

    file: str
    size: int
    time: int
    member: str | None = None

    def start(self, buffer: memoryview) -> int:
        with open(self.file, "rb", buffering=0) as f:
            return f.readinto(buffer) or 0

    def whole(self) -> bytes:
        with Path(self.file).open("rb") as f:
            return f.read(_MEMORY)


@dataclass(frozen=True)
class Member:
    """A member of a container whose first bytes are in memory."""

    file: str
    member: str
    size: int
    time: int
    content: bytes

    def start(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self.content))
        buffer[:count] = self.content[:count]
        return count

    def whole(self) -> bytes:
        return self.content


@dataclass
class Reading:
    """What came of a batch.

    Parameters
    ----------
    columns : the instance table, column by column.
    problems : file, member and reason of broken files.
    others : number of files that are not DICOM, or a DICOMDIR.
    """

    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    problems: list[tuple[str, str | None, str]] = field(default_factory=list)
    others: int = 0

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.columns["file"])

    def add_row(self, item: Item, row: dict[str, Any]) -> None:
        """Append one row, or the reason why it is none."""
        if is_directory(row):
            self.others += 1
        elif reason := refusal(row, item.size):
            self.problems.append((item.file, item.member, reason))
        else:
            for name, column in self.columns.items():
                column.append(getattr(item, name.removeprefix("file_")) if name in PLACE else row.get(name))

    def add_other(self, item: Item) -> None:
        """Count a file that is not DICOM, or list it where it should have been some."""
        if reason := _lost(item):
            self.problems.append((item.file, item.member, reason))
        else:
            self.others += 1


def _lost(item: Item) -> str | None:
    """Why a file that is not DICOM should have been some: its name, or no bytes and no ending. Else None."""
    path = Path(item.member or item.file)
    if path.name.startswith(".") or not (path.suffix.lower() in DICOM_ENDINGS or (item.size == 0 and not ending(path))):
        return None
    return "is empty (0 bytes)" if item.size == 0 else f"is not DICOM, though it ends with {path.suffix}"


def read_headers(items: Iterable[Item], parser: HeaderParser, *, together: int = TOGETHER) -> Reading:
    """Read the headers of ``items``, ``together`` at once; their order is not kept."""
    reading = Reading()
    for group in _grouped(items, together):
        _read_group(group, parser, reading, 0)
    return reading


def _grouped(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    group: list[Item] = []
    for item in items:
        group.append(item)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group


def _read_group(group: Sequence[Item], parser: HeaderParser, reading: Reading, level: int) -> None:
    width = WIDTHS[level] + MARGIN
    buffer, sizes, readable = _load(group, width, reading)
    if not readable:
        return
    full = np.array([item.size for item in readable])
    parsed = parser.parse(buffer, width, sizes, sizes >= full)
    _take_done(readable, parsed, reading)
    for n in np.flatnonzero(parsed.status == Status.OTHER).tolist():
        reading.add_other(readable[n])
    more = [readable[n] for n in np.flatnonzero(parsed.status == Status.MORE)]
    slow = [readable[n] for n in np.flatnonzero(parsed.status == Status.UNUSUAL)]
    if more and level + 1 < len(WIDTHS):
        step = max(1, _MEMORY // WIDTHS[level + 1])
        for begin in range(0, len(more), step):
            _read_group(more[begin : begin + step], parser, reading, level + 1)
    else:
        slow += more
    for item in slow:
        _read_slow(item, reading)


def _load(group: Sequence[Item], width: int, reading: Reading) -> tuple[bytearray, Any, list[Item]]:
    """First bytes of every file that can be opened, one row each; the others become problems."""
    buffer = bytearray(len(group) * width)
    view = memoryview(buffer)
    sizes: list[int] = []
    readable: list[Item] = []
    for item in group:
        begin = len(readable) * width
        try:
            sizes.append(item.start(view[begin : begin + width - MARGIN]))
        except OSError as error:
            reading.problems.append((item.file, item.member, f"cannot be read ({error.strerror or error})"))
        else:
            readable.append(item)
    view.release()
    del buffer[len(readable) * width :]
    return buffer, np.array(sizes, np.int64), readable


def _take_done(items: Sequence[Item], parsed: Parsed, reading: Reading) -> None:
    """Append the finished rows column by column; multi-frame objects are left to pydicom."""
    raw = {name: values for name, values in parsed.columns.items() if values is not None}
    absent: list[Any] = [None] * len(items)
    facts = [raw.get(name, absent) for name in REFUSED_BY]
    done = []
    for n in np.flatnonzero(parsed.status == Status.DONE).tolist():
        row = dict(zip(REFUSED_BY, (values[n] for values in facts), strict=True))
        if (row["NumberOfFrames"] or 1) > 1 or row["SOPClassUID"] in _ENHANCED:
            parsed.status[n] = Status.UNUSUAL
        elif is_directory(row):
            reading.others += 1
        elif reason := refusal(row, items[n].size):
            reading.problems.append((items[n].file, items[n].member, reason))
        else:
            done.append(n)
    made = _made(raw, done, len(items))
    for name, column in reading.columns.items():
        if name in PLACE:
            column += [getattr(items[n], name.removeprefix("file_")) for n in done]
        elif name in made:
            column += made[name]
        else:
            values = raw.get(name, absent)
            column += [values[n] for n in done]


def _made(raw: dict[str, list[Any]], done: list[int], count: int) -> dict[str, list[Any]]:
    """The columns that ``finish`` makes, where there is anything to make them of."""
    present = [name for name in raw if name in FINISHED_FROM]
    if not present:
        return {}
    rows = [finish({name: raw[name][n] for name in present}) for n in done]
    return {name: [row.get(name) for row in rows] for name in FINISHED}


def _read_slow(item: Item, reading: Reading) -> None:
    try:
        raw = read_slowly(io.BytesIO(item.whole()))
    except BadInput as error:
        reading.problems.append((item.file, item.member, error.what))
    except OSError as error:
        reading.problems.append((item.file, item.member, f"cannot be read ({error.strerror or error})"))
    else:
        reading.add_row(item, {**raw, **finish(raw)})
