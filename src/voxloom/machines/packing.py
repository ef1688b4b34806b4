"""How a piece of work travels to another machine: the function once, the modules of one's own once, every item by itself.

Knows both ends: what is packed here, and what a worker does with it. A worker keeps what it unpacked for the items that follow.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from voxloom.answers import Answer, Failure, attempt
from voxloom.crew import Needs
from voxloom.own import own_files


@dataclass(frozen=True)
class Package:
    """What all items of one piece of work share; small, since the large parts lie in the cluster's object store.

    Parameters
    ----------
    function : reference to the function; a worker that has it does not fetch it again.
    modules : reference to a zip of modules of one's own, with its digest; None where there are none.
    folder : that relative paths start from.
    threads : of torch; None where the work does not compute with it.
    version : of Voxloom.
    """

    function: Any
    modules: tuple[str, Any] | None
    folder: str
    threads: int | None
    version: str


def pack(ray: Any, function: Callable[[Any], Any], needs: Needs) -> Package:
    """Put a function, and the modules of one's own that recipes have named, into the object store."""
    zipped = zip_files(own_files())
    modules = None if zipped is None else (hashlib.sha256(zipped).hexdigest(), ray.put(zipped))
    return Package(ray.put(function), modules, str(Path.cwd()), needs.threads, version("voxloom"))


def zip_files(files: dict[str, Path]) -> bytes | None:
    """A zip, the same bytes for the same files; None without files."""
    if not files:
        return None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), files[name].read_bytes())
    return buffer.getvalue()


def carry_out(package: Package, item: list[Any]) -> Answer:
    """In a worker: one item, with what the package holds.

    Parameters
    ----------
    item : holds a reference to the item, which is read when one's own modules are at hand: Ray would read a plain argument before.
    """
    here = platform.node()
    if package.version != (installed := version("voxloom")):
        return Failure(f"machine {here} has Voxloom {installed}, not {package.version}: install the same everywhere")
    if not Path(package.folder).is_dir():
        return Failure(f"machine {here} does not see {package.folder}: work in a folder of a disk that all share")
    os.chdir(package.folder)
    if package.modules is not None:
        _unpack(*package.modules)
    if package.threads is not None:
        import torch

        torch.set_num_threads(package.threads)
    import ray

    function = _kept.get(package.function.hex()) or _fetch(package)
    return attempt(function, ray.get(item[0]))


#: The function of the last package: another one's networks need not be kept.
_kept: dict[str, Callable[[Any], Any]] = {}


def _fetch(package: Package) -> Callable[[Any], Any]:
    import ray

    _kept.clear()
    function: Callable[[Any], Any] = ray.get(package.function)
    _kept[package.function.hex()] = function
    return function


_unpacked: set[str] = set()


def _unpack(digest: str, zipped: Any) -> None:
    """Modules of one's own, in a folder of this worker, before all others."""
    if digest in _unpacked:
        return
    import ray

    sys.path.insert(0, unpack_zip(ray.get(zipped)))
    _unpacked.add(digest)


@lru_cache(1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="voxloom-own-")


def unpack_zip(zipped: bytes) -> str:
    """The folder into which a zip was unpacked; it goes when this process ends."""
    target = Path(_folder().name) / hashlib.sha256(zipped).hexdigest()[:16]
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        archive.extractall(target)
    return str(target)
