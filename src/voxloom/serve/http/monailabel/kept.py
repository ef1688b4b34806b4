"""Label maps of a case by tag, as the clients name them: "original" is a prediction, every other tag the last drawing with it.

What clients send is laid on the scan's own grid and turned into the values of the data set, and kept as a new version: nothing is
written over. What clients get holds the values that ``/info/`` names.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Labels
from voxloom.errors import BadInput
from voxloom.formats import read_label, write_volume
from voxloom.prepare.reorient import turn_to
from voxloom.serve.exports import seg_bytes
from voxloom.serve.http.monailabel.drawn import values_of
from voxloom.serve.http.monailabel.masks import MaskWish, indices_of, renumbered, write_mask
from voxloom.serve.http.people import Person
from voxloom.serve.loop import FINAL, drawing_labels
from voxloom.serve.refusals import NotThere
from voxloom.serve.run_info import RunInfo, RunLabel, labels_told
from voxloom.serve.store import Store, Version
from voxloom.volume import Volume, orientation_of

#: Tag of a prediction; ``FINAL`` is that of a drawing that its author stands for.
ORIGINAL = "original"


@dataclass(frozen=True)
class Kept:
    """A label map of a case.

    Parameters
    ----------
    file : with the values of the data set or run.
    labels : what these values mean.
    info : who and when, for the client.
    """

    file: Path
    labels: tuple[RunLabel, ...]
    info: Mapping[str, Any]

    def label_names(self) -> dict[str, int]:
        """Labels that the map holds, with the values that a client is sent; none of points."""
        if self.file.suffix == ".json":
            return {}
        stamp = self.file.stat()
        present = _values_in(self.file, stamp.st_mtime_ns, stamp.st_size)
        indices = indices_of(self.labels)
        found = {label.name for label in self.labels if label.value in present}
        return {name: index for name, index in indices.items() if name in found}

    def shown(self, folder: Path) -> Path:
        """The map with the values that clients know; the kept file itself where these are the same."""
        if self.file.suffix == ".json" or all(indices_of(self.labels)[one.name] == one.value for one in self.labels):
            return self.file
        out = folder / "label.nii.gz"
        write_mask(self.file, self.labels, MaskWish(dtype="uint16"), out)
        return out


class KeptLabels:
    """The label maps of a store.

    Parameters
    ----------
    runs : tells the runs by name, as they are when asked.
    """

    def __init__(self, store: Store, runs: Callable[[], Mapping[str, RunInfo]]) -> None:
        self.store, self._runs = store, runs

    @property
    def runs(self) -> Mapping[str, RunInfo]:
        """The runs by name."""
        return self._runs()

    def declared(self, run: str | None = None) -> Labels | None:
        """Labels of drawings: the data set's, else those of the run, or of the first run that has any."""
        return drawing_labels(self.store, self.runs, run)

    def meaning(self, run: str | None = None) -> tuple[RunLabel, ...]:
        """What values of drawings mean."""
        return labels_told(self.declared(run))

    def of(self, case: str, person: Person) -> dict[str, Kept]:
        """Tag -> label map or points of a case, as a person may see them: readers are blind to each other."""
        found: dict[str, Kept] = {}
        drawings = self.store.drawings(case)
        for version in drawings.all():
            if version.author != person.name and not person.may("lead"):
                continue
            meaning = self.meaning(version.parent.get("run"))
            found[version.tag or FINAL] = Kept(drawings.file(version), meaning, _told(version))
        if (kept := self._original(case)) is not None:
            found[ORIGINAL] = kept
        return found

    def get(self, case: str, tag: str, person: Person) -> Kept:
        """The label map of a case with a tag (NotThere where there is none for this person)."""
        found = self.of(case, person)
        if tag not in found:
            raise NotThere("there is no such label", "label", "List them: GET /datastore/?output=all")
        return found[tag]

    def save(self, case: str, file: Path, tag: str, params: Mapping[str, Any], author: str) -> Version:
        """Keep what a client drew as a new version.

        Parameters
        ----------
        file : a label map, raw voxels in the order of the scan (``.bin``), or markups (``.json``).
        params : of the form: ``label_info`` and ``model`` are understood.

        Raises
        ------
        BadInput : it does not lie on the scan, or a value or a name is not known.
        """
        model = str(params.get("model") or "")
        parent = self._parent(case, model)
        with tempfile.TemporaryDirectory(prefix="voxloom-label-") as scratch:
            if file.suffix == ".json":
                drawn = Path(scratch) / "points.mrk.json"
                drawn.write_bytes(file.read_bytes())
            else:
                volume = self._on_scan(case, self._read(case, file))
                drawn = write_volume(self._meant(volume, params, model), Path(scratch) / "label.nii.gz")
            return self.store.save(case, drawn, author=author, tag=tag, parent=parent)

    def seg(self, case: str, version: Version, out: Path) -> Path:
        """A drawing of a DICOM series as DICOM SEG, by hand."""
        drawn, labels = self.store.drawings(case).file(version), self.declared(version.parent.get("run"))
        out.write_bytes(seg_bytes(self.store, case, version, drawn, labels))
        return out

    def _original(self, case: str) -> Kept | None:
        """The last prediction of a case that is a label map or points; None where there is none."""
        found = [
            (self.store.prediction(case, run), run)
            for run, prediction in self.store.predictions(case).items()
            if prediction.kind in ("label", "points") and run in self.runs
        ]
        if not found:
            return None
        file, run = max(found, key=lambda pair: pair[0].stat().st_mtime_ns)
        return Kept(file, self.runs[run].labels, {"ts": int(file.stat().st_mtime), "model": run})

    def _parent(self, case: str, model: str) -> dict[str, Any]:
        """The prediction that a drawing was made from: that of the model the client names, where there is one."""
        found = self.store.predictions(case).get(model)
        return {} if found is None else {"run": model, "weights": found.weights}

    def _read(self, case: str, file: Path) -> Volume:
        if file.suffix != ".bin":
            return read_label(file)
        header = self.store.images.header(self.store.case(case))
        return Volume(raw_voxels(file.read_bytes(), header.shape), header.affine)

    def _on_scan(self, case: str, volume: Volume) -> Volume:
        """The same voxels with their axes as the scan has them, where another program turned them."""
        header = self.store.images.header(self.store.case(case))
        wanted = orientation_of(header.affine)
        if volume.shape == header.shape and orientation_of(volume.affine) == wanted:
            return volume
        turn = turn_to(volume.affine, wanted)
        return Volume(turn.apply(volume.data), volume.affine @ turn.matrix(volume.shape))

    def _meant(self, volume: Volume, params: Mapping[str, Any], model: str) -> Volume:
        """The same with the values of the data set in place of the client's."""
        meaning = self.meaning(model)
        if not meaning:
            raise BadInput("no labels are known here", "label", "Serve a data set or a segmentation run")
        values = {label.name: label.value for label in meaning}
        names = values_of(params.get("label_info"), indices_of(meaning), np.unique(volume.data).tolist())
        dtype = np.min_scalar_type(max(values.values())).name
        return volume.with_data(renumbered(volume.data, {old: values[name] for old, name in names.items()}, dtype))


def raw_voxels(content: bytes, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Voxels (1, I, J, K) of 8 or 16 bits, i fastest, as OHIF sends them (BadInput where they are not so many)."""
    size = int(np.prod(shape))
    if len(content) not in (size, 2 * size):
        raise BadInput(
            f"{len(content)} bytes are not a label map of {size} voxels", "label", "Send 8 or 16 bits per voxel"
        )
    voxels = np.frombuffer(content, np.uint8 if len(content) == size else "<u2")
    return voxels.reshape(shape, order="F")[None]


@functools.lru_cache(maxsize=4096)
def _values_in(file: Path, changed: int, size: int) -> frozenset[int]:
    """Values of a label map, remembered until the file changes."""
    return frozenset(np.unique(read_label(file).data).tolist())


def _told(version: Version) -> dict[str, Any]:
    return {"version": version.version, "author": version.author, "time": version.time, "from": dict(version.parent)}
