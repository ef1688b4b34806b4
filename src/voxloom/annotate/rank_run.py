"""``rank`` from end to end: scans without labels are found, ordered, and written as a table and a page with pictures.

Knows the order of things. How scans are ordered is in ``rank``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.annotate.rank import rank_scans, without_known, write_rank
from voxloom.report.case_slices import case_slices
from voxloom.report.rank_page import write_rank_page
from voxloom.report.style import data_uri
from voxloom.run.find_scans import find_scans
from voxloom.run.listener import SILENT, Listener
from voxloom.run.run import Run
from voxloom.run.scans import Scan, read_scan
from voxloom.tasks.abilities import need
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.trust.sampling import DRAWS, Sampling
from voxloom.trust.uncertainty import default_sources

#: Scans that the page shows.
SHOWN = 12


@dataclass(frozen=True)
class RankOptions:
    """How scans are ordered.

    Parameters
    ----------
    most : scans to list; None lists all.
    members : "folds", "tta", "dropout", or several with commas; None takes what the run has.
    diversity : weight of being unlike the scans above, 0 to 1.
    draws, seed : see ``Sampling``.
    series : names the series to read of a DICOM folder that holds several.
    """

    most: int | None = None
    members: str | None = None
    diversity: float = 0.5
    draws: int = DRAWS
    seed: int = 0
    series: tuple[str, ...] = ()
    device: str = "auto"


@dataclass(frozen=True)
class Ranked:
    """What was ordered and written.

    Parameters
    ----------
    rows : of the table, the scan to annotate first at the top.
    known : scans that were left out, since they are cases of the run.
    """

    rows: list[dict[str, Any]]
    known: list[str]
    sampling: Sampling
    table: Path
    page: Path


def rank_run(
    folder: Path, inputs: Sequence[Path], out: Path, options: RankOptions = RankOptions(), listener: Listener = SILENT
) -> Ranked:
    """Order scans by what a run does not know of them; the table goes to ``out``, the page beside it.

    Raises
    ------
    BadInput : the run, the scans or the members cannot be used, or no scan is left.
    """
    run = Run(folder)
    need(run, "rank")
    predictor = Predictor.of(run, device=options.device)
    sampling = Sampling.parse(options.members or ",".join(default_sources(predictor)), options.draws, options.seed)
    count, may_lack = len(predictor.channels), predictor.may_lack
    found = find_scans(inputs, count, may_lack, series=options.series, tell=listener.stage)
    scans, known = without_known(run, found)
    if known:
        named = f"{', '.join(known[:5])}{', ...' * (len(known) > 5)}"
        listener.stage(f"{len(known)} scans are cases of the run and are left out: {named}")
    with listener.progress("Looking at the scans") as progress:
        rows = rank_scans(predictor, scans, sampling, most=options.most, diversity=options.diversity, progress=progress)
    pictures = draw(predictor, scans, rows[:SHOWN])
    about = sentence(sampling, options.diversity)
    page = write_rank_page(rows, pictures, folder.resolve().name, about, out.with_suffix(".html"))
    return Ranked(rows, known, sampling, write_rank(rows, out), page)


def draw(predictor: Predictor, scans: Sequence[Scan], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Slices of the first scans with the contours that the run predicts."""
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
