"""Files that are made to fill the memory: refused before they can, by every reader that unpacks something."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.formats import checks, gunzip, read_volume, write_dicom_series, write_volume
from voxloom.volume import Volume

MIB = 1 << 20


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits at 8 MiB instead of 1 GiB, so that the bombs are quickly made."""
    monkeypatch.setattr(checks, "BOMB_BYTES", 8 * MIB)
    monkeypatch.setattr(gunzip, "_MOST_SURPLUS", 8 * MIB)


def packed_zeros(count: int, head: bytes = b"") -> bytes:
    """gzip of ``head`` and ``count`` zero bytes."""
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=9) as f:
        f.write(head)
        for _ in range(count >> 20):
            f.write(bytes(1 << 20))
    return target.getvalue()


@pytest.fixture(scope="module")
def zeros() -> bytes:
    """12 MiB of zeros, packed."""
    return packed_zeros(12 * MIB)


def nifti_header(tmp_path: Path, grid: tuple[int, int, int], slope: float = 1.0) -> bytes:
    write_volume(Volume(np.zeros((1, 2, 2, 2), np.uint8), np.eye(4)), tmp_path / "small.nii")
    head = bytearray((tmp_path / "small.nii").read_bytes()[:352])
    head[42:48] = np.array(grid, "<i2").tobytes()
    head[112:116] = np.array(slope, "<f4").tobytes()
    return bytes(head)


def refused(path: Path, reason: str) -> None:
    """The file is refused before memory for its voxels is taken."""
    tracemalloc.start()
    with pytest.raises(BadInput, match=reason):
        read_volume(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * MIB


def test_gzipped_nifti(tmp_path: Path, zeros: bytes) -> None:
    head = nifti_header(tmp_path, (96, 512, 256))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(head) + zeros)
    refused(tmp_path / "a.nii.gz", r"made to fill the memory")


def test_gzipped_nifti_that_grows_by_its_scale(tmp_path: Path) -> None:
    head = nifti_header(tmp_path, (64, 256, 256), slope=0.5)
    (tmp_path / "a.nii.gz").write_bytes(packed_zeros(4 * MIB, head))
    refused(tmp_path / "a.nii.gz", r"made to fill the memory")


def test_gzipped_nifti_with_far_more_behind_its_voxels(tmp_path: Path, zeros: bytes) -> None:
    head = nifti_header(tmp_path, (4, 4, 4))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(head) + zeros)
    refused(tmp_path / "a.nii.gz", "holds far more data than its header promises")


def test_claims_beyond_what_gzip_can_pack(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(nifti_header(tmp_path, (32767, 32767, 32767)) + bytes(99)))
    refused(tmp_path / "a.nii.gz", "more than .* compressed bytes can hold")


def test_packed_nrrd(tmp_path: Path, zeros: bytes) -> None:
    text = b"NRRD0005\ntype: uchar\ndimension: 3\nsizes: 96 512 256\nencoding: gzip\n\n"
    (tmp_path / "a.nrrd").write_bytes(text + zeros)
    refused(tmp_path / "a.nrrd", "made to fill the memory")


def test_npz(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "|u1", "fortran_order": False, "shape": (1, 12, 1024, 1024)}
        )
        with packed.open("train_images.npy", "w") as f:
            f.write(head.getvalue())
            for _ in range(12):
                f.write(bytes(1 << 20))
    with pytest.raises(BadInput, match="made to fill the memory"):
        Dataset(tmp_path / "a.npz")


def test_npz_that_promises_more_than_its_member(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("train_labels.npy", head.getvalue())
    with pytest.raises(BadInput, match="the header promises"):
        Dataset(tmp_path / "a.npz")


def test_deflated_dicom(tmp_path: Path) -> None:
    import pydicom

    path = write_dicom_series(Volume(np.zeros((1, 4, 4, 1), np.int16), np.diag([-1.0, -1, 1, 1])), tmp_path / "s")[0]
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.PixelData = b""
    pydicom.dcmwrite(path, dataset, little_endian=True, implicit_vr=False)
    meta = pydicom.filereader.read_file_meta_info(path)
    start = 132 + 12 + meta.FileMetaInformationGroupLength
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(12)) + squeeze.flush()
    path.write_bytes(path.read_bytes()[:start] + bomb)
    refused(path, "unpacks to far more than images do")


def test_dicom_length_that_lies_takes_no_memory(tmp_path: Path) -> None:
    path = write_dicom_series(Volume(np.zeros((1, 4, 4, 1), np.int16), np.diag([-1.0, -1, 1, 1])), tmp_path / "s")[0]
    content = path.read_bytes()
    at = content.index(b"\x08\x00\x18\x00UI")
    path.write_bytes(content[:at] + b"\x08\x00\x18\x00OB\x00\x00\xf0\xff\xff\xff" + content[at + 8 :])
    refused(path, "")


def test_yaml_aliases(tmp_path: Path) -> None:
    from voxloom.recipe.recipe import Recipe

    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (tmp_path / "r.yaml").write_text("\n".join(lines) + "\nname: *a11\n")
    with pytest.raises(BadInput, match=r"an alias \(`\*name`\) is not allowed"):
        Recipe.load(tmp_path / "r.yaml")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000])
def test_deep_json(text: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(BadInput, match="JSON"):
        Dataset(tmp_path)


def test_picture(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4000, 3000, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(12001 * 3000), 9))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b""))
    refused(tmp_path / "a.png", "made to fill the memory")
