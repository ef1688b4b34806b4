"""Indexing and selecting at scale: headers per second against pydicom, time and memory by size, a choice among 6 million rows.

    python benchmarks/archive_index.py speed --data shared/data          real headers, both readers in turns
    python benchmarks/archive_index.py slope --counts 2000 20000 200000  generated files, one process each
    python benchmarks/archive_index.py rows --rows 6000000               generated rows, series table, choice

Other work may run beside it, so processor seconds are printed beside wall seconds.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from voxloom.archive import Archive, index_archive, load_rules
from voxloom.archive.catalogue import derive_series
from voxloom.archive.choose import choose
from voxloom.archive.columns import COLUMNS, INTEGERS, LISTS, NUMBERS
from voxloom.archive.database import connect, quoted

TAGS = [
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SeriesDescription", "PatientPosition",
    "SliceThickness", "SpacingBetweenSlices", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "Modality",
]  # fmt: skip
PER_SERIES, SERIES_PER_STUDY = 20, 7


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def speed(data: Path, repeats: int) -> None:
    """Headers per processor second on one core: pydicom with 12 elements, our reader with all 60, in turns."""
    import pydicom

    from voxloom.archive.parse import HeaderParser
    from voxloom.archive.read import DiskFile, read_headers

    folders = ("brain-dicom", "dicom-trio", "ct-torso/dicom", "dicom-ct-tilt", "dicom-syntaxes")
    paths = [p for name in folders for p in sorted((data / name).rglob("*")) if p.is_file()]
    many = [DiskFile(str(p), p.stat().st_size, 0) for p in paths * 8]

    def ours() -> None:
        found = read_headers(many, HeaderParser())
        assert found.count == len(many)

    def theirs() -> None:
        for path in paths:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
            for tag in TAGS:
                dataset.get(tag)

    ours()
    rows = [(len(many) / timed(ours)[1], len(paths) / timed(theirs)[1]) for _ in range(repeats)]
    for name, values in (("voxloom", [a for a, _ in rows]), ("pydicom", [b for _, b in rows])):
        print(
            f"{name}: {statistics.median(values):,.0f} headers per processor second ({min(values):,.0f} to {max(values):,.0f})"
        )
    print(f"ratio, pair by pair: {statistics.median(a / b for a, b in rows):.1f}")


def write_files(folder: Path, count: int) -> None:
    """``count`` MR slices from one template with patched identifiers and positions."""
    template, marks = make_template(folder)
    for number in range(count):
        series, slice_ = divmod(number, PER_SERIES)
        values = (
            f"{number:012d}",
            f"{series:012d}",
            f"{series // SERIES_PER_STUDY:012d}",
            f"{(slice_ - 10) * 4.4:+012.3f}"[:12],
        )
        content = bytearray(template)
        for place, value in zip(marks, values, strict=True):
            for begin in place:
                content[begin : begin + 12] = value.encode()
        home = folder / f"{series // 500:04d}" / f"{series:06d}"
        if slice_ == 0:
            home.mkdir(parents=True, exist_ok=True)
        (home / f"{slice_:03d}").write_bytes(content)


def make_template(folder: Path) -> tuple[bytes, list[list[int]]]:
    """Bytes of one slice, and where instance, series, study and position stand in them."""
    import numpy as np

    from voxloom.formats import write_dicom_series
    from voxloom.volume import Volume

    keys = ["111111111111", "222222222222", "333333333333", "+0000444.444"]
    affine = np.array([[0, 0, 4.4, 0], [0.7, 0, 0, 0], [0, -0.7, 0, 0], [0, 0, 0, 1.0]])
    header = {
        "StudyInstanceUID": f"1.2.826.0.1.{keys[2]}", "SeriesInstanceUID": f"1.2.826.0.2.{keys[1]}", "PatientName": "A^B",
        "PatientID": keys[2], "SeriesDescription": "t1_tse_sag", "Manufacturer": "SIEMENS", "RepetitionTime": 600,
        "EchoTime": 12, "ScanningSequence": "SE", "ProtocolName": "lumbar", "StudyDescription": "MR lumbar spine",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"], "MagneticFieldStrength": 1.5, "FlipAngle": 150,
        "InstitutionName": "A", "StationName": "B", "BodyPartExamined": "LSPINE", "AcquisitionTime": "101112",
    }  # fmt: skip
    path = write_dicom_series(Volume(np.zeros((1, 16, 16, 1), np.int16), affine), folder / "template", template=header)[
        0
    ]
    import pydicom

    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.3.{keys[0]}"
    dataset.ImagePositionPatient = [keys[3], "0", "0"]
    dataset.save_as(path)
    content = path.read_bytes()
    path.unlink()
    path.parent.rmdir()
    places = [[n for n in range(len(content)) if content.startswith(key.encode(), n)] for key in keys]
    return content, places


def slope(counts: list[int]) -> None:
    """Each size in a process of its own: seconds, peak memory, size of the archive."""
    for count in counts:
        subprocess.run([sys.executable, __file__, "one", "--counts", str(count)], check=True)


def one(count: int) -> None:
    """Write, index and index again ``count`` files."""
    with tempfile.TemporaryDirectory() as temporary:
        root, archive = Path(temporary) / "in", Path(temporary) / "archive.parquet"
        root.mkdir()
        write_files(root, count)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        wall, cpu = timed(lambda: index_archive([root], archive, workers=1))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        again = timed(lambda: index_archive([root], archive, workers=1))
        counts = Archive(archive).counts()
        assert (counts.instances, counts.series) == (count, -(-count // PER_SERIES))
        print(
            f"{count:,} files: {wall:.1f} s wall, {cpu:.1f} s processor ({cpu / count * 1e6:.0f} us each), "
            f"peak {peak:.0f} MiB (before {before:.0f}), again {again[1]:.2f} s processor, "
            f"{archive.stat().st_size / count:.1f} bytes per row",
            flush=True,
        )


def write_rows(path: Path, count: int) -> None:
    """An archive of ``count`` instances, without files behind it."""
    s = f"(i // {PER_SERIES})"
    sagittal, axial = f"{s} % 7 IN (0, 1, 4, 6)", f"{s} % 7 IN (2, 3)"
    kinds = ("t1_tse_sag", "t2_tse_sag", "t2_tse_tra", "t1_tse_tra", "stir sag", "t2_cor", "localizer")
    place = f"(i % {PER_SERIES} - 10) * 4.4"
    values = {
        "file": f"printf('/archive/%04d/%06d/%08d', {s} // 700, {s}, i)", "file_size": "526224", "file_time": "i",
        "ImageType": "'ORIGINAL\\PRIMARY\\M\\ND'", "SOPClassUID": "'1.2.840.10008.5.1.4.1.1.4'", "Modality": "'MR'",
        "SOPInstanceUID": f"printf('1.3.12.2.1107.5.2.32.2010%012d%012d', {s}, i)", "StudyDate": "'20200101'",
        "AcquisitionDate": "'20200101'", "AcquisitionTime": f"CAST(100000 + {s} % 99999 AS VARCHAR)",
        "Manufacturer": f"CASE WHEN {s} % 2 = 0 THEN 'SIEMENS' ELSE 'GE MEDICAL SYSTEMS' END",
        "SeriesDescription": f"{list(kinds)!r}[{s} % 7 + 1]", "StudyDescription": "'MR lumbar spine'",
        "PatientName": f"printf('N%06d^A', {s} // 8)", "PatientID": f"printf('P%06d', {s} // 8)",
        "PatientBirthDate": "'19600101'", "PatientSex": "'F'", "PatientAge": "'060Y'", "BodyPartExamined": "'LSPINE'",
        "ScanningSequence": "'SE'", "SequenceVariant": "'SK'", "SliceThickness": "4.0", "SpacingBetweenSlices": "4.4",
        "RepetitionTime": f"CASE WHEN {s} % 7 IN (0, 3) THEN 600 ELSE 4000 END", "FlipAngle": "150", "PatientPosition": "'HFS'",
        "EchoTime": f"CASE WHEN {s} % 7 IN (0, 3) THEN 12 ELSE 95 END", "MagneticFieldStrength": "1.5",
        "StudyInstanceUID": f"printf('1.3.12.2.1107.5.2.%014d', {s} // 7)",
        "SeriesInstanceUID": f"printf('1.3.12.2.1107.5.3.%014d', {s})",
        "SeriesNumber": f"{s} % 7", "InstanceNumber": f"i % {PER_SERIES} + 1",
        "ImagePositionPatient": f"[CASE WHEN {sagittal} THEN {place} ELSE -120 END, "
        f"CASE WHEN {s} % 7 = 5 THEN {place} ELSE -110 END, "
        f"CASE WHEN {axial} THEN {place} ELSE 90 END]",
        "ImageOrientationPatient": f"[CASE WHEN {sagittal} THEN 0 ELSE 1 END, CASE WHEN {sagittal} THEN 1 ELSE 0 END, 0, 0, "
        f"CASE WHEN {axial} THEN 1 ELSE 0 END, CASE WHEN {axial} THEN 0 ELSE -1 END]",
        "FrameOfReferenceUID": f"printf('1.3.12.2.1107.5.9.%014d', {s} // 7)", "SamplesPerPixel": "1", "Rows": "512",
        "Columns": "512", "PixelSpacing": "[0.7, 0.7]", "BitsAllocated": "16", "PhotometricInterpretation": "'MONOCHROME2'",
        "TransferSyntaxUID": "'1.2.840.10008.1.2.1'",
    }  # fmt: skip

    def kind(name: str) -> str:
        return (
            "DOUBLE[]"
            if name in LISTS
            else "BIGINT"
            if name in INTEGERS
            else "DOUBLE"
            if name in NUMBERS
            else "VARCHAR"
        )

    columns = ", ".join(f'CAST({values.get(name, "NULL")} AS {kind(name)}) AS "{name}"' for name in COLUMNS)
    with connect() as db:
        db.execute(
            f"COPY (SELECT {columns} FROM range({count}) r(i)) TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)"
        )


def rows(count: int, archive: Path) -> None:
    """Derive the series of a generated archive, and choose by the rules of the foramina study."""
    if not archive.exists():
        print(f"{count:,} rows written in {timed(lambda: write_rows(archive, count))[0]:.0f} s wall")
    wall, cpu = timed(lambda: derive_series(archive))
    print(f"series table: {wall:.1f} s wall, {cpu:.1f} s processor; once, at the end of indexing")
    rules = load_rules("foramina")
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        found = choose(Archive(archive), rules, "foramina")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"choice: {wall:.1f} s wall, {cpu:.1f} s processor, {found.steps[0].series:,} series to {len(found.cases):,} cases",
            flush=True,
        )
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "slope", "one", "rows"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--rows", type=int, default=6_000_000)
    parser.add_argument("--archive", type=Path, default=Path("rows.parquet"))
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.data, given.repeats)
    elif given.what == "rows":
        rows(given.rows, given.archive)
    elif given.what == "slope":
        slope(given.counts)
    else:
        one(given.counts[0])


if __name__ == "__main__":
    main()
