"""``voxloom index``: every DICOM header below some folders, as one table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.machines import spread

if TYPE_CHECKING:
    from voxloom.archive import IndexResult
    from voxloom.errors import BadInput


class Partition(StrEnum):
    """What an archive is cut by."""

    month = "month"
    site = "site"


@spread
def command(
    folders: Annotated[list[Path], typer.Argument(help="Folders to walk; zip and tar archives are opened.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The archive to write or to bring up to date (.parquet).")],
    partition: Annotated[
        Optional[Partition],
        typer.Option(help="Also cut the archive, into the folder NAME.by-month or NAME.by-site beside it."),
    ] = None,
    workers: Annotated[Optional[int], typer.Option(help="Processes. [default: the usable cores]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Read the header of every DICOM file once. Run it again for new files; a run that was killed goes on."""
    from dataclasses import asdict

    from voxloom.archive import Archive, index_archive
    from voxloom.archive.catalogue import problems_path
    from voxloom.archive.partition import partition as cut
    from voxloom.cli import output

    is_new = not out.exists()
    with output.progress_bar("Reading headers") as progress:
        found = index_archive(folders, out, workers=workers, progress=progress)
    archive = Archive(out)
    counts = archive.counts()
    if not counts.instances:
        raise _nothing_found(found, folders[0], is_new)
    if not json_output:
        typer.echo(
            f"{counts.instances} instances in {counts.series} series, {counts.studies} studies, {counts.patients} patients"
        )
        typer.echo(
            f"{found.read} files read now, {found.removed} gone, {found.others} are not DICOM, {found.problems} are broken"
        )
        output.table(_table(archive), title="Series")
    wrote = [out, *([problems_path(out)] if found.problems else [])]
    if partition is not None:
        wrote.append(cut(out, partition.value))
    facts = {**asdict(found), **asdict(counts), "archive": str(out), "problems_file": str(problems_path(out))}
    output.done(wrote, ["voxloom", "select", out, "-r", "RULES.yaml", "-o", "DATASET"], facts if json_output else None)


def _nothing_found(found: IndexResult, folder: Path, is_new: bool) -> BadInput:
    """The error of an index without instances. A new one goes again, except for the list of broken files."""
    from voxloom.archive.index import files_of
    from voxloom.errors import BadInput

    *files, problems = files_of(found.archive)
    for path in files if is_new else ():
        path.unlink(missing_ok=True)
    if found.problems:
        return BadInput(f"no DICOM file could be read, {found.problems} are broken", folder, f"Read {problems}")
    if is_new:
        problems.unlink(missing_ok=True)
    return BadInput(f"no DICOM file was found ({found.others} others)", folder, "Check the path")


def _table(archive: Any) -> list[list[str]]:
    """Series by kind, the most frequent first."""
    rows = archive.query(
        """SELECT Modality AS modality, coalesce(derived_weighting, '-') AS weighting, coalesce(derived_plane, '-') AS plane,
            count(*) AS series,
            CAST(sum(instances) AS BIGINT) AS instances, count(*) FILTER (derived_localizer) AS localizers,
            count(*) FILTER (NOT derived_complete) AS with_faults, count(*) FILTER (derived_volumes > 1) AS several_volumes
           FROM series GROUP BY ALL ORDER BY series DESC, modality, weighting, plane LIMIT 15"""
    )
    names = [name.replace("_", " ") for name in rows[0]] if rows else ["no series"]
    return [names, *([str(value) for value in row.values()] for row in rows)]
