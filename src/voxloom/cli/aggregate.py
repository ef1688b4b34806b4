"""``voxloom aggregate``: mean and SD of a table of runs by any factor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def command(
    table: Annotated[Path, typer.Argument(help="Table of runs: .csv, .tsv or .parquet, one row per run.")],
    scores: Annotated[str, typer.Option(help="Columns of numbers, separated by commas.")],
    factors: Annotated[
        str, typer.Option(help="Columns to aggregate by, separated by commas; a*b crosses two. [default: none]")
    ] = "",
    across: Annotated[Optional[str], typer.Option(help="A factor whose levels become the columns.")] = None,
    merge: Annotated[
        Optional[list[str]],
        typer.Option(metavar="FACTOR:NEW=A,B", help="Take levels A and B of a factor together as NEW."),
    ] = None,
    where: Annotated[
        Optional[list[str]], typer.Option(metavar="FACTOR=A,B", help="Keep only rows with these levels.")
    ] = None,
    digits: Annotated[
        Optional[str],
        typer.Option(metavar="MEAN,SD", help="Decimals of mean and SD. [default: the SD's first two digits]"),
    ] = None,
    out: Annotated[
        Optional[list[Path]], typer.Option("-o", "--out", help="Also write a .txt, .csv, .tex or .json; repeatable.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Mean +- SD (n - 1) of the scores in TABLE, over all rows and by every level of every factor."""
    from voxloom.cli import output
    from voxloom.dataset.tables import read_table
    from voxloom.evaluation.aggregate import Tables, aggregate
    from voxloom.report.aggregate_tables import as_json, as_text, write_tables

    kept = dict(_pair(text, "--where") for text in where or [])
    wanted = Tables(_names(factors), _names(scores), across, parse_merges(merge or []), kept)
    decimals = parse_digits(digits)
    found = aggregate(read_table(table), wanted, table)
    wrote = [write_tables(found, path, decimals) for path in out or []]
    typer.echo((as_json(found) if json_output else as_text(found, decimals)).rstrip())
    if not json_output:
        output.done(wrote, None)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _pair(text: str, option: str) -> tuple[str, list[str]]:
    from voxloom.errors import BadInput

    name, equals, levels = text.partition("=")
    if not equals or not name.strip() or not _names(levels):
        raise BadInput(f"{option} {text} is not FACTOR=A,B", None, f"Example: {option} weights=ResNet-50")
    return name.strip(), list(_names(levels))


def parse_merges(texts: list[str]) -> dict[str, dict[str, list[str]]]:
    """``FACTOR:NEW=A,B`` texts as factor -> new level -> levels."""
    from voxloom.errors import BadInput

    merges: dict[str, dict[str, list[str]]] = {}
    for text in texts:
        factor, colon, rest = text.partition(":")
        if not colon or not factor.strip():
            raise BadInput(
                f"--merge {text} is not FACTOR:NEW=A,B",
                None,
                'Example: --merge "weights:transfer=ResNet-50,Inception-v4"',
            )
        new, levels = _pair(rest, "--merge")
        merges.setdefault(factor.strip(), {})[new] = levels
    return merges


def parse_digits(text: str | None) -> tuple[int, int] | None:
    """``MEAN,SD`` decimals."""
    from voxloom.errors import BadInput

    if text is None:
        return None
    parts = _names(text)
    if len(parts) != 2 or not all(part.isdigit() and int(part) < 16 for part in parts):
        raise BadInput(f"--digits {text} is not MEAN,SD", None, "Example: --digits 0,1 shows 81 ± 3.8")
    return int(parts[0]), int(parts[1])
