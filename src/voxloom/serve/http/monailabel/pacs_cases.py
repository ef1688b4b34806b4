"""Series of a PACS as cases: looked up by QIDO-RS, and fetched into the store when they are first asked for.

The id of such a case is its SeriesInstanceUID, as in MONAI Label's DICOMweb mode. Once fetched it is a case like any other.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from voxloom.serve.pacs import Found, Pacs
from voxloom.serve.refusals import NotThere
from voxloom.serve.store import Store

#: Seconds that a list of the PACS's series is believed.
FRESH = 10.0
#: Modalities of results and papers rather than of scans.
_NO_SCANS = frozenset({"SEG", "SR", "RTSTRUCT", "RTPLAN", "RTDOSE", "KO", "PR", "DOC", "REG", "FID", "AU", "OT", ""})


class PacsCases:
    """The scans of a PACS beside those of a store. Safe for several threads.

    Parameters
    ----------
    modalities : which series are listed, e.g. ("CT",); none lists every scan.
    """

    def __init__(self, pacs: Pacs, store: Store, modalities: Sequence[str] = ()) -> None:
        self.pacs, self.store, self.modalities = pacs, store, tuple(modalities)
        self._lock = threading.Lock()
        self._at_work: dict[str, threading.Lock] = {}
        self._listed: tuple[float, list[Found]] = (float("-inf"), [])
        self._about: dict[str, frozenset[str]] = {}

    def listed(self) -> list[Found]:
        """The scans that the PACS has, at most ``FRESH`` seconds old."""
        with self._lock:
            when, found = self._listed
        if time.monotonic() - when > FRESH:
            found = [one for one in self._find() if self._is_scan(one)]
            with self._lock:
                self._listed = (time.monotonic(), found)
        return found

    def take(self, series: str) -> str:
        """The id of the case that a series is, fetched where it is not in the store yet.

        Raises
        ------
        NotThere : the PACS has no such series.
        BadInput : the series cannot be read as a scan.
        PacsFailed, PacsRefused : the PACS did not give it.
        """
        with self._lock:
            turn = self._at_work.setdefault(series, threading.Lock())
        with turn:
            if series not in self.store.ids():
                self._fetch(series)
        with self._lock:
            self._at_work.pop(series, None)
        return series

    def labelled(self) -> frozenset[str]:
        """Series that a segmentation in the PACS refers to. What a segmentation refers to is asked once: it never changes."""
        for seg in self.pacs.find(modality="SEG"):
            if seg.series not in self._about:
                self._about[seg.series] = self._refers_to(seg)
        return frozenset().union(*self._about.values())

    def _find(self) -> list[Found]:
        if not self.modalities:
            return self.pacs.find()
        return [one for modality in self.modalities for one in self.pacs.find(modality=modality)]

    def _is_scan(self, one: Found) -> bool:
        return one.modality in self.modalities if self.modalities else one.modality not in _NO_SCANS

    def _fetch(self, series: str) -> None:
        found = self.pacs.one(series)
        if found is None:
            raise NotThere("there is no such image", "image", "List them: GET /datastore/?output=all")
        with tempfile.TemporaryDirectory(prefix="voxloom-series-") as scratch:
            folder = Path(scratch) / "series"
            self.pacs.fetch(found, folder)
            self.store.add(folder, series)

    def _refers_to(self, seg: Found) -> frozenset[str]:
        """Series that a segmentation refers to (Referenced Series Sequence)."""
        rows = self.pacs.metadata(seg.study, seg.series)
        uids = (
            value
            for row in rows
            for item in row.get("00081115", {}).get("Value", ())
            for value in item.get("0020000E", {}).get("Value", ())
        )
        return frozenset(map(str, uids))
