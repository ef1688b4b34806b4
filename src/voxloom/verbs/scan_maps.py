"""What networks say of every voxel of one scan, as values in Python: probabilities of labels, and where members disagree.

``voxloom predict --maps`` and ``--uncertainty`` write the same as files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from voxloom.run.run import Run
from voxloom.run.scans import admit, read_channels
from voxloom.tasks.abilities import need
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.task import task_of
from voxloom.tasks.wish import Wish
from voxloom.trust.sampling import Sampling
from voxloom.trust.uncertainty import default_sources
from voxloom.trust.uncertainty_maps import Uncertainty, scan_uncertainty
from voxloom.volume import Volume

#: One scan: a file or DICOM folder, a volume with all channels, or a file per channel.
Scan: TypeAlias = str | Path | Volume | tuple[str | Path, ...]


def scan_of(source: Scan) -> Volume:
    """The volume with all channels of one scan."""
    if isinstance(source, Volume):
        return source
    return read_channels([Path(one) for one in source] if isinstance(source, tuple) else source)


def probability_maps(run: Run, source: Scan, wish: Wish) -> dict[str, Volume]:
    """See :meth:`voxloom.Run.probabilities`."""
    need(run, "predict --maps")
    need(run, "predict --format seg-fractional")  # a run on points has maps of another grid
    if wish.tta:
        need(run, "predict --tta")
    predictor: Any = task_of(run).open(run, wish)
    assert isinstance(predictor, Predictor)
    volume = scan_of(source)
    admit(volume, predictor.channels, predictor.may_lack, predictor.trained_on)
    found, first = predictor.probabilities(volume), 0 if predictor.labels.has_regions else 1
    return {
        name: volume.with_data(found[first + n][None].astype(np.float32))
        for n, name in enumerate(predictor.labels.names)
    }


def uncertainty_of(run: Run, source: Scan, over: str | None, draws: int, seed: int, device: str) -> Uncertainty:
    """See :meth:`voxloom.Run.uncertainty`."""
    need(run, "predict --uncertainty")
    predictor: Any = task_of(run).open(run, Wish(device))
    assert isinstance(predictor, Predictor)
    sampling = Sampling.parse(over or ",".join(default_sources(predictor)), draws, seed)
    return scan_uncertainty([predictor], scan_of(source), sampling)
