"""``voxloom select``: from an archive to a data set, by rules."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.machines import spread

if TYPE_CHECKING:
    from voxloom.archive.select import Selection, SelectOptions


class Register(StrEnum):
    """What to do with channels of different frames of reference."""

    NO = "no"
    RIGID = "rigid"


@spread
def command(
    archive: Annotated[Path, typer.Argument(help="Archive written by voxloom index.")],
    rules: Annotated[
        str, typer.Option("-r", "--rules", help="Rules file (YAML), or the name of shipped rules: foramina.")
    ],
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="New folder for the data set.")] = None,
    key: Annotated[
        Optional[Path], typer.Option(help="File with the secret key of the pseudonyms; made when it is missing.")
    ] = None,
    link: Annotated[
        Optional[Path], typer.Option(help="Write who is behind each case to this new file (mode 600). Keep it apart.")
    ] = None,
    register: Annotated[Register, typer.Option(help="Channels of different frames of reference.")] = Register.NO,
    keep_dicom: Annotated[bool, typer.Option("--dicom", help="Write de-identified DICOM copies too.")] = False,
    attach: Annotated[
        Optional[Path],
        typer.Option(
            help="Table (.csv) with label, points or target by SeriesInstanceUID, StudyInstanceUID or PatientID."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what each rule leaves.")] = False,
    workers: Annotated[Optional[int], typer.Option(help="Processes. [default: the usable cores]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Choose series by rules, convert them to NIfTI on one grid, with pseudonyms, and report what each rule left."""
    from voxloom.archive import load_rules
    from voxloom.archive.select import SelectOptions, select
    from voxloom.cli import output
    from voxloom.errors import BadInput

    options = SelectOptions(key, link, register.value, keep_dicom, attach, workers)
    if dry_run:
        try_rules(archive, rules, options, json_output)
        return
    wanted = load_rules(rules)
    if out is None:
        raise BadInput("no folder is given", None, "Name it with -o DATASET, or use --dry-run")
    with output.progress_bar("Converting") as progress:
        made = select(archive, wanted, out, source=rules, options=options, progress=progress)
    say(made, options, json_output)


def try_rules(archive: Path, rules: str, options: SelectOptions, json_output: bool) -> None:
    """What each rule leaves, and the command that selects."""
    from voxloom.archive import Archive, load_rules
    from voxloom.archive.choose import choose
    from voxloom.archive.flow import flow_text
    from voxloom.cli import output

    steps = choose(Archive(archive), load_rules(rules), rules).steps
    if not json_output:
        typer.echo(flow_text(steps) + "\n")
    files = {"--key": options.key, "--link": options.link, "--attach": options.attach}
    kept = [word for option, path in files.items() if path for word in (option, path)]
    next_step = ["voxloom", "select", archive, "-r", rules, "-o", "DATASET", *kept]
    output.done([], next_step, {"steps": [asdict(step) for step in steps]} if json_output else None)


def say(made: Selection, options: SelectOptions, json_output: bool) -> None:
    """Counts, notes and files of a selection, for the screen or as JSON."""
    from voxloom.cli import output

    if not json_output:
        _tell(made, options.key)
    facts: dict[str, Any] = {
        "folder": str(made.folder),
        "cases": list(made.cases),
        "refused": [{"case": name, "reason": reason} for name, reason in made.refused],
        "copies": [list(group) for group in made.copies],
        "steps": [asdict(step) for step in made.steps],
    }
    wrote = [made.folder, *([options.link] if options.link is not None else [])]
    output.done(wrote, ["voxloom", "inspect", made.folder], facts if json_output else None)


def _tell(made: Selection, key: Path | None) -> None:
    from voxloom.archive.flow import flow_text
    from voxloom.cli import output

    typer.echo(flow_text(made.steps) + "\n")
    for name, reason in made.refused[:10]:
        output.note(f"Left out {name}: {reason}")
    if len(made.refused) > 10:
        output.note(f"... and {len(made.refused) - 10} more, see selection/refused.csv")
    for group in made.copies:
        output.note(f"Exactly the same voxels: {', '.join(group)}")
    if key is None:
        output.note("No --key was given: another selection gives other pseudonyms, and dates move by other days")
