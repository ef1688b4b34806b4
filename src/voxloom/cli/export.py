"""``voxloom export``: hand a trained model to other software."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer


class Target(StrEnum):
    """What a run can be exported to."""

    monai = "monai"
    zip = "zip"


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    to: Annotated[
        Target, typer.Option("--to", help="monai: a bundle; zip: the run itself, without what names or shows patients.")
    ] = Target.monai,
    out: Annotated[
        Optional[Path],
        typer.Option("-o", "--out", help="Folder of the bundle, or zip file. [default: bundle; RUN.zip]"),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write RUN as a MONAI bundle that MONAI's own loader runs, or as a zip that can be shared."""
    from voxloom.cli import output
    from voxloom.export.export import export_run, own_preparation
    from voxloom.run.run import Run

    if to is Target.zip:
        made = export_run(Run(run), out or Path(f"{run.resolve().name}.zip"), to.value)
        unpack: list[object] = ["python", "-m", "zipfile", "-e", made, "."]
        output.done([made], unpack, {"zip": str(made)} if json_output else None)
        return
    bundle = export_run(Run(run), out or Path("bundle"), to.value)
    if reason := own_preparation(bundle):
        output.note(
            f"MONAI cannot express {reason}, so the bundle prepares scans with Voxloom: install it beside MONAI"
        )
    config = bundle / "configs" / "inference.json"
    words = ["python", "-m", "monai.bundle", "run", "--config_file", config, "--bundle_root", bundle]
    output.done([bundle], words, {"bundle": str(bundle), "needs_voxloom": reason} if json_output else None)
