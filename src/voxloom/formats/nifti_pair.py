"""The two files of a NIfTI pair: header (.hdr) and voxels (.img), each perhaps packed (.gz). Knows names only."""

from __future__ import annotations

from pathlib import Path


def pair_of(path: Path) -> tuple[Path, Path] | None:
    """The header and the voxels of an .hdr/.img pair, whichever of the two is named; None for one file."""
    name = path.name.lower()
    for packed in ("", ".gz"):
        for ending in (f".hdr{packed}", f".img{packed}"):
            if name.endswith(ending):
                stem = path.name[: -len(ending)]
                return _beside(path, stem, "hdr"), _beside(path, stem, "img")
    return None


def _beside(path: Path, stem: str, kind: str) -> Path:
    """The file of a pair with this ending, packed or not, in the case of the file that is there."""
    names = [f"{stem}.{kind}", f"{stem}.{kind}.gz", f"{stem}.{kind.upper()}"]
    return next((p for name in names if (p := path.with_name(name)).is_file()), path.with_name(names[0]))
