"""A simulated archive of 240 series with the faults of real ones, for the tests of index and select."""

from __future__ import annotations

import copy
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.archive import index_archive

from .make import AXIAL, CORONAL, SAGITTAL, header, save, uid

PATIENTS = 40
#: Name, orientation, axis of the slices, repetition and echo time, slices.
SERIES = (
    ("t1_tse_sag", SAGITTAL, 0, 600, 12, 6),
    ("t2_tse_sag", SAGITTAL, 0, 4000, 95, 6),
    ("t1_tse_tra", AXIAL, 2, 650, 13, 6),
    ("t2_tse_tra", AXIAL, 2, 4200, 101, 6),
    ("t2_tse_cor", CORONAL, 1, 3900, 99, 6),
    ("localizer", None, 0, 20, 5, 3),
)
STEP = 4.4


def build(root: Path) -> Path:
    """Write the archive: <root>/<patient>/<series>/<slice without ending>; two patients in a zip and a tar."""
    for patient in range(PATIENTS):
        for number, series in enumerate(SERIES):
            _write_series(root, patient, number, series)
    _break(root)
    with zipfile.ZipFile(root / "nine.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((root / "p09").rglob("*")):
            archive.write(path, path.relative_to(root))
    with tarfile.open(root / "ten.tar.gz", "w:gz") as tar:
        tar.add(root / "p10", "p10")
    for name in ("p09", "p10"):
        shutil.rmtree(root / name)
    return root


def identity(patient: int) -> dict[str, Any]:
    """4 and 5 share a name only, 6 and 7 name and birth date."""
    person = {5: 4, 7: 6}.get(patient, patient)
    born = 6 if patient == 7 else patient
    return {
        "PatientName": f"Person^{chr(65 + person % 26)}{chr(65 + person // 26)}",
        "PatientID": f"ID{patient:03d}",
        "PatientBirthDate": f"19{50 + born:02d}0101",
    }


def index_few(root: Path, patients: int) -> Path:
    """Index the first two series of a few patients; the archive."""
    for patient in range(patients):
        for number, series in enumerate(SERIES[:2]):
            _write_series(root / "dicom", patient, number, series)
    index_archive([root / "dicom"], root / "archive.parquet", workers=1)
    return root / "archive.parquet"


def _write_series(root: Path, patient: int, number: int, series: tuple[Any, ...]) -> None:
    name, orientation, axis, repetition, echo, count = series
    folder = root / f"p{patient:02d}" / name
    template = header(
        **identity(patient), StudyInstanceUID=uid("study", patient), SeriesInstanceUID=uid("series", patient, number),
        FrameOfReferenceUID=uid("frame", patient), SeriesDescription=name, SeriesNumber=number, RepetitionTime=repetition,
        EchoTime=echo, SpacingBetweenSlices=STEP, PatientPosition="HFS", Manufacturer=("SIEMENS", "GE MEDICAL SYSTEMS")[patient % 2],
        BodyPartExamined="LSPINE", StudyDate=f"202501{patient % 28 + 1:02d}", StudyTime="080000", MagneticFieldStrength=1.5,
        AcquisitionTime=f"08{number:02d}{patient:02d}", AcquisitionDate=f"202501{patient % 28 + 1:02d}", PatientAge="055Y",
        ImageType=["ORIGINAL", "PRIMARY", "M"], PatientSex="F", ReferringPhysicianName="Doctor^Who", AccessionNumber="A1",
    )  # fmt: skip
    if patient == 11 and number == 0:
        template.SeriesDescription = "spine first"
    if patient == 12 and number == 1:
        template.SeriesDescription = "t1 sag"
    for k in range(count):
        slice_ = copy.copy(template)
        turned = (SAGITTAL, AXIAL, CORONAL)[k] if orientation is None else orientation
        position = (
            [0.0, 0.0, 0.0] if orientation is None else [0.0 if a != axis else (k - count / 2) * STEP for a in range(3)]
        )
        slice_.ImageOrientationPatient, slice_.ImagePositionPatient = turned, position
        slice_.SOPInstanceUID, slice_.InstanceNumber = uid("slice", patient, number, k), k + 1
        values = np.random.default_rng((patient, number, k)).integers(0, 900, 64, dtype=np.uint16)
        slice_.PixelData = values.tobytes()
        save(slice_, folder / f"{k:03d}")


def _break(root: Path) -> None:
    import pydicom

    def change(path: Path, to: Path, **keywords: Any) -> None:
        dataset = pydicom.dcmread(path)
        for key, value in keywords.items():
            setattr(dataset, key, value)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        to.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(to)

    (root / "p00/t1_tse_sag/002").unlink()
    change(root / "p01/t1_tse_sag/003", root / "p01/t1_tse_sag/twin", SOPInstanceUID=uid("twin"))
    change(root / "p02/t1_tse_sag/002", root / "p02/t1_tse_sag/002", ImagePositionPatient=[-3.1, 0, 0])
    for path in sorted((root / "p03/t1_tse_sag").iterdir()):
        change(
            path,
            root / "p03/sent again" / path.name,
            SeriesInstanceUID=uid("again"),
            SOPInstanceUID=uid("again", path.name),
        )
    shutil.copytree(root / "p04/t2_tse_sag", root / "p04/copied")
    victim = root / "p08/t1_tse_sag/004"
    victim.write_bytes(victim.read_bytes()[:-60])
    (root / "p08/noise").write_bytes(bytes(128) + b"DICM" + np.random.default_rng(0).bytes(3000))
    (root / "p08/letter.txt").write_text("no DICOM")
