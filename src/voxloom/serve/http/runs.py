"""End points: the service itself, log-in, runs, recipes, reports."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from voxloom import __version__
from voxloom.recipe.recipe import Recipe
from voxloom.recipe.shipped import recipe_names
from voxloom.serve.http.common import REFUSALS, ThePerson, TheService
from voxloom.serve.http.errors import refusal
from voxloom.serve.http.guard import COOKIE, Security, cookie_of
from voxloom.serve.http.models import ChangedAnswer, InfoAnswer, LabelAnswer, LoginBody, RecipeAnswer, RunAnswer, can
from voxloom.serve.http.people import SESSION
from voxloom.serve.refusals import NotThere
from voxloom.serve.run_info import labels_told
from voxloom.verbs.options import FORMATS

router = APIRouter(prefix="/api", responses=REFUSALS)
#: A report runs its own scripts and can reach nothing: no cookie, no address of the service.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)


@router.get("/info", tags=["service"])
def info(request: Request, service: TheService, person: ThePerson) -> InfoAnswer:
    """The service, and what who asks may do."""
    login = request.app.state.security.people is not None
    return InfoAnswer(
        version=__version__,
        user=person.name or None,
        can=can(person),
        login=login,
        formats=list(FORMATS),
        labels=[LabelAnswer(**vars(label)) for label in labels_told(service.labels())],
        landmarks=list(service.landmarks()),
    )


@router.post("/login", tags=["service"])
def login(body: LoginBody, request: Request, response: Response) -> ChangedAnswer:
    """Exchange a token for the cookie of a browser."""
    security: Security = request.app.state.security
    if security.people is None:
        return ChangedAnswer(changed=False)
    session = security.people.log_in(body.token)
    if session is None:
        return refusal(401, "the token is not known", "token", "Ask who runs the service")  # type: ignore[return-value]
    response.set_cookie(
        COOKIE, session, max_age=SESSION, httponly=True, samesite="strict", secure=security.tls, path="/"
    )
    return ChangedAnswer(changed=True)


@router.post("/logout", tags=["service"])
def logout(request: Request, response: Response) -> ChangedAnswer:
    """Forget this browser."""
    session, security = cookie_of(request.headers), request.app.state.security
    if security.people is not None and session is not None:
        security.people.log_out(session)
    response.delete_cookie(COOKIE, path="/")
    return ChangedAnswer(changed=session is not None)


@router.get("/runs", tags=["runs"])
def runs(service: TheService) -> list[RunAnswer]:
    """All runs that predict."""
    return [RunAnswer.of(found) for found in service.engine.runs.values()]


@router.get("/recipes", tags=["runs"])
def recipes() -> list[RecipeAnswer]:
    """Recipes that a training can take."""
    return [RecipeAnswer(name=name, title=Recipe.load(name).description or name) for name in recipe_names()]


@router.get("/reports/{run}/", tags=["runs"], response_class=FileResponse)
def report(run: str, service: TheService) -> FileResponse:
    """The report of a run, as a page that can reach nothing else."""
    path = service.run(run).report
    if path is None:
        raise NotThere("the run has no report", "run", None)
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})
