"""The grid of a plan: voxel size, axis order, 2D or 3D, and the patch that the network sees.

Pure functions of what the data are, after nnU-Net's rules (Isensee et al., Nature Methods 2021). Knows no network and no time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.networks import plan_levels
from voxloom.prepare import plane_orientation
from voxloom.prepare.slices import Plane
from voxloom.training.settings import Triple

Spacing = tuple[float, float, float]
#: Spacing ratio above which a thick axis is treated apart (nnU-Net).
ANISOTROPY = 3.0
#: Fewer slices than this leave nothing for a third axis to learn from.
FEWEST_SLICES = 8
#: Voxels of a patch: on a CPU what keeps a step near a second, on a GPU nnU-Net's usual 128 cubed.
LARGEST_PATCH = {"cpu": 48 * 64 * 48, "cuda": 128**3}
LARGEST_PATCH_2D = {"cpu": 256 * 256, "cuda": 512 * 512}
#: Passes over all training voxels below which the plan lowers the resolution.
FEWEST_PASSES = 6.0


@dataclass(frozen=True)
class DataFacts:
    """What the plan needs to know of a training set.

    Parameters
    ----------
    cases : number of training cases.
    shapes, spacings : (n, 3), after reorientation, order i j k; mm.
    kinds : per channel, nnU-Net's names ("CT", "zscore", ...).
    outputs : output channels: background and labels, or one per region.
    smallest : name and median mm3 of the label with the smallest volume, None when nothing is labelled.
    unit : of lengths: ``"mm"``, or ``"pixel"`` where the images have no voxel size.
    row : labels that are structures in a row, such as vertebrae, from head to feet; empty where they are not.
    """

    cases: int
    shapes: tuple[Triple, ...]
    spacings: tuple[Spacing, ...]
    kinds: tuple[str, ...]
    outputs: int
    smallest: tuple[str, float] | None
    unit: str = "mm"
    row: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What the recipe fixes of the shape of the network's input.

    Parameters
    ----------
    dims : 2 or 3; None lets the plan choose.
    plane : anatomical plane of the slices of a 2D network.
    neighbors : slices on either side that a 2D network sees as further channels.
    patch : voxels of a training patch; None lets the plan choose.
    """

    dims: int | None = None
    plane: Plane | None = None
    neighbors: int = 0
    patch: Triple | None = None


@dataclass(frozen=True)
class Frame:
    """Axis order, dimensions and voxel size of the prepared cases, with the facts in that axis order, and why."""

    facts: DataFacts
    orientation: str
    dims: int
    spacing: Spacing
    why_dims: str
    why_spacing: str


def choose_frame(facts: DataFacts, wishes: Wishes) -> Frame:
    """The grid before the time budget has its say."""
    shape = median_shape(facts, target_spacing(facts)[0])
    dims, why_dims = choose_dims(wishes, shape)
    orientation = orientation_for(dims, shape, wishes.plane)
    if orientation != "RAS":
        facts = reordered(facts, orientation)
    spacing, why = target_spacing(facts)
    return Frame(facts, orientation, dims, spacing, why_dims, why)


def target_spacing(facts: DataFacts) -> tuple[Spacing, str]:
    """nnU-Net's rule: the median per axis; a thick axis gets its 10th percentile so that thin cases keep their slices."""
    spacings, shapes = np.array(facts.spacings), np.array(facts.shapes)
    median = np.median(spacings, axis=0)
    thick = int(median.argmax())
    others = [axis for axis in range(3) if axis != thick]
    reason = "the median voxel size of the training cases"
    if facts.unit == "pixel" and np.ptp(spacings) == 0:
        reason = "as stored: the images have no voxel size"
    is_thick = median[thick] / median[others].max() > ANISOTROPY
    if is_thick and np.median(shapes, axis=0)[thick] * ANISOTROPY < np.median(shapes, axis=0)[others].max():
        median[thick] = max(np.percentile(spacings[:, thick], 10), median[others].max())
        reason += "; the 10th percentile along the thick axis, so that thinly sliced cases lose little"
    return (float(median[0]), float(median[1]), float(median[2])), reason


def median_shape(facts: DataFacts, spacing: Spacing) -> Triple:
    """Median size in voxels once every case has ``spacing``."""
    sizes = np.array(facts.shapes) * np.array(facts.spacings) / np.array(spacing)
    i, j, k = np.maximum(1, np.round(np.median(sizes, axis=0))).astype(int)
    return (int(i), int(j), int(k))


