"""Pictures that are made and not drawn: most of the time of a small training went into the pixels of its report.

Every figure is put together as for a user; only matplotlib's last step, from the figure to a file, writes one dot instead. Tests draw
where they, or their module, are marked ``drawn``, and below ``tests/report``.
"""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from voxloom.report import style

#: The folder whose subject are pictures.
REPORT = Path(__file__).parent / "report"
#: One transparent pixel, and its like as SVG.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
SVG_DOT = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def dot(figure: object, target: io.BytesIO | Path, **options: Any) -> None:
    """In the place of ``voxloom.report.style.draw``."""
    kind = options.get("format") or Path(str(target)).suffix.removeprefix(".")
    found = SVG_DOT if kind == "svg" else DOT
    if isinstance(target, io.BytesIO):
        target.write(found)
    else:
        Path(target).write_bytes(found)


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Figures become dots within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "draw", dot)
        yield


def draws(node: pytest.Item | pytest.Collector) -> bool:
    """Whether pictures are drawn in a test, or in a fixture of a test or module."""
    return node.get_closest_marker("drawn") is not None or node.path.is_relative_to(REPORT)
