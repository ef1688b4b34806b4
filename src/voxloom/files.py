"""Files written whole or not at all, and what identifies their content.

Knows how to write under a temporary name and rename, and which temporary files a killed process left. Does not know any format.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput

#: Part of the name of every temporary file.
PART = ".part"
_PART_NAME = re.compile(r"\.(?P<place>[0-9a-f]{8})-(?P<process>\d+)-")
_swept: set[Path] = set()


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same ending) that replaces it when the block ends without an error.

    The parent folder is made. On an error the temporary file is removed and ``path`` is left as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.parent not in _swept:
        sweep_parts(target.parent)
        _swept.add(target.parent)
    temporary = part_path(target.parent, "".join(target.suffixes[-2:]))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as f:
            os.fsync(f.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def part_path(folder: Path, ending: str = "") -> Path:
    """Make an empty hidden file in ``folder``, whose name tells which process is writing it."""
    handle, name = tempfile.mkstemp(prefix=process_prefix(), suffix=f"{PART}{ending}", dir=folder)
    os.close(handle)
    return Path(name)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder`` that takes its name when the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_existing(path: Path, what: str = "file or folder") -> None:
    """Refuse to write where something lies already (BadInput)."""
    if path.exists():
        raise BadInput(f"there is such a {what}", path, "Choose another with -o")


def sweep_parts(folder: Path) -> None:
    """Remove the temporary files that killed processes of this machine left in a folder."""
    for path in folder.glob(f".*{PART}*"):
        if is_orphan(path):
            with contextlib.suppress(OSError):
                path.unlink()


def process_prefix() -> str:
    """The beginning of a hidden file's name that tells which process of which machine it belongs to."""
    return f".{_place()}-{os.getpid()}-"


def is_orphan(path: Path) -> bool:
    """Whether a file with such a name belongs to a process of this machine that has ended."""
    match = _PART_NAME.match(path.name)
    return match is not None and match["place"] == _place() and not _is_running(int(match["process"]))


def is_local(path: Path) -> bool:
    """Whether a file with such a name belongs to a process of this machine."""
    match = _PART_NAME.match(path.name)
    return match is not None and match["place"] == _place()


@functools.cache
def _place() -> str:
    """What tells apart the process numbers of different machines and containers."""
    space = os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else ""
    return hashlib.sha256(f"{platform.node()}/{space}".encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    """Whether a process lives; Windows cannot be asked without a risk for it, so there the answer is yes."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """JSON has no infinity: infinite and undefined numbers become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def read_json(path: str | Path) -> Any:
    """The value of a JSON file in UTF-8. Raises BadInput when it is not there or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", path, "Check the path") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"is not valid JSON ({error})", path, "Correct the file") from error


def sha256_file(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks of 1 MiB. Raises BadInput when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as f:
            while block := f.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", path, "Was it moved or removed?") from error
    return digest.hexdigest()


def file_stem(*names: str) -> str:
    """Names as a file name: letters, digits, dots and dashes stay, the rest becomes an underscore."""
    return "_".join("".join(c if c.isalnum() or c in ".-" else "_" for c in name) for name in names)