def fits_alone(shape: Triple, largest: int) -> bool:
    """Whether the whole median volume is too large for a patch, and yet no more than two patches: then a batch holds one.

    A network that sees everything can tell structures apart that look alike and differ in their place, as vertebrae do.
    """
    return largest < int(np.prod(shape)) <= 2 * largest


def choose_patch(shape: Triple, dims: int, largest: int) -> Triple:
    """The median shape, shrunk in proportion until it has at most ``largest`` voxels; multiples of 4 where that fits."""
    size = np.array(shape, dtype=float)
    if dims == 2:
        size[2] = 1
    for _ in range(100):
        if size.prod() <= largest:
            break
        longest = size.max()
        size[size > 0.8 * longest] *= 0.95
    multiple = np.where(size >= 16, 8, np.where(size >= 8, 4, 1))
    rounded = np.maximum(multiple, np.ceil(size / multiple - 0.25) * multiple)
    return (int(rounded[0]), int(rounded[1]), int(rounded[2]))


def divisible(patch: Triple, spacing: Spacing, dims: int) -> Triple:
    """The patch, enlarged until the network that fits it can halve it without remainder."""
    while True:
        strides, _ = plan_levels(patch[:dims], spacing[:dims])
        multiple = [*np.prod(np.array(strides), axis=0), 1][:3]
        i, j, k = (int(-(-p // m) * m) for p, m in zip(patch, multiple, strict=True))
        if (i, j, k) == patch:
            return patch
        patch = (i, j, k)


def choose_dims(wishes: Wishes, shape: Triple) -> tuple[int, str]:
    """What the recipe asks for; else 2D for images of one slice and for stacks too thin to convolve through, otherwise 3D."""
    if wishes.dims is not None:
        return wishes.dims, f"the recipe asks for {wishes.plane} slices" if wishes.plane else "set by the recipe"
    if shape[2] == 1:
        return 2, "the images are single slices"
    if min(shape) < FEWEST_SLICES:
        return 2, f"the median volume has only {min(shape)} slices"
    return 3, f"the median volume has {shape[0]} x {shape[1]} x {shape[2]} voxels, enough along every axis"


def orientation_for(dims: int, shape: Triple, plane: Plane | None) -> str:
    """RAS; for 2D networks on volumes the normal of the plane comes last, or the axis with the fewest slices."""
    if shape[2] == 1 or (dims == 3 and plane is None):
        return "RAS"
    if plane is not None:
        return plane_orientation("RAS", plane)
    thin = int(np.argmin(shape))
    return "".join("RAS"[axis] for axis in (*[a for a in range(3) if a != thin], thin))


def reordered(facts: DataFacts, orientation: str) -> DataFacts:
    """The same facts with shapes and spacings in the axis order of ``orientation``."""
    order = ["RAS".index(letter) for letter in orientation]
    pick = lambda triple: (triple[order[0]], triple[order[1]], triple[order[2]])
    return DataFacts(
        facts.cases,
        tuple(pick(s) for s in facts.shapes),
        tuple(pick(s) for s in facts.spacings),
        facts.kinds,
        facts.outputs,
        facts.smallest,
        facts.unit,
    )


def coarsened(facts: DataFacts, spacing: Spacing, seen: float) -> tuple[Spacing, str | None]:
    """Lower the resolution when ``seen`` voxels (all patches of all steps) are too few for the set at ``spacing``.

    Thin axes are coarsened first, and never so far that the smallest label has fewer than 64 voxels.
    """
    now = np.array(spacing)
    for _ in range(60):
        voxels = facts.cases * np.prod(median_shape(facts, tuple(now)))
        voxel_mm3 = float(np.prod(now)) * 1.1
        too_small = facts.smallest is not None and facts.smallest[1] / voxel_mm3 < 64
        if voxels * FEWEST_PASSES <= seen or too_small:
            break
        now = np.where(now <= now.min() * 1.2, now * 1.1, now)
    if np.allclose(now, spacing):
        return spacing, None
    text = "the budget allows too few looks at the full resolution, so the grid is coarser"
    return (float(now[0]), float(now[1]), float(now[2])), text


def patch_reason(shape: Triple, patch: Triple, card: str) -> str:
    """Why the patch has its size; ``card`` says what a graphics card's memory holds, "" for a CPU."""
    if all(p >= s * 0.75 for p, s in zip(patch, shape, strict=True)):
        return "about the whole median volume, so the network sees the full context"
    proportions = f"the proportions of the median volume ({' x '.join(map(str, shape))}), "
    return proportions + (card or "as large as a CPU handles in a good time")
