"""The cache: found again, never stale, whole after a kill, shared by processes, remade when damaged."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
import pytest

from voxloom.dataset import Dataset, Label, Labels
from voxloom.errors import BadInput, VoxloomError
from voxloom.prepare import (
    Cache,
    PreparedSet,
    PrepareSettings,
    Statistics,
    measure_statistics,
    prepare_image,
)
from voxloom.prepare.store import Damaged, open_arrays, write_arrays

SETTINGS = PrepareSettings(spacing=(1.0, 1.0, 1.0))


def write_dataset(folder: Path, count: int = 4, shape: tuple[int, int, int] = (14, 12, 10)) -> Path:
    """A small nnU-Net raw data set: grey values 100 n + label * 10, labels 0..2."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    for n in range(count):
        rng = np.random.default_rng(n)
        label = np.zeros(shape, np.uint8)
        label[3:8, 3:8, 3:8], label[8:11, 3:8, 3:8] = 1, 2
        grey = (100 * n + 10.0 * label + rng.normal(size=shape)).astype(np.float32)
        nib.save(nib.Nifti1Image(grey, affine), folder / "imagesTr" / f"case_{n}_0000.nii.gz")
        nib.save(nib.Nifti1Image(label, affine), folder / "labelsTr" / f"case_{n}.nii.gz")
    description = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "front": 1, "back": 2},
    }
    description |= {"numTraining": count, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(write_dataset(tmp_path / "Dataset001_Test"))


def files(prepared: PreparedSet) -> list[Path]:
    return [case.path for case in prepared.values()]


def test_a_prepared_case_is_what_prepare_image_gives(dataset: Dataset, tmp_path: Path) -> None:
    prepared = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    assert list(prepared) == [case.id for case in dataset]
    assert prepared.made == 4
    case = prepared["case_1"]
    expected, geometry = prepare_image(dataset["case_1"].read_image(), SETTINGS)
    np.testing.assert_array_equal(case.image(), expected)
    assert case.geometry == geometry
    assert (case.shape, case.spacing) == (geometry.shape, pytest.approx((1, 1, 1)))
    part = (slice(2, 9), slice(0, 5), slice(7, 20))
    np.testing.assert_array_equal(case.image(part), expected[(slice(None), *part)])
    inner = case.label()
    assert inner is not None
    assert set(np.unique(inner)) == {0, 1, 2}
    np.testing.assert_array_equal(case.label(part), inner[part])
    for number, voxels in case.foreground.items():
        assert voxels.dtype == np.int32
        assert (inner[tuple(voxels.T)] == number).all()
        assert len(voxels) == (inner == number).sum()


def test_the_second_time_nothing_is_made(dataset: Dataset, tmp_path: Path) -> None:
    first = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    again = Cache(tmp_path / "cache").prepare(dataset, SETTINGS, workers=2)
    assert again.made == 0
    assert files(again) == files(first)
    assert pickle.loads(pickle.dumps(again["case_2"])).image().shape == first["case_2"].image().shape


@pytest.mark.parametrize(
    "change",
    [
        {"spacing": (1.0, 1.0, 1.5)},
        {"normalize": "minmax"},
        {"orientation": "LPS"},
        {"crop": "body"},
        {"pad_to": (32, 1, 1)},
    ],
)
def test_another_setting_is_another_file(dataset: Dataset, tmp_path: Path, change: dict[str, object]) -> None:
    first = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    other = Cache(tmp_path / "cache").prepare(dataset, SETTINGS.model_copy(update=change))
    assert other.made == 4
    assert not set(files(first)) & set(files(other))


def test_other_labels_are_another_file(dataset: Dataset, tmp_path: Path) -> None:
    whole = Labels((Label("whole", (1, 2)),))
    Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    other = Cache(tmp_path / "cache").prepare(dataset, SETTINGS, labels=whole)
    assert other.made == 4


def test_changed_source_bytes_are_prepared_again(dataset: Dataset, tmp_path: Path) -> None:
    first = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    path = dataset["case_3"].source_files[0]
    before = path.stat()
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::-1].copy(), image.affine), path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    assert again.made == 1
    np.testing.assert_allclose(again["case_3"].image(), first["case_3"].image()[:, ::-1], atol=1e-5)


