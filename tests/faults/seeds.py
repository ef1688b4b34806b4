"""Small whole files of every kind that Voxloom reads, and how each is read and damaged.

Knows one folder per kind: the file that is damaged and the call that must then refuse it or read it.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults import mutants
from tests.faults.mutants import Mutate
from voxloom.dataset import Dataset, read_splits
from voxloom.formats import read_channels as read_file_channels
from voxloom.formats import read_header, read_label, read_volume, write_dicom_series, write_volume
from voxloom.volume import Volume


@dataclass(frozen=True)
class Kind:
    """One kind of input: the file to damage (relative to its folder), how, and who reads the folder."""

    name: str
    file: str
    mutate: Mutate
    read: Callable[[Path], object]


def kinds(root: Path) -> dict[str, Kind]:
    """Write a whole example of every kind into ``root/<name>`` and say how it is used."""
    made = [*_images(root), *_dicom(root), *_documents(root), *_tables(root), *_own(root)]
    return {kind.name: kind for kind in made}


def _volume(dtype: str = "int16", channels: int = 1) -> Volume:
    data = np.arange(channels * 6 * 5 * 4).reshape(channels, 6, 5, 4).astype(dtype)
    affine = np.array([[0.0, -1.2, 0, 31], [0.9, 0, 0.1, -87], [0, 0.2, 2.5, 12], [0, 0, 0, 1]])
    return Volume(data, affine)


def _read_image(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        path = folder / name
        for reader in (read_header, read_volume, read_label, read_file_channels):
            _or_refusal(reader, path)

    return read


def _or_refusal(reader: Callable[..., object], *arguments: Any) -> None:
    """Call a reader; the refusal of the last one is kept for the caller by raising it when all are done."""
    from voxloom.errors import VoxloomError

    try:
        reader(*arguments)
    except VoxloomError as error:
        check_line(error)


def check_line(error: Exception) -> None:
    """A refusal is one line of readable text."""
    text = str(error)
    assert "\n" not in text, f"a refusal of several lines: {text!r}"
    assert len(text) < 4000, f"a refusal of {len(text)} characters: {text[:200]!r}"


def _images(root: Path) -> Iterator[Kind]:
    files: list[tuple[str, str, Volume, Mutate]] = [
        ("nifti", "a.nii", _volume(), mutants.bytewise),
        ("nifti-float", "a.nii", _volume("float32", 2), mutants.bytewise),
        ("nifti-gz", "a.nii.gz", _volume(), mutants.gzipped(mutants.bytewise)),
        ("mha", "a.mha", _volume(), mutants.zlib_after(b"ElementDataFile = LOCAL\n", mutants.wordwise)),
        ("mhd", "a.mhd", _volume("float32"), mutants.wordwise),
        ("nrrd", "a.nrrd", _volume("uint8", 2), mutants.zlib_after(b"\n\n", mutants.wordwise)),
        ("png", "a.png", Volume(_volume("uint8").data[..., :1], np.diag([-1.0, -1, 1, 1])), mutants.bytewise),
        ("tiff", "a.tif", Volume(_volume("uint16").data[..., :1], np.diag([-1.0, -1, 1, 1])), mutants.bytewise),
    ]
    for name, file, volume, mutate in files:
        write_volume(volume, root / name / file)
        yield Kind(name, file, mutate, _read_image(file))
    yield from _foreign(root)
    shutil.copytree(root / "mhd", root / "mhd-voxels")
    yield Kind("mhd-voxels", "a.zraw", mutants.bytewise, _read_image("a.mhd"))
    for name, text in _PLAIN_TEXT.items():
        (root / name).mkdir()
        header, voxels = text
        (root / name / f"a.{name.split('-')[0]}").write_bytes(header.encode() + voxels)
        yield Kind(name, f"a.{name.split('-')[0]}", mutants.wordwise, _read_image(f"a.{name.split('-')[0]}"))


def _foreign(root: Path) -> Iterator[Kind]:
    """Kinds that Voxloom reads but does not write."""
    import bz2

    import nibabel
    import tifffile
    from PIL import Image

    voxels = _volume().data[0]
    for name in ("pair", "mgz", "mgh", "bzip2", "jpeg", "wide-tiff", "nhdr"):
        (root / name).mkdir()
    nibabel.save(nibabel.Nifti1Pair(voxels, _volume().affine), root / "pair" / "a.hdr")
    shutil.copytree(root / "pair", root / "pair-voxels")
    for name in ("mgz", "mgh"):
        nibabel.save(nibabel.MGHImage(voxels, _volume().affine), root / name / f"a.{name}")
    packed = bz2.compress(voxels.astype("<i2").tobytes(order="F"))
    (root / "bzip2" / "a.nrrd").write_bytes(_NRRD_RAW.replace("raw", "bzip2").encode() + packed)
    Image.fromarray(voxels[..., 0].astype(np.uint8)).save(root / "jpeg" / "a.jpg")
    tifffile.imwrite(root / "wide-tiff" / "a.tif", voxels[..., 0].astype(np.float64))
    write_volume(_volume(), root / "nhdr" / "a.nhdr")
    yield Kind("pair", "a.hdr", mutants.bytewise, _read_image("a.hdr"))
    yield Kind("pair-voxels", "a.img", mutants.bytewise, _read_image("a.hdr"))
    yield Kind("mgz", "a.mgz", mutants.gzipped(mutants.bytewise), _read_image("a.mgz"))
    yield Kind("mgh", "a.mgh", mutants.bytewise, _read_image("a.mgh"))
    yield Kind("bzip2", "a.nrrd", mutants.bytewise, _read_image("a.nrrd"))
    yield Kind("jpeg", "a.jpg", mutants.bytewise, _read_image("a.jpg"))
    yield Kind("wide-tiff", "a.tif", mutants.bytewise, _read_image("a.tif"))
    yield Kind("nhdr", "a.nhdr", mutants.wordwise, _read_image("a.nhdr"))


_NRRD_RAW = """NRRD0005
type: short
dimension: 3
space: left-posterior-superior
sizes: 6 5 4
space directions: (0.9,0,0) (0,1.2,0) (0,0,2.5)
kinds: domain domain domain
endian: little
encoding: raw
space origin: (1,2,3)

