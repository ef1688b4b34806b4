"""N4 bias-field correction of MR (Tustison et al., IEEE TMI 2010), by SimpleITK, with its results kept.

The field is estimated on a shrunk image inside Otsu's foreground, and divided out at full resolution. One thread per case, so
that the result is the same on every machine; cases run beside each other. Knows source volumes and a folder of results.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.files import sha256_file
from voxloom.prepare.settings import PrepareSettings
from voxloom.prepare.store import Damaged, open_arrays, write_arrays
from voxloom.prepare.usage import CASE_ENDING, CORRECTED, touch
from voxloom.volume import Volume

if TYPE_CHECKING:
    from voxloom.dataset import Case

#: Raise it with every change that alters corrected voxels.
BIAS_VERSION = 1
#: An axis is not shrunk below this many voxels: the field's splines need some to be fitted to.
FEWEST_VOXELS = 8


def correct_bias(volume: Volume, settings: PrepareSettings) -> Volume:
    """The volume without its bias field, float32, on the same grid; the volume itself when ``settings.n4`` is off.

    A channel without contrast (no foreground by Otsu's threshold) keeps its values.
    """
    if not settings.n4:
        return volume
    channels = [_correct(np.asarray(channel, np.float32), volume.spacing, settings) for channel in volume.data]
    return volume.with_data(np.stack(channels))


def shrink_factors(shape: tuple[int, ...], wanted: int) -> list[int]:
    """Per axis ``wanted``, or less where fewer than 8 voxels would be left."""
    return [max(1, min(wanted, size // FEWEST_VOXELS)) for size in shape]


def _correct(
    channel: NDArray[np.float32], spacing: tuple[float, ...], settings: PrepareSettings
) -> NDArray[np.float32]:
    import SimpleITK as sitk

    finite = np.nan_to_num(channel, nan=0.0, posinf=0.0, neginf=0.0)
    flat = channel.shape[2] == 1
    if float(np.ptp(finite)) == 0:  # a missing channel too
        return channel
    image = sitk.GetImageFromArray(finite[..., 0].T if flat else finite.transpose(2, 1, 0))
    image.SetSpacing([float(mm) for mm in spacing[: image.GetDimension()]])
    small = sitk.Shrink(image, shrink_factors(image.GetSize(), settings.n4_shrink))
    mask = sitk.OtsuThreshold(small, 0, 1)
    if not sitk.GetArrayViewFromImage(mask).any():
        return channel
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(list(settings.n4_iterations))
    n4.Execute(small, mask)
    field = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))
    field = field.T[..., None] if flat else field.transpose(2, 1, 0)
    return np.asarray(channel / np.exp(field), np.float32)


@dataclass(frozen=True)
class CaseReader:
    """Reads a case's image as preparation begins with it: without its bias field where the settings say so.

    Parameters
    ----------
    settings : of the preparation.
    folder : where corrected images are kept, found by the content of the source files and the settings of N4; None corrects
        anew each time.
    """

    settings: PrepareSettings
    folder: Path | None = None

    def __call__(self, case: Case) -> Volume:
        """The image (C, I, J, K) of a case."""
        volume = case.read_image()
        if not self.settings.n4:
            return volume
        path = self.path(case)
        if path is None:
            return correct_bias(volume, self.settings)
        try:
            kept = volume.with_data(open_arrays(path).read("image"))
            touch(path)
            return kept
        except (Damaged, OSError, KeyError):
            corrected = correct_bias(volume, self.settings)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, {"image": corrected.data}, {"id": case.id})
            return corrected

    def path(self, case: Case) -> Path | None:
        """The file of a case's corrected image, named by everything that decides it."""
        if self.folder is None:
            return None
        decides: dict[str, Any] = {
            "version": BIAS_VERSION,
            "files": [sha256_file(path) for path in case.source_files],
            "sources": repr(list(case.images.values())),
            "shrink": self.settings.n4_shrink,
            "iterations": self.settings.n4_iterations,
        }
        key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return self.folder / CORRECTED / f"{key[:40]}{CASE_ENDING}"
