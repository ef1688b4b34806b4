"""PNG and TIFF: columns are i, rows are j, and what a picture cannot hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voxloom.errors import BadInput
from voxloom.formats import read_header, read_label, read_volume, write_volume
from voxloom.volume import Volume

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def volume(data: np.ndarray) -> Volume:
    return Volume(data, np.eye(4))


def test_columns_and_rows(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    v = read_volume(tmp_path / "a.png")
    assert v.data.shape == (1, 4, 3, 1)
    assert v.data[0, 3, 1, 0] == PIXELS[1, 3]
    assert v.orientation == "LPS"
    assert v.spacing == (1, 1, 1)


@pytest.mark.parametrize(
    ("ending", "dtype"),
    [
        (".png", "uint8"),
        (".png", "uint16"),
        (".tif", "uint8"),
        (".tif", "uint16"),
        (".tif", "int32"),
        (".tif", "float32"),
    ],
)
def test_round_trip(ending: str, dtype: str, tmp_path: Path) -> None:
    data = (np.arange(20).reshape(1, 5, 4, 1) * (1000 if dtype != "uint8" else 1)).astype(dtype)
    path = write_volume(volume(data), tmp_path / f"a{ending}")
    again = read_volume(path)
    assert again.data.dtype == dtype == read_header(path).dtype
    assert (again.data == data).all()


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_color(ending: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 255, (3, 5, 4, 1)).astype(np.uint8)
    path = write_volume(volume(data), tmp_path / f"a{ending}")
    assert (read_volume(path).data == data).all()
    assert read_header(path).channels == 3


def test_masks(tmp_path: Path) -> None:
    path = write_volume(volume(np.eye(4, dtype=bool)[None, ..., None]), tmp_path / "a.png")
    assert read_label(path).data.max() == 1
    palette = Image.fromarray(PIXELS % 3, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "p.png")
    assert (read_label(tmp_path / "p.png").data[0, :, :, 0].T == PIXELS % 3).all()
    assert read_volume(tmp_path / "p.png").channels == 3
    small = volume(np.arange(4, dtype=np.int64).reshape(1, 2, 2, 1))
    assert read_label(write_volume(small, tmp_path / "i.png")).data.dtype == np.uint8


def test_one_bit_and_transparency(tmp_path: Path) -> None:
    Image.fromarray(PIXELS > 3).save(tmp_path / "bit.png")
    assert read_volume(tmp_path / "bit.png").data.max() == 1
    Image.fromarray(PIXELS).convert("RGBA").save(tmp_path / "rgba.png")
    assert read_volume(tmp_path / "rgba.png").channels == 3


@pytest.mark.parametrize("data", [np.zeros((1, 3, 3, 2), np.uint8), np.zeros((2, 3, 3, 1), np.uint8)])
def test_refuses_to_write_a_stack(data: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a picture holds one slice with 1 or 3 channels"):
        write_volume(volume(data), tmp_path / "a.png")


def test_refuses_to_round(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot hold values of type float32"):
        write_volume(volume(np.zeros((1, 3, 3, 1), np.float32)), tmp_path / "a.png")
    with pytest.raises(BadInput, match="cannot hold values from -1 to -1"):
        write_volume(volume(np.full((1, 3, 3, 1), -1, np.int16)), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_refuses_pages_and_nan(tmp_path: Path) -> None:
    page = Image.fromarray(PIXELS)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with pytest.raises(BadInput, match="has 2 pages, one is read"):
        read_volume(tmp_path / "a.tif")
    Image.fromarray(np.full((2, 2), np.nan, np.float32)).save(tmp_path / "n.tif")
    with pytest.raises(BadInput, match="holds 4 NaN"):
        read_volume(tmp_path / "n.tif")


def test_refuses_16_bit_color(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" + bytes(12))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    with pytest.raises(BadInput, match="16 bits per channel"):
        read_volume(tmp_path / "a.png")
