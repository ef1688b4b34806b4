"""Orientations and turns against nibabel, on oblique, sheared, permuted and mirrored grids."""

from __future__ import annotations

import numpy as np
import pytest
from nibabel import orientations

from voxloom.prepare.reorient import turn_to
from voxloom.volume import orientation_of


def affines(count: int, kind: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        axes = rng.normal(size=(3, 3))
        if kind == "oblique":
            axes = np.linalg.qr(axes)[0]
        if kind in ("straight", "tilted"):
            axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1.0, 1.0], 3)
            axes = axes + rng.normal(size=(3, 3)) * (0.05 if kind == "tilted" else 0.0)
        affine = np.eye(4)
        affine[:3, :3] = axes * rng.uniform(0.2, 5, 3)
        found.append(affine)
    return found


@pytest.mark.parametrize("kind", ["straight", "tilted", "oblique", "sheared"])
def test_orientations_and_turns_are_those_of_nibabel(kind: str) -> None:
    rng = np.random.default_rng(1)
    for affine in affines(100, kind):
        assert orientation_of(affine) == "".join(orientations.aff2axcodes(affine))
        wanted = "".join(rng.permutation([rng.choice(list(pair)) for pair in ("LR", "PA", "IS")]))
        target = orientations.axcodes2ornt(tuple(wanted))
        rows = orientations.ornt_transform(orientations.io_orientation(affine), target)
        turn = turn_to(affine, wanted)
        assert [turn.order[int(new)] for new, _ in rows] == [0, 1, 2]
        assert [turn.flips[int(new)] for new, _ in rows] == [sign < 0 for _, sign in rows]
