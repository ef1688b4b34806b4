"""Is a scan like those that a run was trained on? What differs is said; a network answers anything that it is shown.

Knows the run's fingerprint (``data.json``) and thresholds that are wide on purpose: a scan is told only where it lies far outside what
training saw in voxel size, extent, plane of its slices, modality or gray scale. Intensities are judged relative to their own
width where training itself varies, as MR has no fixed scale. Does not judge how good a prediction is; see ``quality``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxloom.dataset.inspect import CaseFacts, Fingerprint, Intensities, ras_order
from voxloom.dataset.inspect.intensities import describe_channel
from voxloom.notes import tell
from voxloom.volume import Volume

#: A voxel or an extent this many times outside the range of the training cases is told.
SIZE_FACTOR = 2.0
#: A gray scale this many times wider or narrower, of channels that are not normalized case by case.
SCALE_FACTOR = 4.0
#: The dark end, in widths of the scan's own gray scale, may lie so far from that of the training cases.
DARK_SHIFT = 0.2
#: Where the training's gray scales differ by this factor, their width says nothing.
SCALES_DIFFER = 10.0
#: A voxel this many times longer than wide shows the plane of the slices.
_THICK = 2.0
#: No air: the dark end of a scan above, and of CT below (HU).
_NO_AIR, _AIR = -200.0, -500.0
#: The kind of channels that are normalized case by case, so that their scale means nothing.
_PER_CASE = "zscore"
_PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class TrainedOn:
    """The training cases of a run, as far as they were measured.

    Parameters
    ----------
    cases : facts of the readable cases.
    channels, kinds : names and nnU-Net's kinds of the channels ("CT", "zscore", ...).
    """

    cases: tuple[CaseFacts, ...]
    channels: tuple[str, ...]
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> TrainedOn | None:
        """From ``data.json``; None for a run that measured no case (trained on points, or an old one)."""
        try:
            found = Fingerprint.from_dict(data["fingerprint"])
            about = data["dataset"]
            return (
                cls(found.readable, tuple(about["channels"]), tuple(about["channel_kinds"])) if found.readable else None
            )
        except (KeyError, TypeError, ValueError):
            return None

    def compare(self, volume: Volume) -> str | None:
        """What differs, in one sentence; None for a scan like those of the training."""
        return self.compare_facts(_facts_of(volume, self.channels))

    def compare_facts(self, facts: CaseFacts) -> str | None:
        """The same of a readable case whose image was measured before."""
        differences = [*self._grid(facts), *self._modality(facts), *self._intensities(facts)]
        return f"unlike the training scans: {'; '.join(differences)}" if differences else None

    def warn(self, volume: Volume) -> None:
        """Tell what differs to whoever listens (``voxloom.notes``)."""
        if sentence := self.compare(volume):
            tell(volume.meta.get("source", "scan"), sentence, warning=True)

    def _grid(self, scan: CaseFacts) -> list[str]:
        units = {case.unit for case in self.cases}
        if scan.unit not in units:
            known = (
                "it has no voxel size, and its pixels count as 1 mm"
                if scan.unit == "pixel"
                else "it has a voxel size in mm"
            )
            return [known]
        flat = [case.shape[2] == 1 for case in self.cases]
        if (scan.shape[2] == 1) != flat[0] and len(set(flat)) == 1:
            return [
                "it is a single slice" if scan.shape[2] == 1 else f"it has {scan.shape[2]} slices, they are single ones"
            ]
        return [*self._sizes(scan), *self._plane(scan)]

    def _sizes(self, scan: CaseFacts) -> list[str]:
        """Voxel size and extent along left-right, front-back and feet-head (pictures: along their own axes)."""
        spacing, shape = np.array(scan.ras_spacing), np.array(scan.ras_shape)
        known = np.array([case.ras_spacing for case in self.cases])
        extents = known * np.array([case.ras_shape for case in self.cases])
        unit = "pixels" if scan.unit == "pixel" else "mm"
        pairs = (("voxels of", spacing, known), ("an extent of", spacing * shape, extents))
        return [
            f"{what} {_times(own)} {unit} (trained: {_spans(seen)})"
            for what, own, seen in pairs
            if ((own * SIZE_FACTOR < seen.min(axis=0)) | (own > SIZE_FACTOR * seen.max(axis=0))).any()
        ]

    def _plane(self, scan: CaseFacts) -> list[str]:
        own = _plane_of(scan.shape, scan.spacing, scan.orientation)
        seen = {_plane_of(case.shape, case.spacing, case.orientation) for case in self.cases}
        if scan.unit == "pixel" or own is None or None in seen or len(seen) > 1 or own in seen:
            return []
        return [f"{own} slices (trained: {', '.join(map(str, seen))})"]

    def _modality(self, scan: CaseFacts) -> list[str]:
        own = scan.modality
        seen = {case.modality for case in self.cases} - {""}
        if not seen and "CT" in self.kinds:
            seen = {"CT"}
        return [f"modality {own} (trained: {', '.join(sorted(seen))})"] if own and seen and own not in seen else []

    def _intensities(self, scan: CaseFacts) -> list[str]:
        found = []
        for name, kind in zip(self.channels, self.kinds, strict=True):
            seen = [
                c.channels[name].whole for c in self.cases if name in c.channels and c.channels[name].whole.spread > 0
            ]
            if not seen or name not in scan.channels:
                continue
            own = scan.channels[name].whole
            if own.spread > 0 and (told := _scale(own, seen, kind)):
                found.append(f"{name} {told}" if len(self.channels) > 1 else told)
        return found


def _facts_of(volume: Volume, channels: Sequence[str]) -> CaseFacts:
    """What is compared of a scan; channels that it lacks are not among its own."""
    lost = volume.missing
    there = [(n, name) for n, name in enumerate(channels[: volume.channels]) if n not in lost]
    return CaseFacts(
        str(volume.meta.get("source", "scan")),
        volume.shape,
        volume.spacing,
        volume.orientation,
        unit=volume.unit,
        modality=str(volume.meta.get("modality", "")),
        channels={name: describe_channel(volume.data[n], None) for n, name in there},
    )


def _scale(own: Intensities, seen: Sequence[Intensities], kind: str) -> str | None:
    """How a gray scale differs from those of the training cases, or None."""
    spreads = np.array([s.spread for s in seen])
    lows = np.array([s.percentile(0.5) for s in seen])
    is_ct = kind == "CT" or lows.max() < _AIR
    low, high = own.percentile(0.5), own.percentile(99.5)
    told = f"values from {low:.4g} to {high:.4g} (trained: {lows.min():.4g} to {max(s.percentile(99.5) for s in seen):.4g})"
    if is_ct and lows.max() < _AIR and low > _NO_AIR:
        return f"{told}, without air"
    fixed = (is_ct or kind != _PER_CASE) and spreads.max() < SCALES_DIFFER * spreads.min()
    if fixed and not spreads.min() / SCALE_FACTOR <= own.spread <= spreads.max() * SCALE_FACTOR:
        return told
    shares, share = lows / spreads, low / own.spread
    return told if not shares.min() - DARK_SHIFT <= share <= shares.max() + DARK_SHIFT else None


def _plane_of(shape: Sequence[int], spacing: Sequence[float], orientation: str) -> str | None:
    """The plane of slices that are clearly thicker than their pixels, or of a single slice; None for others."""
    if shape[2] == 1:
        axis = 2
    else:
        axis = int(np.argmax(spacing))
        if spacing[axis] < _THICK * max(s for n, s in enumerate(spacing) if n != axis):
            return None
    return _PLANES[ras_order(orientation).index(axis)]


def _times(values: np.ndarray) -> str:
    return " x ".join(f"{v:.3g}" for v in values)


def _spans(values: np.ndarray) -> str:
    """Ranges (n, 3) along each axis: ``0.5 to 0.9 x 1 x 3 to 5``."""
    ends = zip(values.min(axis=0), values.max(axis=0), strict=True)
    return " x ".join(f"{a:.3g}" if f"{a:.3g}" == f"{b:.3g}" else f"{a:.3g} to {b:.3g}" for a, b in ends)
