"""Phantoms written as a data set: nnU-Net raw layout, as NIfTI or as DICOM series.

Knows folders, the patient table and DICOM headers. Everything is written beside the target and renamed at the end.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.files import write_json
from voxloom.formats import ENDINGS, read_label, write_dicom_series, write_volume
from voxloom.phantom.case import PhantomCase, ScanSize
from voxloom.phantom.kinds import Kind, kind_named, make_phantom
from voxloom.phantom.rater import simulate_rater
from voxloom.progress import Progress
from voxloom.volume import Volume

#: How far simulated raters draw beside the true boundary, and the SD of their wobble.
RATER_BIAS_MM, RATER_WOBBLE_MM = 0.3, 0.8


def write_phantoms(
    kind: str,
    count: int,
    folder: str | Path,
    *,
    seed: int = 0,
    dicom: bool = False,
    shapes: str | Path | None = None,
    size: ScanSize = "small",
    difficulty: float = 0.3,
    raters: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Write ``count`` phantoms as a data set; it appears complete or not at all.

    Parameters
    ----------
    kind, seed, size, difficulty : see :func:`make_phantom`; case i is the same whatever ``count`` is.
    folder : must not exist, or be empty. Gets imagesTr, labelsTr, dataset.json, participants.csv, and points/<case>.csv
        (case, name, side, x, y, z in RAS mm) where the kind has landmarks. nodule-ct also gets cases.csv, a table of cases with
        image, mask (never an input), mask_rater_n where raters drew, and what participants.csv says.
    dicom : images as folders of DICOM slices, imagesTr/<case>/; labels stay NIfTI, on the same grid.
    shapes : a folder of kidney and tumor masks (or a data set with labelsTr); abdomen-ct is made around the first
        ``count`` of them.

    raters : how many simulated raters draw the labels, into raters/R1, raters/R2, ... Rater n draws ``RATER_BIAS_MM`` outside (odd
        n) or inside (even n) of the true boundary, with a smooth wobble of ``RATER_WOBBLE_MM``: their disagreement is known.

    Raises
    ------
    BadInput : a target with content, fewer masks than cases, a count below 1, and what :func:`make_phantom` refuses.
    """
    target = Path(folder)
    about = kind_named(kind, masks=shapes is not None)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadInput("exists already and is not an empty folder", target, "Choose a new folder with -o")
    if dicom and len(about.channels) > 1:
        raise BadInput(f"{kind} has several channels, which are written as NIfTI only", target, "Leave out --dicom")
    if count < 1:
        raise BadInput(f"{count} cases make no data set", None, "Ask for at least one with -n")
    masks = _find_masks(Path(shapes), count) if shapes is not None else None
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".phantom", dir=target.parent) as temporary:
        root = Path(temporary) / "data"
        rows: list[dict[str, Any]] = []
        for index, (name, mask) in enumerate(_names(about, count, masks)):
            case = make_phantom(kind, seed, index=index, size=size, difficulty=difficulty, mask=mask)
            _write_case(case, name, root, dicom)
            for rater in range(1, raters + 1):
                drawn = drawn_by(rater, case.label, about, (seed, index))
                write_volume(drawn, root / "raters" / f"R{rater}" / f"{name}.nii.gz")
            rows.append({"case": name, **case.attributes})
            if progress is not None:
                progress(index + 1, count)
        _write_table(rows, root / "participants.csv")
        if about.as_table:
            _write_table([{**_files(row["case"], dicom, raters), **row} for row in rows], root / "cases.csv")
        write_json(root / "dataset.json", _description(about, count, seed, target.name))
        if target.exists():
            target.rmdir()
        root.rename(target)
    return target


def drawn_by(rater: int, truth: Volume, kind: Kind, case: tuple[int, int]) -> Volume:
    """The label map of a case (seed, index) as simulated rater 1, 2, ... draws it."""
    labels = Labels.from_nnunet(kind.labels)
    bias = RATER_BIAS_MM if rater % 2 else -RATER_BIAS_MM
    seed = int(np.random.SeedSequence((*case, rater)).generate_state(1)[0])
    return simulate_rater(truth, labels, bias_mm=bias, wobble_mm=RATER_WOBBLE_MM, seed=seed)