@pytest.mark.parametrize("harm", ["cut", "flip", "header", "empty"])
def test_a_damaged_file_is_noticed_and_made_again(dataset: Dataset, tmp_path: Path, harm: str) -> None:
    first = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    path, whole = first["case_0"].path, first["case_0"].path.read_bytes()
    middle = 30 if harm == "header" else len(whole) - 40
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"cut": whole[:-7], "flip": flipped, "header": flipped, "empty": b""}[harm])
    again = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    assert again.made == 1
    assert path.read_bytes() == whole


def test_damage_under_a_reader_is_an_error_not_wrong_voxels(dataset: Dataset, tmp_path: Path) -> None:
    case = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)["case_0"]
    case.image()
    whole = bytearray(case.path.read_bytes())
    whole[len(whole) // 2] ^= 1
    case.path.write_bytes(whole)
    with pytest.raises(Damaged, match="damaged"):
        case.image()


def test_leftovers_of_killed_writers_are_removed(dataset: Dataset, tmp_path: Path) -> None:
    from voxloom.files import part_path

    root = tmp_path / "cache"
    root.mkdir()
    ours = part_path(root)
    dead = root / ours.name.replace(f"-{os.getpid()}-", "-999999999-")
    elsewhere = root / dead.name.replace(dead.name[1:9], "0" * 8)
    for path in (dead, elsewhere):
        path.write_bytes(b"half a case")
    Cache(root).prepare(dataset, SETTINGS)
    assert not dead.exists()
    assert ours.exists(), "its writer lives"
    assert elsewhere.exists(), "nobody here knows whether its writer lives"


def test_a_clock_that_goes_backwards_harms_no_writer(dataset: Dataset, tmp_path: Path) -> None:
    from voxloom.files import part_path

    root = tmp_path / "cache"
    root.mkdir()
    ours = part_path(root)
    os.utime(ours, (time.time() + 10**8,) * 2)
    assert Cache(root).prepare(dataset, SETTINGS).made == len(dataset)
    assert ours.exists()


def test_one_bad_case_is_named_and_the_others_are_prepared(dataset: Dataset, tmp_path: Path) -> None:
    broken = dataset[1].source_files[0]
    broken.write_bytes(broken.read_bytes()[:400])
    with pytest.raises(BadInput, match=broken.name):
        Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    assert len(list((tmp_path / "cache").glob("*.voxcase"))) == len(dataset) - 1


@pytest.mark.parametrize("normalize", ["zscore", "ct"])  # "ct" measures the training cases before any is prepared
@pytest.mark.parametrize("which", [0, 1])
def test_several_bad_cases_are_counted(
    dataset: Dataset, tmp_path: Path, normalize: Literal["zscore", "ct"], which: int
) -> None:
    for case in list(dataset)[:2]:
        path = case.source_files[which]
        path.write_bytes(path.read_bytes()[:60])
    settings = PrepareSettings(spacing=(1.0, 1.0, 1.0), normalize=normalize)
    with pytest.raises(BadInput, match=r"in 2 cases \(case_0, case_1\).*: "):
        Cache(tmp_path / "cache").prepare(dataset, settings)


SCRIPT = """
import sys
from voxloom.dataset import Dataset
from voxloom.prepare import Cache, PrepareSettings
done = Cache(sys.argv[2]).prepare(Dataset(sys.argv[1]), PrepareSettings(spacing=(0.25, 0.25, 0.25)),
                                  workers=int(sys.argv[3]))
print(done.made)
"""


def start(data: Path, root: Path, workers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(data), str(root), str(workers)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_work_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data, root = (
        write_dataset(tmp_path / "data", count=12, shape=(24, 24, 16)),
        tmp_path / "cache",
    )
    process = start(data, root, workers=2)
    while len(list(root.glob("*.voxcase"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    time.sleep(0.5)  # workers end at the next case, when they find the parent gone
    kept = {path: path.read_bytes() for path in root.glob("*.voxcase")}
    prepared = Cache(root).prepare(Dataset(data), PrepareSettings(spacing=(0.25, 0.25, 0.25)), workers=1)
    assert len(kept) >= 3
    assert prepared.made == 12 - len(kept)
    assert all(path.read_bytes() == content for path, content in kept.items())
    for case in prepared.values():
        open_arrays(case.path).verify()


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    data, root = write_dataset(tmp_path / "data", count=6), tmp_path / "cache"
    processes = [start(data, root, workers=1) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert len(list(root.glob("*.voxcase"))) == 6
    assert not list(root.glob(".*part*"))
    assert Cache(root).prepare(Dataset(data), PrepareSettings(spacing=(0.25, 0.25, 0.25))).made == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_names_the_case(dataset: Dataset, tmp_path: Path, workers: int) -> None:
    path = dataset["case_2"].label
    nib.save(
        nib.Nifti1Image(np.full((14, 12, 10), 3, np.uint8), np.diag([-1.0, 1.0, 2.0, 1.0])),
        path,
    )
    with pytest.raises(BadInput, match="case_2"):
        Cache(tmp_path / "cache").prepare(dataset, SETTINGS, workers=workers)


def test_a_cache_folder_that_cannot_be_made_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(VoxloomError, match="cache folder cannot be used"):
        Cache(tmp_path / "file" / "cache").prepare(dataset, SETTINGS)


def test_statistics_are_those_of_the_foreground(dataset: Dataset) -> None:
    found = measure_statistics(dataset.cases, SETTINGS, dataset.labels, workers=1)
    values = []
    for case in dataset:
        label = case.read_label()
        assert label is not None
        values.append(case.read_image().data[0][label.data[0] > 0])
    pooled = np.concatenate(values).astype(np.float64)
    (channel,) = found.channels
    expected = [pooled.mean(), pooled.std(), *np.percentile(pooled, (0.5, 99.5))]
    np.testing.assert_allclose([channel.mean, channel.sd, channel.lo, channel.hi], expected, rtol=1e-5)
    assert measure_statistics(tuple(reversed(dataset.cases)), SETTINGS, dataset.labels, workers=2) == found
    assert Statistics.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_the_cache_measures_and_keys_statistics(dataset: Dataset, tmp_path: Path) -> None:
    settings = PrepareSettings(normalize="ct")
    measured = Cache(tmp_path / "cache").prepare(dataset, settings)
    assert measured.statistics == measure_statistics(dataset.cases, settings, dataset.labels, workers=1)
    few = measure_statistics(dataset.cases[:2], settings, dataset.labels, workers=1)
    assert Cache(tmp_path / "cache").prepare(dataset, settings, statistics=few).made == 4


def test_large_arrays_are_read_by_chunks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image, label = (
        rng.normal(size=(2, 70, 100, 50)).astype(np.float32),
        rng.integers(0, 9, (70, 100, 50)).astype(np.uint16),
    )
    path = write_arrays(
        tmp_path / "case é.voxcase",
        {"image": image, "label": label, "none": label[:0]},
        {"note": 1},
    )
    stored = open_arrays(path)
    assert stored.info == {"note": 1}
    assert len(stored.arrays["image"].index) == 2 * 2 * 3 * 2
    for _ in range(20):
        low = rng.integers(0, 40, 3)
        where = tuple(slice(int(a), int(a + rng.integers(0, 60))) for a in low)
        np.testing.assert_array_equal(stored.read("image", (slice(None), *where)), image[(slice(None), *where)])
        np.testing.assert_array_equal(stored.read("label", where), label[where])
    np.testing.assert_array_equal(stored.read("image", (slice(1, 2), *[slice(None)] * 3)), image[1:2])
    assert stored.read("none").shape == (0, 100, 50)


def test_real_hippocampus_cases_come_back_voxel_for_voxel(data_dir: Path, tmp_path: Path) -> None:
    whole = Dataset(data_dir / "hippocampus")
    some = whole.subset([case.id for case in whole][:10])
    prepared = Cache(tmp_path).prepare(some, PrepareSettings(pad_to=(48, 64, 48)))
    for case in some:
        truth = case.read_label()
        assert truth is not None
        restored = prepared[case.id].geometry.restore_labels(prepared[case.id].label())
        np.testing.assert_array_equal(some.labels.decode(restored), truth.data[0])
        assert abs(float(prepared[case.id].image().max())) < 100
