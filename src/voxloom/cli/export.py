"""``voxloom export``: hand a trained model to other software, or a run to other people."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from voxloom.cli.options import Endpoint


class Target(StrEnum):
    """What a run can be exported to."""

    monai = "monai"
    zip = "zip"
    hub = "hub"
    onnx = "onnx"
    torchscript = "torchscript"
    nnunet = "nnunet"


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    to: Annotated[
        Target,
        typer.Option(
            "--to",
            help="monai: a bundle; zip, hub: the run itself, without what names or shows patients; onnx, torchscript: "
            "its networks alone; nnunet: a model folder of nnU-Net v2.",
        ),
    ] = Target.monai,
    out: Annotated[
        Optional[Path],
        typer.Option(
            "-o", "--out", help="Folder, zip file, or OWNER/NAME on the hub. [default: bundle; RUN.zip; RUN-FORM]"
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Of a new repository on a hub: everybody may read it.")
    ] = False,
    endpoint: Endpoint = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write RUN for other software, or as a run that can be shared: without ids, ages, paths and pictures."""
    from voxloom.cli import output
    from voxloom.errors import BadInput
    from voxloom.export.export import export_run
    from voxloom.run.run import Run

    if to is not Target.hub and (public or endpoint is not None):
        raise BadInput("--public and --endpoint are for --to hub", None, "Leave them out")
    opened = Run(run)
    if to is Target.hub:
        _push(opened, out, public, endpoint, json_output)
        return
    name = run.resolve().name
    usual = {Target.monai: Path("bundle"), Target.zip: Path(f"{name}.zip")}
    made = export_run(opened, out or usual.get(to, Path(f"{name}-{to.value}")), to.value)
    said, next_step = _next_of(made, to)
    output.done([made], next_step, said if json_output else None)


def _push(run: Any, out: Path | None, public: bool, endpoint: str | None, json_output: bool) -> None:
    from voxloom.cli import output
    from voxloom.errors import BadInput
    from voxloom.export.hub import push

    if out is None:
        raise BadInput("--to hub needs a name", "-o", "Write -o OWNER/NAME")
    address = push(run, out.as_posix(), public=public, endpoint=endpoint)
    output.note(f"Pushed to {address}")
    more = [] if endpoint is None else ["--endpoint", endpoint]
    step = ["voxloom", "import", out.as_posix(), "-o", "DIR", *more]
    output.done([], step, {"hub": address} if json_output else None)


def _next_of(made: Path, to: Target) -> tuple[dict[str, Any], list[object] | None]:
    """What the JSON result says, and the next step; what is remarkable is said on the way."""
    from voxloom.cli import output
    from voxloom.export.export import own_preparation
    from voxloom.files import read_json

    if to is Target.zip:
        return {"zip": str(made)}, ["voxloom", "import", made, "-o", "DIR"]
    if to is Target.nnunet:
        differs = read_json(made / "voxloom.json")["differs"]
        for text in differs:
            output.note(f"Note: {text}")
        return {"nnunet": str(made), "differs": differs}, ["voxloom", "import", made, "-o", "DIR"]
    if to is not Target.monai:
        return {to.value: str(made), "files": read_json(made / "network.json")["files"]}, None
    if reason := own_preparation(made):
        output.note(
            f"MONAI cannot express {reason}, so the bundle prepares scans with Voxloom: install it beside MONAI"
        )
    config = made / "configs" / "inference.json"
    words = ["python", "-m", "monai.bundle", "run", "--config_file", config, "--bundle_root", made]
    return {"bundle": str(made), "needs_voxloom": reason}, words
