"""A scan that is unlike the training scans is told, one that is like them is not."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.study.conftest import Trained
from voxloom.cli.app import run
from voxloom.dataset import Dataset
from voxloom.dataset.inspect import fingerprint
from voxloom.formats import read_volume, write_volume
from voxloom.run.scan_check import TrainedOn
from voxloom.volume import Volume

SHARED = Path(os.environ.get("VOXLOOM_DATA", Path(__file__).parents[3] / "shared" / "data"))


def trained_on(dataset: Dataset) -> TrainedOn:
    return TrainedOn(fingerprint(dataset, workers=0).readable, dataset.channels, dataset.channel_kinds)


@pytest.mark.parametrize(("name", "count"), [("hippocampus", 30), ("lumbar-mr", 12), ("heads", 8), ("cardiac-2d", 20)])
def test_held_out_cases_are_like_the_others(name: str, count: int) -> None:
    """Hippocampus images have maxima from 4 to 1.7 million; that is no reason to cry wolf."""
    dataset = Dataset(SHARED / name)
    dataset = dataset.subset([case.id for case in dataset][:count])
    known = trained_on(dataset)
    for number, case in enumerate(dataset):
        rest = random.Random(number).sample([c for c in known.cases if c.id != case.id], max(5, count // 2))
        assert replace(known, cases=tuple(rest)).compare(case.read_image()) is None, case.id


def test_a_ct_run_and_heads_on_mr() -> None:
    heads = Dataset(SHARED / "heads")
    ct = read_volume(SHARED / "ct-torso" / "ct.nii.gz")
    known = trained_on(heads.subset([case.id for case in heads][:4]))
    assert "values from -1023 to 269" in str(known.compare(ct))
    facts = replace(
        known.cases[0],
        channels={known.channels[0]: replace(known.cases[0].channels[known.channels[0]], whole=whole(ct))},
    )
    of_ct = replace(known, cases=(facts,))
    told = str(of_ct.compare(next(iter(heads)).read_image()))
    assert "without air" in told
    assert "trained: -1023" in told


def whole(volume: Volume):  # type: ignore[no-untyped-def]
    from voxloom.dataset.inspect.intensities import describe_channel

    return describe_channel(volume.data[0], None).whole


def phantom(
    spacing: tuple[float, float, float] = (1, 1, 4), shape: tuple[int, int, int] = (40, 40, 10), **meta: str
) -> Volume:
    data = np.random.default_rng(0).normal(300, 60, shape).astype(np.float32)
    return Volume(data[None], np.diag([*spacing, 1.0]), meta)


@pytest.fixture(scope="module")
def axial(tmp_path_factory: pytest.TempPathFactory) -> TrainedOn:
    root = tmp_path_factory.mktemp("axial")
    for n in range(3):
        write_volume(phantom(), root / "imagesTr" / f"c{n}_0000.nii.gz")
        label = phantom().with_data((phantom().data > 300).astype(np.uint8))
        write_volume(label, root / "labelsTr" / f"c{n}.nii.gz")
    about = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "a": 1},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(about))
    known = trained_on(Dataset(root))
    return replace(known, cases=tuple(replace(case, modality="MR") for case in known.cases))


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (phantom(), None),
        (phantom((0.6, 0.6, 3.0), (60, 60, 12)), None),
        (phantom((1, 1, 4), (100, 100, 10)), "an extent of 100 x 100 x 40 mm (trained: 40 x 40 x 40)"),
        (phantom((0.2, 0.2, 4), (200, 200, 10)), "voxels of 0.2 x 0.2 x 4 mm (trained: 1 x 1 x 4)"),
        (phantom((2.5, 1, 1), (16, 40, 40)), "sagittal slices (trained: axial)"),
        (phantom(modality="CT"), "modality CT (trained: MR)"),
        (phantom(modality="MR"), None),
        (phantom(unit="pixel"), "it has no voxel size, and its pixels count as 1 mm"),
        (phantom((1, 1, 4), (40, 40, 1)), "it is a single slice"),
        (phantom().with_data(phantom().data * 3000), None),
        (phantom().with_data(phantom().data - 1300), "values from"),
    ],
)
def test_each_difference_has_its_words(axial: TrainedOn, scan: Volume, words: str | None) -> None:
    told = axial.compare(scan)
    assert told is None if words is None else told is not None and words in told


def test_a_scale_matters_where_it_is_kept(axial: TrainedOn) -> None:
    kept = replace(axial, kinds=("noNorm",))
    assert kept.compare(phantom().with_data(phantom().data * 1.5)) is None
    assert "values from" in str(kept.compare(phantom().with_data(phantom().data * 30)))


def test_predict_and_evaluate_say_it(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    like = next((trained.unseen / "imagesTr").glob("*.nii.gz"))
    scan = read_volume(like)
    odd = write_volume(Volume(scan.data - 1200, scan.affine), tmp_path / "odd.nii.gz")
    capsys.readouterr()
    assert run(["predict", str(trained.run.folder), str(like), str(odd), "-o", str(tmp_path / "out"), "--json"]) == 0
    screen = capsys.readouterr()
    notes = json.loads(screen.out)["notes"]
    assert [n["files"] for n in notes] == [[str(odd)]]
    assert notes[0]["note"].startswith("unlike the training scans: values from")
    assert "Warning: unlike the training scans" in screen.err
