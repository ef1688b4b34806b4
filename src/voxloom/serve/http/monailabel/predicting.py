"""What a client asks of a run, and what it is told of the answer. No HTTP: end points call it.

Results of every task have a form that the clients know: label maps, markups of 3D Slicer, and values in ``params``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.files import read_json
from voxloom.serve.http.monailabel.masks import MaskWish, write_mask
from voxloom.serve.jobs import Job
from voxloom.serve.orders import Order
from voxloom.serve.run_info import RunInfo
from voxloom.serve.service import Service
from voxloom.verbs.options import PredictOptions

#: What a client may choose, as ``config`` of a model in ``/info/``; the values are those of a client that chooses nothing.
CONFIG: Mapping[str, Any] = {"tta": False}
#: Keys of ``params`` that are understood beside those of CONFIG, or that ask for what is done anyway.
_KNOWN = frozenset(
    {
        "result_extension",
        "result_dtype",
        "result_compress",
        "restore_label_idx",
        "client_id",
        "label_info",
        "model",
        "image",
    }
)


@dataclass(frozen=True)
class Asked:
    """One request for a prediction.

    Parameters
    ----------
    tta : average over views of the scan.
    mask : how a label map is wanted.
    seg : whether the answer is a DICOM SEG.
    ignored : keys of ``params`` that mean nothing here.
    """

    run: RunInfo
    tta: bool = False
    mask: MaskWish = field(default_factory=MaskWish)
    seg: bool = False
    ignored: tuple[str, ...] = ()
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, run: RunInfo, params: Mapping[str, Any], *, seg: bool = False, label: bool = False) -> Asked:
        """What a client wants.

        Parameters
        ----------
        params : of the form.
        seg : whether it wants a DICOM SEG.
        label : whether it sent a label map to start from, which no run of ours does.

        Raises
        ------
        BadInput : a value is of another kind, or there is no such format.
        """
        if seg and run.task != "segmentation":
            raise BadInput(f"the run predicts no label map ({run.task})", "output", "Ask for json or image")
        unknown = sorted(set(params) - set(CONFIG) - _KNOWN)
        ignored = (*unknown, *(["label"] if label else ()))
        return cls(run, _flag("tta", params.get("tta", False)), MaskWish.of(params), seg, ignored)

    def case(self, service: Service, case: str) -> Job:
        """Ask for a case; the store keeps what is predicted."""
        return service.predict(case, self.run.name, tta=self.tta, formats=("seg",) if self.seg else ())

    def files(self, service: Service, files: Sequence[Path], out: Path) -> Job:
        """Ask for files that are not a case: a file per channel, or the folder of a DICOM series. Nothing is kept."""
        ending = ".nii.gz" if self.run.labels else ".mrk.json" if self.run.landmarks else None
        options = PredictOptions(ending=ending, tta=self.tta, formats=("seg",) if self.seg else ())
        return service.engine.submit(Order(self.run.name, tuple(files), out, options), {})


@dataclass(frozen=True)
class Answered:
    """What a prediction says.

    Parameters
    ----------
    params : for the client.
    file : that it gets; None where the answer is in ``params`` alone.
    """

    params: dict[str, Any]
    file: Path | None


def answered(asked: Asked, job: Job, written: Path, out: Path) -> Answered:
    """The answer from a job that is done.

    Parameters
    ----------
    written : result of the run's task.
    out : folder for a file that is made for the client.
    """
    params: dict[str, Any] = {}
    file: Path | None = None
    if asked.run.task == "segmentation":
        file = out / f"shown{asked.mask.ending}"
        params["label_names"] = write_mask(written, asked.run.labels, asked.mask, file)
    elif asked.run.landmarks:
        file = written
    else:
        params["prediction"] = read_json(written)
    if asked.seg:
        file = seg_of(job)
    took = sum(job.result["seconds"])
    params["latencies"] = {"infer": took, "total": time.perf_counter() - asked.started}
    params |= {key: job.result[key] for key in ("quality", "told") if job.result.get(key)}
    if asked.ignored:
        params["ignored"] = list(asked.ignored)
    return Answered(params, file)


def seg_of(job: Job) -> Path:
    """The DICOM SEG that a job wrote."""
    paths = job.result.get("paths", {}).values() or job.result.get("dicom", ())
    return next(Path(path) for path in paths if str(path).endswith(".seg.dcm"))


def _flag(key: str, value: Any) -> bool:
    """A yes or no, also as the text that some clients send."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise BadInput(f"is {value!r}, not true or false", key, "Choose one")
    return value
