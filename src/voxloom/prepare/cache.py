"""Prepared cases on disk, found by what they were made from.

Knows keys, files and how to make the missing ones. A case's file name carries a hash of the source bytes, the settings,
the labels, the statistics and the version of this code: a changed setting can never meet a stale file, and work that was
killed goes on where it stopped. Does not know training.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.faults import all_or_told
from voxloom.dataset.sources import FocusedImage
from voxloom.digests import file_digests
from voxloom.errors import BadInput
from voxloom.files import sweep_parts
from voxloom.parallel import map_outcomes
from voxloom.prepare.bias import CaseReader
from voxloom.prepare.geometry import Geometry
from voxloom.prepare.pipeline import (
    measure_statistics,
    prepare_corrected,
    prepare_label,
    workers_for,
)
from voxloom.prepare.settings import PrepareSettings, Statistics
from voxloom.prepare.store import Damaged, Stored, open_arrays, write_arrays
from voxloom.prepare.usage import CASE_ENDING, DIGESTS, register, touch
from voxloom.progress import Progress

if TYPE_CHECKING:
    from voxloom.dataset import Case, Dataset, Labels

#: Raise it with every change that alters prepared voxels (here, in the readers or in the label encoding).
PREPARE_VERSION = 2
FOREGROUND_VOXELS = 5000


@dataclass(frozen=True)
class PreparedCase:
    """One prepared case, read from its file on demand. Picklable, and cheap until voxels are asked for."""

    id: str
    path: Path
    shape: tuple[int, int, int]
    channels: int
    labeled: bool
    rows: Mapping[int, tuple[int, int]]
    geometry: Geometry

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm, order i j k."""
        return self.geometry.spacing

    @cached_property
    def _stored(self) -> Stored:
        return open_arrays(self.path)

    def image(self, slices: Sequence[slice] | None = None) -> NDArray[np.float32]:
        """The channels, float32 (C, I, J, K); ``slices`` (three, i j k) read only the chunks they meet."""
        where = None if slices is None else (slice(None), *slices)
        return self._stored.read("image", where)

    def label(self, slices: Sequence[slice] | None = None) -> NDArray[Any] | None:
        """Inner label indices (I, J, K), uint8 or uint16, or the part within three slices; None without a label."""
        return self._stored.read("label", slices) if self.labeled else None

    @cached_property
    def foreground(self) -> dict[int, NDArray[np.int32]]:
        """Per inner label index that occurs: (n, 3) voxel coordinates, at most 5000, drawn with a fixed seed."""
        if not self.labeled:
            return {}
        table = self._stored.read("foreground")
        return {number: table[start:stop] for number, (start, stop) in self.rows.items()}


@dataclass(frozen=True)
class PreparedSet(Mapping[str, PreparedCase]):
    """Prepared cases by id, in the data set's order.

    made : how many were prepared now; the others were found in the cache.
    """

    cases: Mapping[str, PreparedCase]
    settings: PrepareSettings
    statistics: Statistics | None
    made: int

    def __getitem__(self, name: str) -> PreparedCase:
        return self.cases[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.cases)

    def __len__(self) -> int:
        return len(self.cases)


@dataclass(frozen=True)
class _Order:
    """What a worker needs to prepare any case."""

    settings: PrepareSettings
    statistics: Statistics | None
    labels: Labels | None
    folder: Path | None = None

    def __call__(self, item: tuple[Case, Path]) -> None:
        case, path = item
        image = CaseReader(self.settings, self.folder)(case)
        voxels, geometry = prepare_corrected(image, self.settings, self.statistics)
        arrays: dict[str, NDArray[Any]] = {"image": voxels}
        info: dict[str, Any] = {
            "id": case.id,
            "geometry": geometry.to_dict(),
            "rows": {},
        }
        label = case.read_label() if self.labels is not None else None
        if label is not None and self.labels is not None:
            arrays["label"] = prepare_label(label, geometry, self.labels)
            found = sample_foreground(arrays["label"])
            ends = np.cumsum([len(voxels) for voxels in found.values()]).tolist()
            info["rows"] = {str(n): (end - len(found[n]), end) for n, end in zip(found, ends, strict=True)}
            arrays["foreground"] = np.concatenate([np.empty((0, 3), np.int32), *found.values()])
        write_arrays(path, arrays, info)


def sample_foreground(inner: NDArray[Any], seed: int = 0) -> dict[int, NDArray[np.int32]]:
    """Coordinates (n, 3) of at most 5000 voxels per inner label index that occurs, in C order."""
    rng = np.random.default_rng(seed)
    flat = inner.reshape(-1)
    inside = np.flatnonzero(flat)
    values = flat[inside]
    found = {}
    for number in np.flatnonzero(np.bincount(values)) if len(values) else ():
        voxels = inside[values == number]
        if len(voxels) > FOREGROUND_VOXELS:
            voxels = voxels[np.sort(rng.choice(len(voxels), FOREGROUND_VOXELS, replace=False))]
        found[int(number)] = np.stack(np.unravel_index(voxels, inner.shape), axis=1).astype(np.int32)
    return found


