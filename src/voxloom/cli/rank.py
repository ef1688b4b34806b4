"""``voxloom rank``: which scans to annotate next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.machines import spread
from voxloom.cli.options import Scans, Series

if TYPE_CHECKING:
    from voxloom.run.scans import Scan
    from voxloom.tasks.segmentation.predictor import Predictor
    from voxloom.trust.sampling import Sampling

#: Scans that the page shows.
SHOWN = 12


@spread
def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    unlabelled: Scans,
    most: Annotated[Optional[int], typer.Option("-n", "--most", help="Scans to list. [default: all]")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Table; a page with pictures goes beside it.")] = Path(
        "rank.csv"
    ),
    members: Annotated[
        Optional[str],
        typer.Option(
            help="folds, tta, dropout, or several with commas. [default: folds where there are several, else dropout, else tta]"
        ),
    ] = None,
    diversity: Annotated[float, typer.Option(help="Weight of being unlike the scans above, 0 to 1.")] = 0.5,
    series: Series = None,
    draws: Annotated[int, typer.Option(help="Draws with active dropout.")] = 8,
    seed: Annotated[int, typer.Option(help="Of noise and dropout.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda:N.")] = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Order scans without labels for annotation: uncertain ones first that are unlike each other."""
    from voxloom.annotate.rank import rank_scans, without_known, write_rank
    from voxloom.cli import output
    from voxloom.report.rank_page import write_rank_page
    from voxloom.run.find_scans import find_scans
    from voxloom.run.run import Run
    from voxloom.tasks.abilities import need
    from voxloom.tasks.segmentation.predictor import Predictor
    from voxloom.trust.sampling import Sampling
    from voxloom.trust.uncertainty import default_sources

    opened = Run(run)
    need(opened, "rank")
    predictor = Predictor.of(opened, device=device)
    chosen = members or ",".join(default_sources(predictor))
    sampling = Sampling.parse(chosen, draws, seed)
    chosen_series = tuple(series or ())
    found = find_scans(unlabelled, len(predictor.channels), predictor.may_lack, series=chosen_series, tell=output.note)
    scans, known = without_known(opened, found)
    if known:
        output.note(
            f"{len(known)} scans are cases of the run and are left out: {', '.join(known[:5])}{', ...' * (len(known) > 5)}"
        )
    with output.progress_bar("Looking at the scans") as progress:
        rows = rank_scans(predictor, scans, sampling, most=most, diversity=diversity, progress=progress)
    pictures = draw(predictor, scans, rows[:SHOWN])
    page = write_rank_page(rows, pictures, run.resolve().name, sentence(sampling, diversity), out.with_suffix(".html"))
    wrote = [write_rank(rows, out), page]
    output.table([["rank", "case", "why"], *([str(r["rank"]), r["case"], r["reason"]] for r in rows[:20])])
    result = {"rows": rows, "left_out": known, "members": sampling.to_dict(), "written": [str(path) for path in wrote]}
    output.done(wrote, output.Page(page), result if json_output else None)


def draw(predictor: Predictor, scans: list[Scan], rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Slices of the first scans with the contours that the run predicts."""
    from voxloom.report.case_slices import case_slices
    from voxloom.report.style import data_uri
    from voxloom.run.scans import read_scan

    by_name = {scan.name: scan for scan in scans}
    pictures = []
    for row in rows:
        image = read_scan(by_name[row["case"]])
        figure = case_slices(image, [(predictor.predict(image), "-")], predictor.labels)
        pictures.append({"caption": f"{row['rank']}. {row['case']}: {row['reason']}", "data": data_uri(figure, dpi=70)})
    return pictures


def sentence(sampling: Sampling, diversity: float) -> str:
    """How the order came about."""
    kinds = {"folds": "the networks of the folds", "tta": "changed views of the scan", "dropout": "draws with dropout"}
    members = " and ".join(kinds[source] for source in sampling.sources)
    return (
        f"Members are {members}. Uncertainty is the mean rank of the disagreement of their label maps, of the entropy and of "
        "the mutual information in the predicted structures; distance is that of the network's deepest features, with a "
        f"weight of {diversity:g}."
    )
