"""How far the joint that ``crop: joint`` finds lies from the true one, on simulated knees of both views.

Every scan loses up to 45 mm at its upper or lower end, so that the joint is not in the middle. Each is searched with what the other
scans taught: of its own view, and of the other view only. Run: ``python benchmarks/joint_center.py [scans]``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxloom.phantom.kinds import make_phantom
from voxloom.prepare.joint import JointModel, meeting_point, sample
from voxloom.prepare.reorient import turn_to

CODES = {"coronal": "RSA", "sagittal": "ASR"}
CUT_MM = 45.0


@dataclass(frozen=True)
class Knee:
    """One cut scan: image and label (I, J, K), spacing, view, true center in voxels and its look."""

    image: NDArray[np.float32]
    spacing: tuple[float, ...]
    view: str
    center: tuple[float, ...]
    look: NDArray[np.float32]

    def error(self, model: JointModel) -> float:
        """Distance in mm from the found to the true center, in the plane."""
        found = model.center(self.image, self.spacing, CODES[self.view])
        return float(np.hypot(*((a - b) * mm for a, b, mm in zip(found, self.center, self.spacing, strict=False))))

    def middle_error(self) -> float:
        """The same for the middle of the image."""
        middle = [(n - 1) / 2 for n in self.image.shape[:2]]
        return float(np.hypot(*((a - b) * mm for a, b, mm in zip(middle, self.center, self.spacing, strict=False))))


def cut_knee(index: int, random: np.random.Generator) -> Knee:
    """Simulated scan ``index`` without one end."""
    case = make_phantom("knee-mr", 7, index=index, difficulty=(0.3, 0.3, 0.9, 0.9)[index % 4])
    view = str(case.attributes["view"])
    turn = turn_to(case.image.affine, CODES[view])
    spacing = tuple(case.image.spacing[axis] for axis in turn.order)
    image, label = turn.apply(case.image.data)[0], turn.apply(case.label.data)[0]
    cut = int(random.uniform(0, CUT_MM) / spacing[1])
    kept = slice(cut, None) if random.random() < 0.5 else slice(0, image.shape[1] - cut)
    image, label = image[:, kept].astype(np.float32), label[:, kept]
    center, look = meeting_point(label == 1, label == 2, spacing), sample(image, label == 1, label == 2, spacing)
    assert center is not None
    assert look is not None
    return Knee(image, spacing, view, center, look)


def taught(knees: list[Knee], wanted: Callable[[Knee], bool]) -> JointModel:
    """What the chosen scans teach."""
    return JointModel.learn([(CODES[knee.view], knee.look) for knee in knees if wanted(knee)])


def main(count: int) -> None:
    """Print errors in mm."""
    random = np.random.default_rng(0)
    knees = [cut_knee(n, random) for n in range(count)]
    own = [knee.error(taught(knees, lambda other, knee=knee: other is not knee)) for knee in knees]
    cross = [knee.error(taught(knees, lambda other, knee=knee: other.view != knee.view)) for knee in knees]
    middle = [knee.middle_error() for knee in knees]
    print("| searched with | mean mm | median mm | largest mm | within 10 mm |\n|---|---|---|---|---|")
    for name, errors in (
        ("other scans of both views", own),
        ("the other view only", cross),
        ("(middle of the image)", middle),
    ):
        near = sum(error <= 10 for error in errors)
        row = f"{np.mean(errors):.1f} | {np.median(errors):.1f} | {np.max(errors):.1f} | {near} of {count}"
        print(f"| {name} | {row} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
