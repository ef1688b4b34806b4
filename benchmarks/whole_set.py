"""Every metric of label maps against HD95 alone, on two liver-sized masks (1.2 million voxels in 512 x 512 x 200).

    python benchmarks/whole_set.py [--repeats 5]

HD95 alone: surfaces, two distance transforms, two percentiles. Every metric: those of every table, and all that can be asked for of
label maps by ``evaluate.metrics`` (``voxloom.evaluation.further``). Distance fields, boxes and pieces are made once for all.
"""

from __future__ import annotations

import argparse

from pairs import OURS, Side, Work, parser, report, run, table
from surface_metrics import SPACING, masks


def alone(options: argparse.Namespace) -> Work:
    from voxloom.evaluation.surface import surface_distances

    a, b = masks()
    return lambda: surface_distances(a, b, SPACING).hd_percentile(95)


def every(options: argparse.Namespace) -> Work:
    from voxloom.evaluation import mask_metrics
    from voxloom.evaluation.further import FURTHER
    from voxloom.evaluation.measures import Measures

    a, b = masks()
    measures = Measures(metrics=tuple(FURTHER))
    return lambda: mask_metrics(a, b, SPACING, measures=measures).hd95


def main() -> None:
    options = parser(__doc__, repeats=5).parse_args()
    rounds = run([Side("HD95 alone", OURS, alone), Side("every metric", OURS, every)], options)
    if rounds is not None:
        same = {samples[-1].result for samples in rounds.values()}
        report(options, f"{table(rounds)}\n\nHD95 of both: {', '.join(f'{value:.3f} mm' for value in same)}.")


if __name__ == "__main__":
    main()
