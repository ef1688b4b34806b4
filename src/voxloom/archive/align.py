"""Channels of one case on one grid, by their place in the patient.

Knows that two series may only be laid over one another when they share a frame of reference; otherwise it refuses, or
finds the shift and turn (rigid, mutual information) when asked. Linear interpolation; outside of a channel its smallest
value. Does not know cases or files.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from voxloom.errors import BadInput
from voxloom.formats.itk import to_image
from voxloom.volume import Volume

Register = Literal["no", "rigid"]
#: The seed of the drawn voxels, so that a registration repeats.
_SEED = 20_26
_SAMPLED = 0.25


def align(moving: Volume, reference: Volume, *, register: Register = "no") -> Volume:
    """``moving`` on the grid of ``reference``.

    Parameters
    ----------
    moving, reference : volumes (1, I, J, K) whose ``meta`` has ``frame_of_reference_uid``.
    register : "rigid" registers channels of another or an unknown frame of reference.

    A volume on the very grid comes back as it is; integers stay integers. ``meta["alignment"]`` says what was done.

    Raises BadInput when the frames of reference differ and nothing may be registered, and when the two do not overlap.
    """
    frames = [volume.meta.get("frame_of_reference_uid") for volume in (moving, reference)]
    if frames[0] and frames[0] == frames[1]:
        if moving.same_grid(reference):
            return Volume(moving.data, reference.affine, {**moving.meta, "alignment": "same grid"})
        return _resampled(moving, reference, None, "resampled by the DICOM geometry")
    if register == "no":
        what = "have different frames of reference" if all(frames) else "do not both name a frame of reference"
        raise BadInput(
            f"the channels {what}, so that their places cannot be compared",
            moving.meta.get("source"),
            "Select with --register rigid to find the shift and turn, or choose series of one examination",
        )
    return _resampled(moving, reference, find_rigid(moving, reference), "registered (rigid, mutual information)")


def find_rigid(moving: Volume, reference: Volume) -> Any:
    """SimpleITK transform from points of ``reference`` to points of ``moving`` (LPS mm), by mutual information."""
    import SimpleITK as sitk

    fixed, floating = (sitk.Cast(to_image(volume), sitk.sitkFloat32) for volume in (reference, moving))
    start = sitk.CenteredTransformInitializer(
        fixed, floating, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.01, 200, 0.5, 1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    levels = [4, 2, 1] if min(reference.shape) >= 32 else [2, 1] if min(reference.shape) >= 16 else [1]
    method.SetShrinkFactorsPerLevel(levels)
    method.SetSmoothingSigmasPerLevel([float(level - 1) for level in levels])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(False)
    method.SetNumberOfThreads(1)  # the sum of threads in another order would end elsewhere
    method.SetInitialTransform(start, inPlace=False)
    try:
        return method.Execute(fixed, floating)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][-120:]
        raise BadInput(f"cannot be registered ({reason})", moving.meta.get("source"), "Leave the case out") from None


def _resampled(moving: Volume, reference: Volume, transform: Any, how: str) -> Volume:
    low = float(moving.data.min())
    inside = _resample(np.ones_like(moving.data, np.uint8), moving, reference, transform, 0.0)
    if not inside.any():
        raise BadInput("the channels do not overlap", moving.meta.get("source"), "Choose series of one body part")
    data = _resample(moving.data, moving, reference, transform, low)
    covered = float((inside > 0).mean())
    meta = {**moving.meta, "alignment": how, "covered": round(covered, 4)}
    return Volume(data, reference.affine, meta)


def _resample(data: Any, moving: Volume, reference: Volume, transform: Any, outside: float) -> Any:
    import SimpleITK as sitk

    image = sitk.Cast(to_image(moving.with_data(data)), sitk.sitkFloat32)
    grid = to_image(reference.with_data(np.zeros_like(reference.data[:1], np.uint8)))
    moved = sitk.Resample(image, grid, transform or sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, outside)
    array = sitk.GetArrayFromImage(moved).transpose(2, 1, 0)[None]
    return np.rint(array).astype(data.dtype) if data.dtype.kind in "iu" else array.astype(data.dtype)
