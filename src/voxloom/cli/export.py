"""``voxloom export``: hand a trained model to other software."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Target(StrEnum):
    """What a run can be exported to."""

    monai = "monai"


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    to: Annotated[Target, typer.Option("--to", help="Format of the export.")] = Target.monai,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the export.")] = Path("bundle"),
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write RUN as a MONAI bundle that MONAI's own loader runs."""
    from voxloom.cli import output
    from voxloom.export.export import export_run
    from voxloom.run.run import Run

    bundle = export_run(Run(run), out, to.value)
    output.done(
        [bundle], f"python -m monai.bundle run --bundle_root {bundle}", {"bundle": str(bundle)} if json_output else None
    )