"""
_MHA_RAW = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 1 2 3
CenterOfRotation = 0 0 0
ElementSpacing = 0.9 1.2 2.5
DimSize = 6 5 4
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
_PLAIN_TEXT = {
    "nrrd-raw": (_NRRD_RAW, bytes(range(240))),
    "nrrd-text": (_NRRD_RAW.replace("raw", "ascii"), b"1 2 3 4 5 6\n" * 20),
    "mha-raw": (_MHA_RAW, bytes(range(240))),
}


def _dicom(root: Path) -> Iterator[Kind]:
    for name, syntax in _SYNTAXES.items():
        files = _series(root / name / "series")
        _recode(files[1], syntax)
        yield Kind(name, f"series/{files[1].name}", mutants.bytewise, _read_series)
    _enhanced(root / "dicom-enhanced" / "series")
    yield Kind("dicom-enhanced", "series/1.dcm", mutants.bytewise, _read_series)


def _series(folder: Path) -> list[Path]:
    """Three slices whose bytes do not depend on the day."""
    import pydicom

    data = np.arange(40 * 36 * 3, dtype=np.int16).reshape(1, 40, 36, 3)
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.5"}
    files = write_dicom_series(Volume(data, np.diag([-1.5, -1.5, 2.5, 1.0])), folder)
    for n, path in enumerate(files):
        dataset = pydicom.dcmread(path)
        for keyword, value in {**uids, "StudyDate": "20200101", "StudyTime": "120000"}.items():
            setattr(dataset, keyword, value)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{n + 1}"
        dataset.save_as(path)
    return files


_RLE = "1.2.840.10008.1.2.5"
_SYNTAXES = {
    "dicom": "1.2.840.10008.1.2.1",
    "dicom-implicit": "1.2.840.10008.1.2",
    "dicom-big": "1.2.840.10008.1.2.2",
    "dicom-deflated": "1.2.840.10008.1.2.1.99",
    "dicom-rle": _RLE,
    "dicom-jpeg": "1.2.840.10008.1.2.4.70",
    "dicom-jpegls": "1.2.840.10008.1.2.4.80",
    "dicom-jpeg2000": "1.2.840.10008.1.2.4.90",
}


def _recode(path: Path, syntax: str) -> None:
    """Write the slice with another transfer syntax."""
    import pydicom

    if ".1.2.4." in syntax or syntax == _RLE:
        _compress(path, syntax)
        return
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == "1.2.840.10008.1.2.2":
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    little, implicit = syntax != "1.2.840.10008.1.2.2", syntax == "1.2.840.10008.1.2"
    pydicom.dcmwrite(path, dataset, little_endian=little, implicit_vr=implicit)


def _compress(path: Path, syntax: str) -> None:
    import gdcm

    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


def _enhanced(folder: Path) -> None:
    """A multi-frame object: three frames with shared and per-frame functional groups."""
    import pydicom
    from pydicom.dataset import Dataset as Item
    from pydicom.sequence import Sequence

    files = _series(folder / "plain")
    slices = [pydicom.dcmread(f) for f in files]
    whole = slices[0]
    shared, frames = Item(), []
    for s in slices:
        position, frame = Item(), Item()
        position.ImagePositionPatient = s.ImagePositionPatient
        frame.PlanePositionSequence = Sequence([position])
        frames.append(frame)
    orientation, measures = Item(), Item()
    orientation.ImageOrientationPatient = whole.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = whole.PixelSpacing, 2.5
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    whole.SharedFunctionalGroupsSequence = Sequence([shared])
    whole.PerFrameFunctionalGroupsSequence = Sequence(frames)
    whole.NumberOfFrames = len(slices)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    whole.PixelData = b"".join(s.PixelData for s in slices)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del whole[name]
    shutil.rmtree(folder / "plain")
    whole.save_as(folder / "1.dcm")


def _read_series(folder: Path) -> None:
    series = folder / "series"
    _or_refusal(read_header, series)
    _or_refusal(read_volume, series)
    _or_refusal(_read_tilted, series)


def _read_tilted(series: Path) -> Volume:
    return read_volume(series, resample_tilt=True)


def _open_dataset(folder: Path) -> None:
    _or_refusal(_use_dataset, folder)


def _use_dataset(path: Path) -> None:
    dataset = Dataset(path)
    dataset.summary()
    for case in dataset:
        case.read_image()
        case.read_label()


def _documents(root: Path) -> Iterator[Kind]:
    from voxloom.recipe.recipe import Recipe
    from voxloom.recipe.shipped import recipe_names, shipped_text

    _nnunet(root / "json-nnunet")
    yield Kind("json-nnunet", "dataset.json", mutants.json_document, _open_dataset)
    _msd(root / "json-msd")
    yield Kind("json-msd", "dataset.json", mutants.json_document, _open_dataset)
    _nnunet(root / "json-splits")
    splits = [{"train": ["a", "b"], "val": ["c"]}, {"train": ["c"], "val": ["a", "b"]}]
    (root / "json-splits" / "splits.json").write_text(json.dumps(splits))
    dataset = Dataset(root / "json-splits")
    yield Kind(
        "json-splits",
        "splits.json",
        mutants.json_document,
        lambda folder: _or_refusal(read_splits, folder / "splits.json", dataset),
    )
    (root / "yaml-recipe").mkdir()
    text = "\n".join(shipped_text(name) for name in recipe_names()[:1]) + _RECIPE
    (root / "yaml-recipe" / "r.yaml").write_text(text)
    yield Kind(
        "yaml-recipe",
        "r.yaml",
        mutants.yaml_document,
        lambda folder: _or_refusal(lambda path: Recipe.load(path).changed({"seed": 1}).dump(), folder / "r.yaml"),
    )


_RECIPE = """
seed: 3
budget: 10m
data: {labels: {liver: 1, tumor: [2, 3]}, ignore: 255, exclude: [a, b]}
folds: {count: 5, stratify: label_volume}
prepare: {spacing: [1.0, 1.0, 2.5], crop: nonzero}
network: {features: [8, 16, 32], strides: [[1, 1, 1], [2, 2, 2], [2, 2, 2]]}
training: {batch: 2, steps: 100, patch: [32, 32, 32], learning_rate: 0.01}
inference: {overlap: 0.5, mirror: [0, 1]}
"""


def _nnunet(folder: Path) -> None:
    for name in "abc":
        write_volume(_volume(), folder / "imagesTr" / f"{name}_0000.nii")
        write_volume(_volume("uint8").with_data(_volume("uint8").data % 3), folder / "labelsTr" / f"{name}.nii")
    about = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "whole": [1, 2], "core": 2},
        "regions_class_order": [1, 2],
        "numTraining": 3,
        "file_ending": ".nii",
        "name": "small",
        "dataset": {n: {"images": [f"imagesTr/{n}_0000.nii"], "label": f"labelsTr/{n}.nii"} for n in "abc"},
    }
    (folder / "dataset.json").write_text(json.dumps(about))


def _msd(folder: Path) -> None:
    _nnunet(folder)
    about = {
        "name": "small",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "one", "2": "two"},
        "numTraining": 2,
        "training": [
            {"image": f"./imagesTr/{n}_0000.nii", "label": f"./labelsTr/{n}.nii", "fold": 0, "patient": n} for n in "ab"
        ],
        "test": ["./imagesTr/c_0000.nii"],
    }
    (folder / "dataset.json").write_text(json.dumps(about))


def _tables(root: Path) -> Iterator[Kind]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from voxloom.dataset.tables import read_table

    _nnunet(root / "csv")
    (root / "csv" / "dataset.json").unlink()
    rows = [
        f"{n},imagesTr/{n}_0000.nii,labelsTr/{n}.nii,p{n},7,{s}"
        for n, s in zip("abc", ("train", "val", "test"), strict=True)
    ]
    (root / "csv" / "cases.csv").write_text("case,image,label,patient,age,split\n" + "\n".join(rows) + "\n")
    yield Kind("csv", "cases.csv", mutants.wordwise, _open_dataset)
    (root / "parquet").mkdir()
    table = pa.table({"case": ["a", "b"], "image": ["a.nii", "b.nii"], "age": [1.5, 2.5]})
    pq.write_table(table, root / "parquet" / "t.parquet")
    yield Kind("parquet", "t.parquet", mutants.bytewise, lambda folder: _or_refusal(read_table, folder / "t.parquet"))
    (root / "npz").mkdir()
    arrays: dict[str, Any] = {
        f"{split}_{what}": np.arange(count * size, dtype=np.uint8).reshape(count, *shape)
        for split, count in (("train", 3), ("test", 2))
        for what, size, shape in (("images", 27, (3, 3, 3)), ("labels", 1, (1,)))
    }
    with zipfile.ZipFile(root / "npz" / "small.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            packed.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)
    yield Kind("npz", "small.npz", mutants.zipped(mutants.bytewise), _open_npz)


def _open_npz(folder: Path) -> None:
    from voxloom.dataset import sources

    sources._npz_member.cache_clear()
    _or_refusal(_use_dataset, folder / "small.npz")


def _own(root: Path) -> Iterator[Kind]:
    """What Voxloom itself writes: prepared cases."""
    from voxloom.prepare.store import open_arrays, write_arrays

    (root / "voxcase").mkdir()
    write_arrays(root / "voxcase" / "a.voxcase", {"image": _volume("float32").data}, {"id": "a", "rows": {}})

    def read(path: Path) -> None:
        stored = open_arrays(path)
        stored.verify()
        for name in stored.arrays:
            stored.read(name)

    yield Kind("voxcase", "a.voxcase", mutants.bytewise, lambda folder: _or_refusal(read, folder / "a.voxcase"))