@dataclass(frozen=True)
class Cache:
    """A folder of prepared cases. Several processes may use it at once; each file appears whole or not at all."""

    root: Path

    def __init__(self, root: str | Path) -> None:
        object.__setattr__(self, "root", Path(root))

    def prepare(
        self,
        dataset: Dataset,
        settings: PrepareSettings,
        *,
        labels: Labels | None = None,
        statistics: Statistics | None = None,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> PreparedSet:
        """Prepare what is missing, and return every case of the data set.

        Parameters
        ----------
        labels : what the label values mean; None takes the data set's own.
        statistics : what the training cases taught; measured over the data set's training cases when the settings
            need it and None is given.
        workers : processes; None chooses (one for a small data set, whose work is done before workers would start).
        progress : called with (done, total) over the missing cases.

        Raises
        ------
        BadInput : cases are refused (named), or the cache folder cannot be written.
        VoxloomError : a case failed or its worker died (named). The other cases are prepared all the same.
        """
        self._open()
        cases = list(dataset)
        labels = dataset.labels if labels is None else labels
        digests = self.digests(cases)
        if settings.needs_statistics and statistics is None:
            training = [case for case in cases if case.split in ("train", None)]
            statistics = measure_statistics(training, settings, labels, workers=workers, folder=self.root)
        order = _Order(settings, statistics if settings.needs_statistics else None, labels, self.root)
        paths = {case.id: self._path(case, order, digests) for case in cases}
        register(self.root, [path.name for path in paths.values()])
        prepared = {name: _load(name, path) for name, path in paths.items()}
        missing = [(case.id, (case, paths[case.id])) for case in cases if prepared[case.id] is None]
        count = workers_for([case for _, (case, _) in missing], workers, settings)
        for name, _ in all_or_told(map_outcomes(order, missing, step="preparing", workers=count, progress=progress)):
            prepared[name] = _load(name, paths[name])
        whole = {name: case for name, case in prepared.items() if case is not None}
        if len(whole) < len(prepared):
            lost = next(name for name, case in prepared.items() if case is None)
            raise BadInput(
                f"the prepared case {lost} vanished or changed while it was in use",
                paths[lost],
            )
        return PreparedSet(whole, settings, statistics, len(missing))

    def digests(self, cases: Iterable[Case]) -> dict[Path, str]:
        """SHA-256 of the cases' source files; what has not changed since this cache last saw it is not read again."""
        return file_digests((path for case in cases for path in case.source_files), self.root / DIGESTS)

    def _open(self) -> None:
        """Make the folder and remove what killed writers left behind."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            sweep_parts(self.root)
        except OSError as error:
            raise BadInput(
                f"the cache folder cannot be used ({error.strerror})",
                self.root,
                "Choose another",
            ) from error

    def _path(self, case: Case, order: _Order, digests: Mapping[Path, str]) -> Path:
        key = case_key(case, order.settings, order.statistics, order.labels, digests)
        return self.root / f"{re.sub(r'[^A-Za-z0-9._-]', '_', case.id)[:80]}-{key[:32]}{CASE_ENDING}"


def case_key(
    case: Case,
    settings: PrepareSettings,
    statistics: Statistics | None,
    labels: Labels | None,
    digests: Mapping[Path, str],
) -> str:
    """Hex SHA-256 of everything that decides a prepared case: source bytes, settings, labels, statistics, version."""
    sources = {**case.images, "label": case.label}
    decides = {
        "version": PREPARE_VERSION,
        "case": case.id,
        "files": [digests[path] for path in case.source_files],
        "sources": [[name, *_item(source)] for name, source in sources.items()],
        "settings": settings.model_dump(mode="json"),
        "statistics": statistics.to_dict() if statistics else None,
        "labels": repr(labels),
        **({"missing": list(case.missing)} if case.missing else {}),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _item(source: Any) -> list[Any]:
    """What selects an image inside its files (kind, array, index), or the ending of a plain file, which picks the reader."""
    if source is None or isinstance(source, str | Path):
        return ["".join(Path(source).suffixes[-2:]) if source else None]
    choice = {one.name: getattr(source, one.name) for one in fields(source) if one.name not in ("path", "paths")}
    if isinstance(source, FocusedImage):
        choice = {**choice, "source": _item(source.source), "masks": [_item(mask) for mask in source.masks]}
        choice["focus"] = asdict(source.focus)
    return [type(source).__name__, choice]


def _load(name: str, path: Path) -> PreparedCase | None:
    """The prepared case of a whole and unaltered file, else None."""
    try:
        stored = open_arrays(path)
        stored.verify()
    except (Damaged, OSError):
        return None
    touch(path)
    info = stored.info
    geometry = Geometry.from_dict(info["geometry"])
    rows = {int(number): (int(start), int(stop)) for number, (start, stop) in info["rows"].items()}
    channels = stored.arrays["image"].shape[0]
    return PreparedCase(name, path, geometry.shape, channels, "label" in stored.arrays, rows, geometry)
