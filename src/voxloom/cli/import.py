"""``voxloom import``: bring a shared run here, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from voxloom.cli.options import Endpoint


def command(
    source: Annotated[
        Path,
        typer.Argument(
            help="A zip or folder of `export --to zip`, a model of nnU-Net v2 (folder or zip), or OWNER/NAME[@VERSION] of a hub."
        ),
    ],
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", help="New folder of the run. [default: the source's name]")
    ] = None,
    configuration: Annotated[
        Optional[str], typer.Option(help="Of a nnU-Net folder with several: 2d, 3d_fullres, 3d_lowres.")
    ] = None,
    own_parts: Annotated[
        bool, typer.Option("--own-parts", help="The run may use parts of other installed packages: you trust them.")
    ] = False,
    endpoint: Endpoint = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a shared run or a model of nnU-Net v2 (hashes, formats, no code inside) and put it here, ready to predict."""
    from voxloom.cli import output
    from voxloom.export.importing import import_run

    found = import_run(source.as_posix(), out, configuration=configuration, own_parts=own_parts, endpoint=endpoint)
    for text in found.told:
        output.note(text)
    said = {"run": str(found.folder), "told": list(found.told), **(vars(found.shared) if found.shared else {})}
    next_step = ["voxloom", "predict", found.folder, "SCAN", "-o", "OUT"]
    output.done([found.folder], next_step, said if json_output else None)
