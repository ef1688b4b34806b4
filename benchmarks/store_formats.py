"""Which chunk format holds prepared cases best: write time, size, random patch reads, whole reads.

Run: ``python benchmarks/store_formats.py``. Two kinds of case: 40 small ones (36 x 50 x 35) and one large
(256 x 256 x 200), smooth anatomy-like images with noise of integer source values, z-scored float32, with a label map.
Prints a table; figures go to RESULTS.md.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import zarr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from voxloom.prepare.store import open_arrays, write_arrays

Array = NDArray[Any]
CHUNK, BLOCK, PATCH = 64, 32, 64


def make_case(shape: tuple[int, int, int], seed: int) -> Array:
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=shape), 6)
    grey = np.rint(1000 + 400 * smooth / smooth.std() + rng.normal(scale=30, size=shape))
    return ((grey - grey.mean()) / grey.std()).astype(np.float32)[None]


def sides(array: Array, size: int) -> tuple[int, ...]:
    return (1, *(min(size, n) for n in array.shape[1:]))


def blosc(
    codec: blosc2.Codec, filters: list[blosc2.Filter], level: int
) -> tuple[Callable[..., None], Callable[..., Any]]:
    def write(array: Array, path: Path) -> None:
        settings = {"codec": codec, "clevel": level, "filters": filters, "nthreads": 1}
        chunks, blocks = sides(array, CHUNK), sides(array, BLOCK)
        blosc2.asarray(
            array,
            urlpath=str(path),
            mode="w",
            chunks=chunks,
            blocks=blocks,
            cparams=settings,
        )

    return write, lambda path: blosc2.open(str(path), mode="r", mmap_mode="r", dparams={"nthreads": 1})


def write_zarr(array: Array, path: Path) -> None:
    store = zarr.create_array(str(path), shape=array.shape, dtype=array.dtype, chunks=sides(array, CHUNK))
    store[...] = array


def write_voxcase(array: Array, path: Path) -> None:
    write_arrays(path, {"image": array}, {})


class Reader:
    """A prepared case's image with the brackets that the other formats have."""

    def __init__(self, path: Path) -> None:
        self.stored = open_arrays(path)
        self.shape = self.stored.arrays["image"].shape

    def __getitem__(self, where: Any) -> Array:
        return self.stored.read("image", None if where is Ellipsis else where)


def formats() -> dict[str, tuple[Callable[..., None], Callable[..., Any]]]:
    shuffle, bits, plain = (
        [blosc2.Filter.SHUFFLE],
        [blosc2.Filter.BITSHUFFLE],
        [blosc2.Filter.NOFILTER],
    )
    return {
        "npy memory map": (
            lambda a, p: np.save(p, a),
            lambda p: np.load(p, mmap_mode="r"),
        ),
        "zarr (zstd)": (write_zarr, lambda p: zarr.open_array(str(p), mode="r")),
        "b2nd lz4 shuffle 5": blosc(blosc2.Codec.LZ4, shuffle, 5),
        "b2nd lz4 bitshuffle 5": blosc(blosc2.Codec.LZ4, bits, 5),
        "b2nd lz4 unfiltered 5": blosc(blosc2.Codec.LZ4, plain, 5),
        "b2nd zstd unfiltered 1": blosc(blosc2.Codec.ZSTD, plain, 1),
        "b2nd zstd shuffle 1": blosc(blosc2.Codec.ZSTD, shuffle, 1),
        "b2nd zstd bitshuffle 1": blosc(blosc2.Codec.ZSTD, bits, 1),
        "voxcase (checksums)": (write_voxcase, Reader),
    }


def timed(work: Callable[[], Any], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def size_of(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def patches(paths: list[Path], opened: Callable[..., Any], count: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        array = opened(paths[number % len(paths)])
        where = [slice(None)]
        for n in array.shape[1:]:
            start = int(rng.integers(0, max(1, n - PATCH + 1)))
            where.append(slice(start, start + PATCH))
        np.array(array[tuple(where)])


def measure(name: str, cases: list[Array], folder: Path) -> str:
    write, opened = formats()[name]
    paths = [folder / f"{n}.npy" for n in range(len(cases))]

    def write_all() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for case, path in zip(cases, paths, strict=True):
            write(case, path)

    written = timed(write_all, 3)
    share = sum(map(size_of, paths)) / sum(case.nbytes for case in cases)
    patch = timed(lambda: patches(paths, opened, 40)) / 40
    whole = timed(lambda: [np.array(opened(path)[...]) for path in paths]) / len(paths)
    return f"| {name} | {1e3 * written / len(cases):.2f} | {share:.2f} | {1e3 * patch:.2f} | {1e3 * whole:.2f} |"


def main() -> None:
    kinds = {
        "small, 36 x 50 x 35": [make_case((36, 50, 35), seed) for seed in range(40)],
        "large, 256 x 256 x 200": [make_case((256, 256, 200), 0)],
    }
    with tempfile.TemporaryDirectory() as folder:
        for kind, cases in kinds.items():
            print(f"\n{kind}\n\n| format | write ms | size of raw | open + random patch ms | open + whole ms |")
            print("|---|---|---|---|---|")
            for name in formats():
                print(measure(name, cases, Path(folder) / "case"))


if __name__ == "__main__":
    main()
