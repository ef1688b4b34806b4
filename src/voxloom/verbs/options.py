"""What can be asked of ``predict``. Imports no network, so that a service that only passes it on stays small."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from voxloom.tasks.wish import Wish
from voxloom.trust.sampling import Sampling

#: Formats of DICOM results, as ``--format`` and the rules of a node name them.
Format = Literal["seg", "seg-labelmap", "seg-fractional", "rtstruct", "sr", "sc"]
FORMATS: tuple[str, ...] = get_args(Format)


@dataclass(frozen=True)
class PredictOptions:
    """How scans are predicted.

    Parameters
    ----------
    ending : format of the results; None takes the task's choice, e.g. the input's format for label maps.
    tta, seed : average over the views that training showed, some of them drawn.
    uncertainty : members whose disagreement is mapped, see ``Sampling``; None maps none.
    quality : predict the Dice of each case where the run is calibrated.
    abstain : leave out points of less confidence, instead of the recipe's threshold; give no class below this probability.
    series : names the series to read of a DICOM folder that holds several.
    resample_tilt : read a CT with gantry tilt or uneven slices onto an upright grid instead of refusing it.
    overlays : where a label map is written as a picture, write the scan with it in color too, into ``overlays``.
    maps : write the networks' probability maps too, into ``maps``.
    cutouts : side in mm of a small volume that is cut out around every predicted point, into ``cutouts``; None cuts none.
    formats : DICOM results that are written beside the predictions, of ``FORMATS``; the scans must
        be series.
    labels : table of codes (and colors) of labels for them, CSV.
    device : "auto", "cpu" or "cuda".
    around : the mask or point that a run looks around: a file for one scan, or a folder with a file of each scan's name.
    """

    ending: str | None = None
    tta: bool = False
    seed: int = 0
    uncertainty: Sampling | None = None
    quality: bool = True
    abstain: float | None = None
    series: tuple[str, ...] = ()
    resample_tilt: bool = False
    overlays: bool = True
    maps: bool = False
    cutouts: float | None = None
    device: str = "auto"
    around: Path | None = None
    formats: tuple[str, ...] = ()
    labels: Path | None = None

    @property
    def wish(self) -> Wish:
        """What decides how the networks are opened; two options with the same wish can share them."""
        return Wish(self.device, self.tta, self.seed, self.abstain)
