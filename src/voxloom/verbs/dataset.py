"""A data set that can show itself: what ``voxloom.Dataset`` is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxloom.dataset import dataset as kept
from voxloom.report.notebook import html_plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Dataset(kept.Dataset):
    """See :class:`voxloom.dataset.Dataset`; with pictures of its cases."""

    def show(self, path: str | Path | None = None, *, cases: Sequence[str] = (), most: int = 4) -> Figure:
        """Picture of cases with their labels, classes or numbers; also written to ``path``. Without ``cases`` the first ``most``."""
        from voxloom.pictures.cases import show_cases  # a data set alone never loads torch

        return show_cases(self, Path(path) if path is not None else None, cases=cases, most=most)

    def _repr_html_(self) -> str:
        """Its summary, in a notebook."""
        return html_plain(self.summary())
