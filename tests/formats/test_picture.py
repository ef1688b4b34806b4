"""PNG and TIFF: columns are i, rows are j, and what a picture cannot hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from voxloom.errors import BadInput
from voxloom.formats import read_channels, read_header, read_label, read_volume, write_volume
from voxloom.notes import collect
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
    colored = np.stack([PIXELS, PIXELS + 1, PIXELS * 0, PIXELS], -1)
    Image.fromarray(colored).save(tmp_path / "rgba.png")
    with collect() as heard:
        assert (read_volume(tmp_path / "rgba.png").data[..., 0].transpose(2, 1, 0) == colored[..., :3]).all()
    assert "transparency" in heard[0].text  # a mask may lie in it
    colored[..., 3] = 255
    Image.fromarray(colored).save(tmp_path / "opaque.png")
    with collect() as heard:
        read_volume(tmp_path / "opaque.png")
    assert not heard


def test_color_with_equal_channels_is_grey(tmp_path: Path) -> None:
    Image.fromarray(np.stack([PIXELS] * 3, -1)).save(tmp_path / "a.png")
    v = read_volume(tmp_path / "a.png")
    assert v.channels == read_header(tmp_path / "a.png").channels == 1
    assert (v.data[0, :, :, 0].T == PIXELS).all()
    assert (read_label(tmp_path / "a.png").data[0, :, :, 0].T == PIXELS).all()
    assert read_channels(tmp_path / "a.png").channels == 3, "a data set that declares red, green, blue"


def test_a_picture_has_no_spacing(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert read_volume(tmp_path / "a.png").unit == read_header(tmp_path / "a.png").unit == "pixel"
    assert volume(np.zeros((1, 2, 2, 2))).unit == "mm"


@pytest.mark.parametrize("packed", [None, "zlib"])
@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64", "float32", "float64"]
)
def test_every_tiff_type_is_read_as_stored(dtype: str, packed: str | None, tmp_path: Path) -> None:
    low, high = (-1e300, 1e300) if dtype == "float64" else (-1.5, 7e9) if dtype == "float32" else _ends(dtype)
    pixels = np.array([[low, 0, 1], [2, 3, high]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", compression=packed)
    v = read_volume(tmp_path / "a.tif")
    assert v.data.dtype == dtype == read_header(tmp_path / "a.tif").dtype
    assert (pixels == v.data[0, :, :, 0].T).all()


def _ends(dtype: str) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "float32"])
def test_white_is_zero_is_read_as_stored_and_told(dtype: str, tmp_path: Path) -> None:
    pixels = (np.eye(5, 4) * (1 if dtype == "bool" else 200)).astype(dtype)
    for way in ("miniswhite", "minisblack"):
        tifffile.imwrite(tmp_path / f"{way}.tif", pixels, photometric=way)
    white, black = (read_label(tmp_path / f"{way}.tif") for way in ("miniswhite", "minisblack"))
    assert (white.data == black.data).all()
    assert white.data.max() == (1 if dtype == "bool" else 200)
    assert "WhiteIsZero" in white.meta["geometry_note"]
    assert "geometry_note" not in black.meta


def test_a_thumbnail_is_no_page(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(PIXELS[:1, :2].copy(), subfiletype=1)
        file.write(PIXELS)
    assert (read_volume(tmp_path / "a.tif").data[0, :, :, 0].T == PIXELS).all()
    assert read_header(tmp_path / "a.tif").shape == (4, 3, 1)


def test_an_imagej_stack_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, description="ImageJ=1.53\nimages=7\n", metadata=None)
    with pytest.raises(BadInput, match="ImageJ stack of 7 images"):
        read_volume(tmp_path / "a.tif")


def test_jpeg_is_an_image_never_a_label(tmp_path: Path) -> None:
    for ending in (".jpg", ".jpeg"):
        Image.fromarray(np.full((3, 4), 90, np.uint8)).save(tmp_path / f"a{ending}", format="JPEG")
        assert read_volume(tmp_path / f"a{ending}").data.tolist() == np.full((1, 4, 3, 1), 90).tolist()
        with pytest.raises(BadInput, match="is a JPEG, which changes label values"):
            read_label(tmp_path / f"a{ending}")
        with pytest.raises(BadInput, match="the ending is none of"):
            write_volume(volume(np.zeros((1, 3, 3, 1), np.uint8)), tmp_path / f"b{ending}")


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
