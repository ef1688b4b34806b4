"""The store: cases of a served folder or data set and of uploads, their predictions, and versions of what people draw.

What is served is only read. All that is written lies in one state folder::

    uploads/CASE/      scans that were sent, under numbers; about.json
    images/            NIfTI copies for browsers, thumbnails (may be removed at any time)
    predictions/RUN/   CASE.nii.gz, CASE.mrk.json or CASE.answer.json, and CASE.json about it; maps beside
    annotations/CASE/  NNNN.nii.gz or NNNN.mrk.json, and NNNN.json; never written over
    ranks/RUN.json     the order in which cases are best annotated
    runs/              runs that were trained here
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset import Case, Dataset, Labels
from voxloom.dataset.case import grid_difference
from voxloom.errors import BadInput
from voxloom.files import read_json, write_json
from voxloom.formats import read_label
from voxloom.formats.header import Header
from voxloom.points import Point, read_points
from voxloom.serve.dice import dice_of
from voxloom.serve.refusals import NotThere
from voxloom.serve.store.ids import safe_id
from voxloom.serve.store.images import Images
from voxloom.serve.store.predicted import Predicted, Prediction, kind_of
from voxloom.serve.store.sources import declared, served_dataset, with_id
from voxloom.serve.store.uploads import USUAL, Limits, Sent, copied, discard, unpack, upload_case
from voxloom.serve.store.versions import Drawings, Kind, Version
from voxloom.volume import spacing_of


@dataclass(frozen=True)
class CaseInfo:
    """A case as a list shows it; ``shape`` and ``spacing`` (mm) are None where the scan cannot be read."""

    id: str
    channels: tuple[str, ...]
    shape: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    modality: str
    versions: tuple[Version, ...]
    predictions: Mapping[str, Prediction]
    truth: bool
    problem: str | None = None

    @property
    def state(self) -> str:
        """ "annotated" where somebody saved a drawing, else "predicted" or "new"."""
        return "annotated" if self.versions else "predicted" if self.predictions else "new"


class Store:
    """See the module. Safe for several threads.

    Parameters
    ----------
    state : folder of all that is written; made.
    dataset : what is served; None serves uploads alone.
    channels : of an uploaded scan.
    limits : of uploads.
    """

    def __init__(
        self, state: Path, dataset: Dataset | None, *, channels: Sequence[str] = ("image",), limits: Limits = USUAL
    ) -> None:
        self.state, self.dataset, self.limits = state, dataset, limits
        self.channels = tuple(dataset.channels if dataset is not None else channels)
        self.images = Images(state / "images")
        self._predicted = Predicted(state / "predictions")
        self._lock = threading.RLock()
        self._cases: dict[str, Case] = {}
        for case in dataset.cases if dataset is not None else ():
            name = safe_id(case.id, self._cases)
            self._cases[name] = with_id(case, name)
        for folder in sorted((state / "uploads").glob("*/about.json")):
            self._take_upload(folder.parent)

    @classmethod
    def of(
        cls,
        path: str | Path | None,
        state: str | Path | None = None,
        *,
        channels: Sequence[str] = ("image",),
        limits: Limits = USUAL,
    ) -> Store:
        """The store of a data set or of a folder of scans.

        Parameters
        ----------
        path : None serves uploads alone, and needs ``state``.
        state : default ``PATH-voxloom`` beside the path.
        channels : names of the channels of a scan, where no data set names them.

        Raises
        ------
        BadInput : there is no scan, or no place for the state.
        """  # fmt: skip
        if path is None and state is None:
            raise BadInput("there is no place for uploads", "--state", "Name a folder, or scans with --data")
        dataset = None if path is None else served_dataset(Path(path), len(channels))
        place = Path(state) if state is not None else _beside(Path(path or "."))
        if path is not None and place.resolve() == Path(path).resolve():
            raise BadInput("what is served is only read; the state needs a folder of its own", place, "Name another")
        place.mkdir(parents=True, exist_ok=True)
        return cls(place, dataset, channels=channels, limits=limits)

    @property
    def labels(self) -> Labels | None:
        """What the data set says of its labels; None where it says nothing."""
        return None if self.dataset is None else declared(self.dataset)

    # Cases

    def ids(self) -> list[str]:
        """Ids of all cases, those of the data set first."""
        with self._lock:
            return list(self._cases)

    def case(self, name: str) -> Case:
        """A case (NotThere for an unknown id: an id is looked up, never opened)."""
        with self._lock:
            if name not in self._cases:
                raise NotThere("there is no such case", "case", "List the cases")
            return self._cases[name]

    def cases(self) -> list[CaseInfo]:
        """All cases."""
        return [self.info(name) for name in self.ids()]

    def info(self, name: str) -> CaseInfo:
        """One case; a scan that cannot be read is listed with the problem."""
        case, problem = self.case(name), None
        header: Header | None = None
        try:
            header = self.images.header(case)
        except BadInput as error:
            problem = error.what
        spacing = None if header is None else spacing_of(header.affine)
        modality = "" if header is None else self.images.modality(case)
        return CaseInfo(
            id=name,
            channels=tuple(case.images),
            shape=None if header is None else header.shape,
            spacing=None if spacing is None else (float(spacing[0]), float(spacing[1]), float(spacing[2])),
            modality=modality or _kind_of(self.dataset),
            versions=tuple(self.versions(name)),
            predictions=self.predictions(name),
            truth=case.label is not None or case.points is not None,
            problem=problem,
        )

    def image(self, name: str, channel: int = 0) -> Path:
        """A channel as NIfTI: the voxels and the grid of the source."""
        return self.images.channel(self.case(name), channel)

    def truth(self, name: str) -> Path:
        """The true label map as NIfTI (NotThere where there is none)."""
        case = self.case(name)
        if case.label is None:
            raise NotThere("the case has no true label map", "case", None)
        return self.images.truth(case)

    def true_points(self, name: str) -> tuple[Point, ...]:
        """The true points (NotThere where there are none)."""
        case = self.case(name)
        if case.points is None:
            raise NotThere("the case has no true points", "case", None)
        return case.read_points()

    def thumbnail(self, name: str) -> Path:
        """A PNG of one slice."""
        return self.images.thumbnail(self.case(name))

    def scan_files(self, name: str) -> tuple[Path, ...]:
        """NIfTI files of the channels, as every prediction takes them."""
        return tuple(self.image(name, number) for number in self.case(name).channel_numbers)

    def series(self, name: str) -> Path | None:
        """The folder of the DICOM series that a case of one channel is; None for any other case."""
        sources = list(self.case(name).images.values())
        folder = Path(sources[0]) if len(sources) == 1 and isinstance(sources[0], str) else None
        return folder if folder is not None and folder.is_dir() else None

    def add(self, sent: Sequence[Sent] | Path, name: str = "") -> list[str]:
        """Keep scans that were sent; the ids of their cases, one per DICOM series.

        Parameters
        ----------
        sent : files that were sent, which are moved; or one file or DICOM folder of this machine, which is copied.
        name : wish for the id; without one an image file's own name, and a random one for DICOM.

        Raises
        ------
        BadInput : a scan cannot be read; nothing of it is kept.
        """
        waiting = Path(tempfile.mkdtemp(prefix=".upload-", dir=self._made("uploads")))
        try:
            found = unpack(
                copied(sent, waiting / "sent") if isinstance(sent, Path) else sent, waiting / "in", self.limits
            )
            wish = name or found.stem or f"case-{waiting.name[-6:]}"
            return [self._keep(files, wish, found.left_out) for files in found.scans]
        finally:
            discard(waiting)

    def _keep(self, files: Sequence[Path], wish: str, left_out: int) -> str:
        """Move the files of one scan to their place when they can be read."""
        upload_case("upload", files, self.channels).read_image()
        with self._lock:
            taken = {*self._cases, *(path.name for path in (self.state / "uploads").iterdir())}
            name = safe_id(wish, taken)
            place = self.state / "uploads" / name
            place.mkdir()
        kept = []
        for number, path in enumerate(files):
            kept.append(f"{number:04d}{''.join(path.suffixes[-2:]) if path.is_file() else ''}")
            path.replace(place / kept[-1])
        write_json(place / "about.json", {"files": kept, "left_out": left_out})
        self._take_upload(place)
        return name

    def _take_upload(self, folder: Path) -> None:
        files = [folder / str(name) for name in read_json(folder / "about.json")["files"]]
        with self._lock:
            self._cases[folder.name] = upload_case(folder.name, files, self.channels)

    # Predictions

    def predictions(self, name: str) -> dict[str, Prediction]:
        """What is known of the predictions of a case, by run."""
        return self._predicted.all(name)

    def prediction(self, name: str, run: str) -> Path:
        """The file of a prediction (NotThere where there is none)."""
        return self._predicted.file(self.case(name).id, run)

    def prediction_map(self, name: str, run: str, kind: str, answer: str = "") -> Path:
        """A map beside a prediction: "uncertainty" or "activation" (of an answer; the first where none is named)."""
        return self._predicted.map(self.case(name).id, run, kind, answer)

    def keep_prediction(
        self,
        name: str,
        run: str,
        file: Path,
        *,
        weights: str,
        labels: Labels | None,
        seconds: float | None = None,
        quality: Mapping[str, float] | None = None,
        uncertainty: Path | None = None,
    ) -> Prediction:
        """Take the files of a prediction into the store, and compare a label map with the truth where there is one.

        Parameters
        ----------
        file, uncertainty : are moved.
        labels : of the run; None for other tasks.
        """  # fmt: skip
        kind = kind_of(file)
        dice = self._dice(name, file, labels) if kind == "label" and labels is not None else {}
        found = Prediction(kind, weights, seconds, dice, dict(quality or {}))
        self._predicted.keep(self.case(name).id, run, file, found, uncertainty)
        return found

    def keep_maps(self, name: str, run: str, maps: Mapping[str, Path]) -> None:
        """Take maps of class activation into the store, by answer."""
        self._predicted.keep_maps(self.case(name).id, run, maps)

    def _dice(self, name: str, file: Path, labels: Labels) -> dict[str, float]:
        """Dice per label against the truth, and their mean; none where the truth is another kind of thing."""
        if self.case(name).label is None:
            return {}
        try:
            return dice_of(file, self.truth(name), labels)
        except BadInput:
            return {}

    # Drawings

    def drawings(self, name: str) -> Drawings:
        """The versions of a case."""
        return Drawings(self.state / "annotations" / self.case(name).id)

    def versions(self, name: str) -> list[Version]:
        """All versions of a case, the first first."""
        return self.drawings(name).all()

    def latest(
        self, name: str, tag: str | None = None, author: str | None = None, kind: Kind | None = None
    ) -> Version | None:
        """The last version, of a tag, author or kind; None where there is none."""
        found = [
            version
            for version in self.versions(name)
            if (tag is None or version.tag == tag)
            and (author is None or version.author == author)
            and (kind is None or version.kind == kind)
        ]
        return found[-1] if found else None

    def save(
        self,
        name: str,
        file: Path,
        *,
        author: str = "",
        tag: str = "",
        parent: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> Version:
        """Keep a drawing as a new version.

        Parameters
        ----------
        file : a label map on the grid of the case (``.nii.gz``), or points (``.mrk.json``); it stays where it is.
        parent : see ``Version``.
        seconds : that were spent.

        Raises
        ------
        BadInput : the file cannot be read, or does not lie on the grid of the scan.
        """  # fmt: skip
        kind: Kind = "points" if file.name.endswith(".mrk.json") else "label"
        if kind == "points":
            read_points(file)
        else:
            self._refuse_other_grid(name, file)
        return self.drawings(name).save(
            file, kind, author=author, tag=tag, parent=parent or {}, seconds=seconds
        )  # fmt: skip

    def _refuse_other_grid(self, name: str, file: Path) -> None:
        label, header = read_label(file), self.images.header(self.case(name))
        if difference := grid_difference(label.shape, label.affine, header.shape, header.affine):
            raise BadInput(
                f"does not lie on the grid of the scan: {difference}", "annotation", "Draw on the scan itself"
            )

    # Order

    def keep_rank(self, run: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the order of cases for annotation that a run gave."""
        write_json(self._made("ranks") / f"{safe_id(run)}.json", [dict(row) for row in rows])

    def rank(self, run: str) -> list[dict[str, Any]]:
        """The order that a run gave, the case to annotate first at the top; empty where it was not asked."""
        path = self.state / "ranks" / f"{safe_id(run)}.json"
        return list(read_json(path)) if path.is_file() else []

    def scratch(self, name: str) -> Path:
        """A new empty folder for a job."""
        return Path(tempfile.mkdtemp(prefix=f"{safe_id(name)}-", dir=self._made("jobs")))

    def _made(self, name: str) -> Path:
        folder = self.state / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _beside(path: Path) -> Path:
    whole = path.resolve()
    return whole.with_name(f"{whole.name.split('.')[0] if whole.is_file() else whole.name}-voxloom")


def _kind_of(dataset: Dataset | None) -> str:
    """Modality by the kind of the first channel: "CT", or nothing."""
    return "CT" if dataset is not None and dataset.channel_kinds and dataset.channel_kinds[0] == "CT" else ""
