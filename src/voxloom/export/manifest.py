"""``share.json``: what a shared run says of itself, and the hashes of its files.

Knows the file and how to check a folder against it. Does not know how a run becomes fit to be shared (``share``), nor where it
goes to or comes from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from voxloom.errors import BadInput
from voxloom.files import read_json, sha256_file, write_json
from voxloom.report.cards.author import read_author
from voxloom.run.environment import version_of
from voxloom.run.run import Run

MANIFEST = "share.json"
#: Of ``share.json``: raised where an older Voxloom would misread it.
FORMAT = 1
#: Files that a shared run may have; none of them runs code when it is read.
ENDINGS = (".json", ".csv", ".md", ".yaml", ".safetensors", ".svg", ".png", ".txt")
#: What a hub keeps beside the files of a model.
OF_HUBS = (".gitattributes", "README.md")
#: Semantic Versioning 2.0.0, and the form of a DOI (ISO 26324).
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
DOI = re.compile(r"10\.\d{4,9}/\S+")


@dataclass(frozen=True)
class Shared:
    """What a shared run says of itself.

    Parameters
    ----------
    name, task : of the run.
    voxloom : version that shared it.
    version : of the model, after Semantic Versioning; "" where its author gave none. So are ``license`` and ``doi``.
    """

    name: str
    task: str
    voxloom: str
    version: str = ""
    license: str = ""
    doi: str = ""

    @classmethod
    def of(cls, run: Run, name: str) -> Shared:
        """From a run and the answers of its author (``author.yaml``).

        Raises
        ------
        BadInput : version or DOI are not written as such.
        """
        path = run.folder / "author.yaml"
        said = read_author(path)
        version, doi = said.get("version", ""), re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", said.get("doi", ""))
        if version and not VERSION.fullmatch(version):
            raise BadInput(f"`version: {version}` is not a semantic version", path, "Write it like 1.0.0")
        if doi and not DOI.fullmatch(doi):
            raise BadInput(f"`doi: {doi}` is not a DOI", path, "Write it like 10.5281/zenodo.123")
        return cls(name, run.task, version_of("voxloom") or "unknown", version, said.get("license", ""), doi)


def write_manifest(folder: Path, shared: Shared) -> None:
    """Write ``share.json`` over all files of a folder."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(p for p in folder.rglob("*") if p.is_file())
    }
    about = {key: value for key, value in vars(shared).items() if value}
    write_json(folder / MANIFEST, {"format": FORMAT, **about, "files": files})


def check_folder(folder: Path) -> Shared | None:
    """What a folder says of itself, after every file was compared with its hash; None for one without ``share.json``.

    Raises
    ------
    BadInput : a file is missing, changed, of a kind that has no place in a run, or not in the list; or a later Voxloom wrote it.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for name in names:
        if PurePosixPath(name).suffix not in ENDINGS and name not in OF_HUBS:
            raise BadInput("has no place in a shared run", folder / name, "Ask for the run again, or remove the file")
    if MANIFEST not in names:
        return None
    about = read_manifest(folder / MANIFEST)
    listed: Mapping[str, Any] = about["files"]
    if lost := sorted(set(listed) - set(names)):
        raise BadInput(f"{len(lost)} files are missing, e.g. {lost[0]}", folder, "Copy the run again")
    if strange := sorted(set(names) - set(listed) - {MANIFEST, *OF_HUBS}):
        raise BadInput("is not in the list of the run's files", folder / strange[0], "Remove it, or ask who added it")
    for name, facts in listed.items():
        if sha256_file(folder / name) != facts["sha256"]:
            raise BadInput("is not what was shared: its hash differs", folder / name, "Copy the run again")
    known = Shared.__dataclass_fields__
    return Shared(**{key: str(value) for key, value in about.items() if key in known})


def read_manifest(path: Path) -> dict[str, Any]:
    """The content of ``share.json`` (BadInput where it is damaged or of a later Voxloom)."""
    about = read_json(path)
    try:
        if not isinstance(about["format"], int) or about["format"] > FORMAT:
            what = f"was written in format {about['format']} by a later Voxloom; this one knows formats up to {FORMAT}"
            raise BadInput(what, path, "Update Voxloom")
        for name, facts in about["files"].items():
            safe_name(name, path)
            str(facts["sha256"]), int(facts["bytes"])
        str(about["name"]), str(about["task"]), str(about["voxloom"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"is damaged ({error})", path, "Copy the run again") from error
    found: dict[str, Any] = about
    return found


def safe_name(name: str, where: Path) -> PurePosixPath:
    """A relative path that stays in its folder (BadInput for another)."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]:
        raise BadInput(f"names a file outside its folder: {name}", where, "Do not trust where it came from")
    return path
