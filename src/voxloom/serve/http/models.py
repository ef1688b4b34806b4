"""What the API takes and answers, for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from voxloom.files import plain
from voxloom.serve.http.people import Person
from voxloom.serve.jobs import Job
from voxloom.serve.run_info import RunInfo
from voxloom.serve.scrub import told_of_job
from voxloom.serve.store import CaseInfo, Version


class Taken(BaseModel):
    """A body: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Error(BaseModel):
    """What is wrong, with what, and what to do."""

    what: str
    where: str | None = None
    fix: str | None = None


class ErrorAnswer(BaseModel):
    """The answer to what is refused."""

    error: Error


class Can(BaseModel):
    """What who asks may do."""

    annotate: bool
    train: bool
    compare: bool


class LabelAnswer(BaseModel):
    """A label."""

    name: str
    value: int
    color: str = Field(description="#rrggbb, as in every report")


class InfoAnswer(BaseModel):
    """The service, and who asks."""

    version: str
    user: str | None = Field(description="name of who asks; null where the service does not know people")
    can: Can
    login: bool = Field(description="whether a token is needed")
    formats: list[str] = Field(description="DICOM results that can be asked for")
    labels: list[LabelAnswer] = Field(
        description="that are drawn: the data set's, else those of the first run that has some"
    )
    landmarks: list[str] = Field(description="that are marked, as `L1 left`")


class RunAnswer(BaseModel):
    """A run."""

    name: str
    task: str
    labels: list[LabelAnswer]
    landmarks: list[str]
    classes: list[str]
    channels: list[str]
    kinds: list[str]
    scores: dict[str, float] = Field(description="of held-out cases")
    weights: str = Field(description="SHA-256 over the weights")
    report: str | None = Field(description="address of the report")

    @classmethod
    def of(cls, info: RunInfo) -> RunAnswer:
        """What is told of a run: nothing of its folder."""
        return cls(
            name=info.name,
            task=info.task,
            labels=[LabelAnswer(**vars(label)) for label in info.labels],
            landmarks=list(info.landmarks),
            classes=list(info.classes),
            channels=list(info.channels),
            kinds=list(info.kinds),
            scores=plain(dict(info.scores)),
            weights=info.weights,
            report=f"/api/reports/{info.name}/" if info.report is not None else None,
        )


class RecipeAnswer(BaseModel):
    """A shipped recipe."""

    name: str
    title: str


class QualityAnswer(BaseModel):
    """The Dice that a calibrated run expects, and a bound that it promises."""

    dice: float
    bound: float


class CaseAnswer(BaseModel):
    """A case."""

    id: str
    channels: list[str]
    shape: list[int] | None = Field(description="voxels along i, j, k; null where the scan cannot be read")
    spacing: list[float] | None = Field(description="mm along i, j, k")
    modality: str
    state: Literal["new", "predicted", "annotated"]
    versions: int
    predicted: list[str] = Field(description="runs")
    quality: dict[str, QualityAnswer] = Field(description="by run")
    dice: dict[str, float] = Field(description="mean Dice against the truth, by run")
    rank: int | None = Field(description="place in the order for annotation")
    truth: bool
    dicom: bool = Field(description="whether it is a DICOM series, which has DICOM results")
    problem: str | None = Field(description="why the scan cannot be read")

    @classmethod
    def of(cls, info: CaseInfo, rank: int | None, dicom: bool, problem: str | None) -> CaseAnswer:
        """What is told of a case."""
        return cls(
            id=info.id,
            channels=list(info.channels),
            shape=None if info.shape is None else list(info.shape),
            spacing=None if info.spacing is None else list(info.spacing),
            modality=info.modality,
            state=info.state,  # type: ignore[arg-type]
            versions=len(info.versions),
            predicted=list(info.predictions),
            quality={run: QualityAnswer(**p.quality) for run, p in info.predictions.items() if p.quality},
            dice={run: p.dice["mean"] for run, p in info.predictions.items() if p.dice},
            rank=rank,
            truth=info.truth,
            dicom=dicom,
            problem=problem,
        )


class UploadAnswer(BaseModel):
    """The cases that an upload became."""

    id: str
    ids: list[str]


class VersionAnswer(BaseModel):
    """One save."""

    model_config = ConfigDict(populate_by_name=True)

    version: int
    kind: Literal["label", "points"]
    author: str
    time: str = Field(description="UTC, ISO 8601")
    tag: str
    from_: dict[str, Any] = Field(alias="from", description="the prediction or version that it was made from")
    seconds: float | None
    sha256: str

    @classmethod
    def of(cls, version: Version) -> VersionAnswer:
        """What is told of a version."""
        return cls.model_validate(version.to_dict())


class JobAnswer(BaseModel):
    """A job."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float = Field(description="0 to 1")
    message: str
    created: float = Field(description="seconds since the epoch")
    started: float | None
    ended: float | None
    about: dict[str, Any] = Field(description="what was asked for: run, case")
    result: dict[str, Any]
    error: Error | None

    @classmethod
    def of(cls, job: Job) -> JobAnswer:
        """What is told of a job: no path."""
        case = job.about.get("case")
        error = None if job.error is None else Error(**told_of_job(job.error, case))  # type: ignore[arg-type]
        result = plain({key: without_paths(value) for key, value in job.result.items() if key != "paths"})
        return cls(
            id=job.id,
            kind=job.kind,
            state=job.state,
            progress=job.progress,
            message=job.message if error is None else error.what,
            created=job.created,
            started=job.started,
            ended=job.ended,
            about=dict(job.about),
            result=dict(result),
            error=error,
        )


class LoginBody(Taken):
    """A token."""

    token: str = Field(max_length=512)


class PredictBody(Taken):
    """What to predict."""

    run: str
    case: str
    tta: bool = Field(False, description="average over views of the scan, as in training")
    uncertainty: bool = Field(False, description="also map the uncertainty")
    formats: list[str] = Field([], description="DICOM results: seg, seg-labelmap, seg-fractional, rtstruct, sr, sc")


class RunBody(Taken):
    """A run."""

    run: str


class RankBody(RunBody):
    """What to rank by."""

    diversity: float = Field(0.5, ge=0, le=1, description="weight of being unlike the cases above")


class ExplainBody(RunBody):
    """What to explain."""

    case: str


class TrainBody(Taken):
    """What to train."""

    name: str = Field(description="of the new run")
    budget: str = Field("10m", description="training time: 90s, 10m, 1h30m, 2d")
    recipe: str | None = Field(None, description="a shipped recipe; null takes that of `run`, or auto")
    run: str | None = Field(None, description="run whose weights are taken first")


class NextAnswer(BaseModel):
    """The case to annotate next; null where none is left."""

    id: str | None
    reason: str


class ChangedAnswer(BaseModel):
    """Whether something was still to be done."""

    changed: bool


def without_paths(value: Any) -> Any:
    """A result in which whole paths are the names of their files."""
    if isinstance(value, Mapping):
        return {key: without_paths(found) for key, found in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_paths(found) for found in value]
    is_path = isinstance(value, str) and (value.startswith("/") or value[1:3] in (":\\", ":/"))
    return value.replace("\\", "/").rsplit("/", 1)[-1] if is_path else value


def can(person: Person) -> Can:
    """What a person may do."""
    return Can(annotate=person.may("annotate"), train=person.may("lead"), compare=person.may("lead"))
