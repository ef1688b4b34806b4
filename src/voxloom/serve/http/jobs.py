"""End points: jobs - predictions, explanations, rankings, trainings."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from voxloom.errors import BadInput
from voxloom.serve.http.common import REFUSALS, Annotator, Leader, TheService
from voxloom.serve.http.models import ChangedAnswer, ExplainBody, JobAnswer, PredictBody, RankBody, TrainBody
from voxloom.serve.http.people import Person
from voxloom.serve.http.runs import FORMATS
from voxloom.serve.refusals import NotAllowed
from voxloom.serve.service import Service

router = APIRouter(prefix="/api", responses=REFUSALS, tags=["jobs"])


@router.post("/predict", status_code=202)
def predict(body: PredictBody, service: TheService, person: Annotator) -> JobAnswer:
    """Predict a case with a run."""
    if odd := [form for form in body.formats if form not in FORMATS]:
        raise BadInput(f"there is no format {odd[0]!r}", "formats", f"Take {', '.join(FORMATS)}")
    job = service.predict(
        body.case, body.run, tta=body.tta, uncertainty=body.uncertainty, formats=tuple(body.formats)
    )  # fmt: skip
    return JobAnswer.of(job)


@router.post("/explain", status_code=202)
def explain(body: ExplainBody, service: TheService, person: Annotator) -> JobAnswer:
    """Map where in a scan the reason of the answer lies."""
    return JobAnswer.of(service.explain(body.case, body.run))


@router.post("/rank", status_code=202)
def rank(body: RankBody, service: TheService, person: Annotator) -> JobAnswer:
    """Order the cases without a drawing for annotation: uncertain ones first that are unlike each other."""
    return JobAnswer.of(service.rank(body.run, body.diversity))


@router.post("/train", status_code=202)
def train(body: TrainBody, service: TheService, person: Leader) -> JobAnswer:
    """Train a new run on the truth of the data set and on what people drew."""
    return JobAnswer.of(service.train(body.name, body.recipe, body.budget, body.run))


@router.get("/jobs")
def jobs(service: TheService) -> list[JobAnswer]:
    """All jobs, the oldest first."""
    return [JobAnswer.of(job) for job in service.engine.jobs()]


@router.get("/jobs/{job}")
def one_job(job: str, service: TheService) -> JobAnswer:
    """How far a job is."""
    return JobAnswer.of(service.engine.job(job))


@router.delete("/jobs/{job}")
def cancel(job: str, service: TheService, person: Annotator) -> ChangedAnswer:
    """Cancel a job, or stop a training."""
    _refuse_training(service, job, person)
    return ChangedAnswer(changed=service.cancel(job))


@router.get("/jobs/{job}/files/{name}", response_class=FileResponse)
def file(job: str, name: str, service: TheService) -> FileResponse:
    """A file of a job that is done, e.g. a DICOM result."""
    path = service.file(job, name)
    media = "application/dicom" if path.suffix == ".dcm" else "application/octet-stream"
    return FileResponse(path, media_type=media, filename=name)


@router.get("/jobs/{job}/log")
def log(job: str, service: TheService) -> list[dict[str, Any]]:
    """What a training logged so far: fold, step, seconds, train_loss, validation scores."""
    return service.trainings.log(job)


@router.post("/jobs/{job}/stop")
def stop(job: str, service: TheService, person: Leader) -> ChangedAnswer:
    """Stop a training, so that it can be resumed."""
    return ChangedAnswer(changed=service.trainings.stop(job))


@router.post("/jobs/{job}/resume")
def resume(job: str, service: TheService, person: Leader) -> JobAnswer:
    """Go on with a training that was stopped."""
    return JobAnswer.of(service.trainings.resume(job))


def _refuse_training(service: Service, job: str, person: Person) -> None:
    """Trainings belong to who leads the study."""
    if service.trainings.is_training(job) and not person.may("lead"):
        raise NotAllowed("only who leads the study may stop a training", "job", None)
