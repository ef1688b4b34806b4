"""A real run of two channels behind the node: order of channels, the series that results refer to, grids, and a channel less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from tests.archive.make import uid
from tests.serve.conftest import FEW_STEPS
from tests.serve.node.parts import Peer, Place, send, until
from tests.study.conftest import write_balls
from voxloom.dataset import Dataset
from voxloom.formats import read_label, read_volume, write_volume
from voxloom.formats.dicom import write_series
from voxloom.recipe.recipe import Recipe
from voxloom.serve.engine import Engine
from voxloom.serve.node.engine import open_node
from voxloom.serve.node.store import states_in
from voxloom.verbs.predict import predict
from voxloom.verbs.train import train
from voxloom.volume import Volume


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Balls in whole numbers, and as a second channel their negative."""
    root = write_balls(tmp_path_factory.mktemp("pairs") / "data", 4)
    for path in sorted((root / "imagesTr").glob("*_0000.nii.gz")):
        volume = read_volume(path)
        whole = volume.with_data(volume.data.round().astype(np.int16))
        write_volume(whole, path)
        write_volume(whole.with_data(np.int16(300) - whole.data), Path(str(path).replace("_0000", "_0001")))
    about = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**about, "channel_names": {"0": "T1", "1": "T2"}}))
    return root


@pytest.fixture(scope="module")
def engine(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A run of few steps that learned to do without a channel, called ``pair``."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = Recipe.load("auto").changed({**FEW_STEPS, "augment.channel_dropout": 0.3})
    run = train(Dataset(data), recipe, out=tmp_path_factory.mktemp("runs") / "pair")
    torch.set_num_threads(before)
    made = Engine({"pair": run.folder}, device="cpu")
    yield made
    made.close()


def slices(volume: Volume, folder: Path, study: str, weighting: str, frame: str = "") -> list[Path]:
    """A volume as a series of a study, whose frame of reference is that of the study or another."""
    template = {
        "StudyInstanceUID": uid("study", study), "SeriesInstanceUID": uid("series", study, weighting), "PatientID": study,
        "FrameOfReferenceUID": uid("frame", study, frame), "SeriesDescription": f"head {weighting}",
    }  # fmt: skip
    return write_series(volume, folder / study / weighting, template=template)


def segmentations(peer: Peer) -> dict[str, Path]:
    """The segmentations that came, by the series that they refer to."""
    found = {}
    for path in peer.folder.glob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        (referenced,) = header.ReferencedSeriesSequence
        assert referenced.SeriesInstanceUID not in found, "one result of a study"
        found[str(referenced.SeriesInstanceUID)] = path
    return found


def notes(place: Place) -> list[str]:
    """What the list tells of results, in alphabetical order."""
    return sorted(task.note for one in states_in(place.queue) for task in one.state.tasks)


def test_the_run_sees_its_channels_as_it_learned_them(engine: Engine, data: Path, place: Place, tmp_path: Path) -> None:
    channels = {name: {"SeriesDescription": {"contains": name}} for name in ("T2", "T1")}
    rule: dict[str, Any] = {"name": "pair", "run": "pair", "channels": channels, "wait": 3, "to": ["pacs"]}
    place.write(rules=[rule], predict={"first": 0.1, "attempts": 1})
    t1 = read_volume(data / "imagesTr" / "ball00_0000.nii.gz")
    t2 = read_volume(data / "imagesTr" / "ball00_0001.nii.gz")
    lower = Volume(t2.data[:, :, :, :-1], t2.affine)
    studies = {"both": (t2, t1), "lower": (lower, t1), "moved": (lower, t1), "half": (t2,)}
    files = [
        slices(volume, tmp_path, study, weighting, weighting if study == "moved" else "")
        for study, volumes in studies.items()
        for weighting, volume in zip(("T2", "T1"), volumes, strict=False)
    ]
    node = open_node(engine, place.settings, aet="VOXLOOM", host="127.0.0.1", port=0)
    node.start()
    for series in files:
        send(node.port, series)
    until(lambda: place.states() == ["dead", "sent", "sent", "sent"], seconds=90)
    node.close()
    assert "channel T2: lies on another grid than channel T1: the channels have different frames of" in place.audit()
    found = segmentations(place.peer)
    assert set(found) == {uid("series", "both", "T1"), uid("series", "lower", "T1"), uid("series", "half", "T2")}
    share = 100 * (t1.shape[2] - 1) / t1.shape[2]
    how = f"resampled by the DICOM geometry, covers {share:.3g} % of the grid"
    (event,) = (line for line in place.audit().splitlines() if "resampled" in line)
    assert json.loads(event)["event"] == "predicted"
    assert json.loads(event)["note"] == f"channel T2 {how}"
    assert [note for note in notes(place) if note] == [f"channel T2 {how}", "without channel T1"]
    segment = pydicom.dcmread(found[uid("series", "lower", "T1")]).SegmentSequence[0]
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters == f"T2={how}"
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    for number, volume in enumerate((t1, t2)):
        write_volume(volume, pairs / f"scan_{number:04d}.nii.gz")
    wanted = read_label(predict(engine.runs["pair"].folder, [pairs], tmp_path / "out").files["scan"])
    got = read_label(found[uid("series", "both", "T1")])
    counts = [sorted(np.unique(label.data[label.data > 0], return_counts=True)[1]) for label in (wanted, got)]
    assert counts[0] == counts[1] != []
