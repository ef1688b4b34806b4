"""The option ``--on`` of commands that do many small works: here, or on a Ray cluster with the same results."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

HELP = "local; ray: the Ray cluster of this machine, started where none runs; ray:HOST:PORT: a running one."


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The same command with ``--on``: what it does many times is done there."""

    @functools.wraps(command)
    def placed(on: str = "local", **arguments: Any) -> None:
        from voxloom.errors import BadInput
        from voxloom.machines import working_on

        if on != "local" and arguments.get("workers") is not None:
            raise BadInput("--workers is for --on local", None, "Leave it out: a cluster uses all its CPUs")
        with working_on(on):
            command(**arguments)

    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter(
        "on", inspect.Parameter.KEYWORD_ONLY, default="local", annotation=Annotated[str, typer.Option(help=HELP)]
    )
    placed.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    return placed
