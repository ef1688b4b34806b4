"""``voxloom explain``: where in a scan a run finds the reason of its answer."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from voxloom.cli.options import Around, Device, ResampleTilt, Scans, Series


class MethodName(StrEnum):
    """How an answer is explained."""

    cam = "cam"
    grad_cam = "grad-cam"
    grad_cam_pp = "grad-cam++"
    integrated_gradients = "integrated-gradients"
    occlusion = "occlusion"


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    inputs: Scans,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the maps.")],
    method: Annotated[MethodName, typer.Option(help="How the answer is explained.")] = MethodName.grad_cam,
    answer: Annotated[
        Optional[list[str]],
        typer.Option(
            "--answer",
            help="Class, target, label or landmark to explain; repeatable. [default: the predicted class; of other runs all]",
        ),
    ] = None,
    layer: Annotated[
        Optional[str],
        typer.Option(
            help="Of cam and grad-cam: a module's name, or a stage of the encoder from its end, as -2. [default: the last features]"
        ),
    ] = None,
    mirror: Annotated[
        bool,
        typer.Option(
            help="Of cam and grad-cam: average over the mirror images that training showed, where RUN answers for whole scans."
        ),
    ] = True,
    steps: Annotated[int, typer.Option(help="Of integrated-gradients.", min=2)] = 32,
    box: Annotated[
        Optional[float],
        typer.Option(
            help="Of occlusion: side of the covered box in mm. [default: an eighth of the longest side]", min=0.01
        ),
    ] = None,
    covariate: Annotated[
        Optional[list[str]],
        typer.Option(
            "--covariate", help="NAME=NUMBER of the case, where RUN sees numbers beside the image; repeatable."
        ),
    ] = None,
    sanity: Annotated[
        bool,
        typer.Option("--sanity", help="Also compare each map with those of the same networks with random weights."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the random weights.")] = 0,
    resample_tilt: ResampleTilt = False,
    around: Around = None,
    series: Series = None,
    device: Device = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write maps of where RUN finds the reason of its answers, on the grids of the scans, and pictures of them."""
    from voxloom.attribution import MethodSettings
    from voxloom.cli import output
    from voxloom.verbs.explain import ExplainOptions, explain

    options = ExplainOptions(
        method=MethodSettings(method=method.value, layer=layer, steps=steps, box_mm=box, mirror=mirror),
        answers=tuple(answer or ()),
        sanity=sanity,
        seed=seed,
        attributes=numbers_of(covariate or []),
        around=around,
        series=tuple(series or ()),
        resample_tilt=resample_tilt,
        device=device,
    )
    found = explain(run, inputs, out, options, output.listener())
    if sanity:
        tell_sanity(found.rows)
    output.done(
        found.files, None, {"written": [str(p) for p in found.files], "maps": found.rows} if json_output else None
    )


def tell_sanity(rows: list[dict[str, Any]]) -> None:
    """How alike maps are to those of random weights, and which are too much so."""
    from voxloom.cli import output
    from voxloom.verbs.explain import ALIKE

    output.table(sanity_rows(rows), title="Likeness to maps of random weights (1: the map knows nothing of them)")
    for row in rows:
        if (row["rank_correlation"] or 0) > ALIKE:
            output.note(f"{row['scan']}, {row['answer']}: this map hardly depends on what the network learned")


def numbers_of(words: list[str]) -> dict[str, float]:
    """Covariates from ``NAME=NUMBER`` (BadInput for anything else)."""
    from voxloom.errors import BadInput

    found = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            found[name] = float(text)
        except ValueError:
            raise BadInput(f"{word!r} is not NAME=NUMBER", "--covariate", "Write, e.g., age=61") from None
    return found


def sanity_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    """A table for the screen."""

    def text(value: float | None) -> str:
        return "constant" if value is None else f"{value:.2f}"

    return [
        ["scan", "answer", "rank correlation", "SSIM"],
        *([r["scan"], r["answer"], text(r["rank_correlation"]), text(r["ssim"])] for r in rows),
    ]
