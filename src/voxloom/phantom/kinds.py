"""The kinds of phantoms by name, and how one case of a kind is made from a seed.

Knows that case ``index`` of a seed is always the same, however many cases are made. Does not write files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.phantom import abdomen, cervical, head, knee, lumbar, nodule, pelvis
from voxloom.phantom.case import Draws, PhantomCase, ScanSize
from voxloom.volume import Volume

#: Kinds in the order of their numbers, which go into the seed: append, never reorder.
_MODULES: tuple[ModuleType, ...] = (lumbar, cervical, abdomen, head, knee, pelvis, nodule)
KINDS: dict[str, ModuleType] = {module.NAME: module for module in _MODULES}


@dataclass(frozen=True)
class Kind:
    """What a data set of one kind declares: nnU-Net channel names and label values.

    as_table : whether ``cases.csv`` lists its files and what is known of every case.
    """

    name: str
    channels: tuple[str, ...]
    labels: Mapping[str, int]
    as_table: bool = False


def kind_named(name: str, masks: bool = False) -> Kind:
    """The kind of that name; ``masks``: made around given masks. BadInput for a name that is not known."""
    if name not in KINDS:
        raise BadInput(f"no phantom is called {name!r}", None, f"Choose one of {', '.join(KINDS)}")
    if masks and name != abdomen.NAME:
        raise BadInput(f"{name} cannot be made from given shapes", None, f"Use --shapes with {abdomen.NAME}")
    labels = abdomen.SHAPE_LABELS if masks else KINDS[name].LABELS
    return Kind(name, KINDS[name].CHANNELS, labels, getattr(KINDS[name], "AS_TABLE", False))


def make_phantom(
    kind: str,
    seed: int,
    *,
    index: int = 0,
    size: ScanSize = "small",
    difficulty: float = 0.3,
    mask: Volume | None = None,
) -> PhantomCase:
    """One simulated scan with its truth.

    Parameters
    ----------
    kind : "lumbar-mr", "cervical-mr", "abdomen-ct", "head-mr", "knee-mr", "pelvis-mr" or "nodule-ct".
    seed, index : decide everything; the same numbers give the same voxels.
    size : "small" (about 100 pixels across) or "full" (as scanners give them).
    difficulty : 0 to 1: noise, shading, spread of contrast and anatomy, narrowed foramina.
    mask : abdomen-ct only: kidneys (1) and tumors (2) to be kept, on whose grid the scan is made.

    Raises
    ------
    BadInput : an unknown kind, a mask of another kind, a difficulty outside 0 to 1, or a negative seed.
    """
    kind_named(kind, masks=mask is not None)
    if not 0 <= difficulty <= 1 or seed < 0 or index < 0:
        raise BadInput(f"difficulty {difficulty}, seed {seed}: expected 0 to 1, and a seed from 0 up")
    number = list(KINDS).index(kind)
    patient = _patient(kind, index)
    body, scan = ((seed, number, patient, 0), (seed, number, index, 1))
    draws = Draws(np.random.default_rng(body), np.random.default_rng(scan), patient)
    if mask is not None:
        case = abdomen.make_from_mask(draws, mask, difficulty)
    elif kind == knee.NAME:
        case = knee.make(draws, size, difficulty, "sagittal" if index % 2 else "coronal")
    else:
        case = KINDS[kind].make(draws, size, difficulty)
    return _identified(case, f"{kind}/{seed}", f"{kind.split('-')[0].upper()}-{seed}-{patient:04d}", index)


def _patient(kind: str, index: int) -> int:
    """Number of the patient of a case; those of some kinds have several scans."""
    if kind == nodule.NAME:
        return nodule.patient_of(index)
    return index // 2 if kind == knee.NAME else index


def _identified(case: PhantomCase, source: str, patient: str, index: int) -> PhantomCase:
    meta: dict[str, Any] = {
        **case.image.meta,
        "patient_id": patient,
        "study_uid": stable_uid(source, patient, "study"),
        "series_uid": stable_uid(source, index, "series"),
        "frame_of_reference_uid": stable_uid(source, index, "frame"),
    }
    return replace(case, image=replace(case.image, meta=meta), attributes={"patient": patient, **case.attributes})


def stable_uid(*parts: object) -> str:
    """A DICOM UID (2.25., from 128 bits) that is always the same for the same parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