def dicom_template(case: PhantomCase, name: str) -> dict[str, Any]:
    """Header of a simulated series: invented patient, fixed date, and the acquisition that the voxels imitate."""
    meta, facts = case.image.meta, case.attributes
    template: dict[str, Any] = {
        "PatientID": meta["patient_id"],
        "PatientName": f"PHANTOM^{meta['patient_id']}",
        "PatientSex": facts.get("sex", "O"),
        "PatientAge": f"{int(facts.get('age', 0)):03d}Y",
        "StudyInstanceUID": meta["study_uid"],
        "SeriesInstanceUID": meta["series_uid"],
        "FrameOfReferenceUID": meta["frame_of_reference_uid"],
        "StudyDate": "20250102",
        "StudyTime": "080000",
        "StudyDescription": "Voxloom phantom",
        "SeriesDescription": meta["series_description"],
        "ProtocolName": name,
        "BodyPartExamined": meta["body_part"],
        "Manufacturer": "Voxloom",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "Modality": meta["modality"],
        "PatientPosition": "HFS",
    }
    if meta["modality"] == "MR":
        times = {"RepetitionTime": meta["repetition_time"], "EchoTime": meta["echo_time"]}
        return {**template, **times, "MagneticFieldStrength": 1.5}
    return {**template, "KVP": 120}


def _write_case(case: PhantomCase, name: str, root: Path, dicom: bool) -> None:
    image, label = case.image, case.label
    if dicom:
        image, label = _slices_last(image), _slices_last(label)
        write_dicom_series(image, root / "imagesTr" / name, template=dicom_template(case, name))
    else:
        for channel, voxels in enumerate(image.data):
            write_volume(image.with_data(voxels[None]), root / "imagesTr" / f"{name}_{channel:04d}.nii.gz")
    write_volume(label, root / "labelsTr" / f"{name}.nii.gz")
    if case.points:
        rows = [
            {
                "case": name,
                "name": p.name,
                "side": p.side,
                **{a: round(v, 4) for a, v in zip("xyz", p.position, strict=True)},
            }
            for p in case.points
        ]
        _write_table(rows, root / "points" / f"{name}.csv")


def _files(name: str, dicom: bool, raters: int) -> dict[str, str]:
    """Files of a case, as the table names them; its id comes first."""
    drawn = {f"mask_rater_{n}": f"raters/R{n}/{name}.nii.gz" for n in range(1, raters + 1)}
    image = f"imagesTr/{name}" if dicom else f"imagesTr/{name}_0000.nii.gz"
    return {"case": name, "image": image, "mask": f"labelsTr/{name}.nii.gz", **drawn}


def _slices_last(volume: Volume) -> Volume:
    """The same voxels with the coarsest axis as k, when k is finer than another."""
    axis = int(np.argmax(volume.spacing))
    if volume.spacing[axis] <= volume.spacing[2] * 1.001:
        return volume
    order = [*(a for a in range(3) if a != axis), axis]
    data = volume.data.transpose(0, *(1 + a for a in order))
    return Volume(np.ascontiguousarray(data), volume.affine[:, [*order, 3]], volume.meta)


def _write_table(rows: Sequence[dict[str, Any]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _find_masks(folder: Path, count: int) -> list[Path]:
    where = folder / "labelsTr" if (folder / "labelsTr").is_dir() else folder
    found = sorted(p for p in where.iterdir() if p.name.endswith(ENDINGS)) if where.is_dir() else []
    if len(found) < count:
        raise BadInput(
            f"holds {len(found)} masks, {count} were asked for", folder, f"Use -n {max(1, len(found))} or fewer"
        )
    return found[:count]


def _names(kind: Kind, count: int, masks: Sequence[Path] | None) -> Iterator[tuple[str, Volume | None]]:
    """Case names, and the mask of each where there are masks."""
    if masks is None:
        stem = kind.name.split("-")[0]
        yield from ((f"{stem}_{index:03d}", None) for index in range(count))
        return
    for path in masks:
        ending = max((e for e in ENDINGS if path.name.endswith(e)), key=len)
        yield path.name[: -len(ending)], read_label(path)


def _description(kind: Kind, count: int, seed: int, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"Simulated {kind.name} (voxloom phantom, seed {seed}); no patient data",
        "licence": "Apache-2.0",
        "channel_names": {str(n): channel for n, channel in enumerate(kind.channels)},
        "labels": dict(kind.labels),
        "numTraining": count,
        "file_ending": ".nii.gz",
    }
