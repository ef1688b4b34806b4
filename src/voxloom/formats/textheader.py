"""How many bytes of voxels a MetaImage or NRRD header promises, and how many its file holds.

Knows the few fields of both text headers that decide that (https://itk.org/Wiki/ITK/MetaIO/Documentation,
https://teem.sourceforge.net/nrrd/format.html). Does not decode voxels or geometry.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from voxloom.errors import BadInput

_LONGEST_HEADER = 1 << 20
_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}
_NRRD_WORDS = {"char": 1, "short": 2, "int": 4, "long": 8, "float": 4, "double": 8}


@dataclass(frozen=True)
class Payload:
    """Promise and reality: ``needed`` bytes of voxels after decoding, in the file ``path`` from byte ``offset`` on.

    ``encoding`` is ``"raw"``, ``"zlib"`` (also gzip) or another one of NRRD's.
    """

    path: Path
    offset: int
    sizes: tuple[int, ...]
    needed: int
    encoding: str

    @property
    def available(self) -> int:
        """Bytes there are."""
        return self.path.stat().st_size - self.offset


def payload(path: Path) -> Payload:
    """Read the header. Raises BadInput when it is not there, damaged, or its voxel file is missing."""
    with path.open("rb") as f:
        start = f.read(_LONGEST_HEADER)
    try:
        return _nrrd(path, start) if start.startswith(b"NRRD") else _meta(path, start)
    except (KeyError, ValueError, AttributeError) as error:
        name = "NRRD" if path.suffix.lower() == ".nrrd" else "MetaImage"
        raise BadInput(f"the {name} header is damaged or cut ({error})", path, "Copy the file again") from None


def _meta(path: Path, start: bytes) -> Payload:
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields:
        end = start.find(b"\n", position)
        end = len(start) if end < 0 else end
        key, equals, value = start[position:end].decode("latin-1").partition("=")
        if not equals:
            raise ValueError("no ElementDataFile")
        fields[key.strip()] = value.strip()
        position = end + 1
    sizes = tuple(int(n) for n in fields["DimSize"].split())
    kind = fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY").removeprefix("U")
    needed = math.prod(sizes) * int(fields.get("ElementNumberOfChannels", "1")) * _META_BYTES[kind]
    data = fields["ElementDataFile"]
    if data.upper().startswith("LIST") or "%" in data:
        raise BadInput("keeps its voxels in several files", path, "Save it as one .mha file")
    encoding = "zlib" if fields.get("CompressedData", "False").lower() == "true" else "raw"
    if data.upper() == "LOCAL":
        return Payload(path, position, sizes, needed, encoding)
    return Payload(_detached(path, data), 0, sizes, needed, encoding)


def _nrrd(path: Path, start: bytes) -> Payload:
    blank = re.search(rb"\r?\n\r?\n", start)
    text = start[: blank.start()] if blank else start
    lines = [line.partition(":") for line in text.decode("latin-1").splitlines()[1:] if not line.startswith("#")]
    fields = {key.strip().lower(): value.strip() for key, colon, value in lines if colon and not value.startswith("=")}
    sizes = tuple(int(n) for n in fields["sizes"].split())
    needed = math.prod(sizes) * _nrrd_bytes(fields["type"])
    encoding = {"gzip": "zlib", "gz": "zlib"}.get(name := fields["encoding"].lower(), name)
    data = fields.get("data file") or fields.get("datafile")
    if data is None:
        if blank is None:
            raise ValueError("no blank line after it")
        return Payload(path, blank.end(), sizes, needed, encoding)
    if "%" in data or data.upper().startswith("LIST"):
        raise BadInput("keeps its voxels in several files", path, "Save it as one file")
    return Payload(_detached(path, data), 0, sizes, needed, encoding)


def _nrrd_bytes(kind: str) -> int:
    if sized := re.fullmatch(r"u?int(8|16|32|64)(_t)?", kind):
        return int(sized[1]) // 8
    words = [w for w in kind.split() if w not in ("unsigned", "signed")]
    if words[:2] == ["long", "long"] or kind in ("longlong", "ulonglong"):
        return 8
    return _NRRD_WORDS[words[0].removeprefix("u")]


def _detached(path: Path, name: str) -> Path:
    data = path.parent / name
    if not data.is_file():
        raise BadInput(f"its voxels should be in {name}, which is not there", path, "Copy both files into one folder")
    return data
