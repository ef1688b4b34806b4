"""The suggestion against nnU-Net's rule worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.dataset.inspect import CaseFacts, Fingerprint, suggest
from voxloom.dataset.inspect.suggest import PATCH_VOXELS


def found(*cases: tuple[tuple[int, int, int], tuple[float, float, float], str]) -> Fingerprint:
    facts = tuple(CaseFacts(str(n), shape, spacing, code) for n, (shape, spacing, code) in enumerate(cases))
    return Fingerprint("x", "segmentation", ("MR",), None, facts)


def test_isotropic_cases_are_held_whole() -> None:
    result = suggest(found(((35, 50, 36), (1.0, 1.0, 1.0), "RAS")))
    assert (result.orientation, result.spacing, result.size) == ("RAS", (1.0, 1.0, 1.0), (48, 64, 48))


def test_the_median_is_taken_per_anatomical_axis() -> None:
    result = suggest(found(((20, 40, 60), (3.0, 2.0, 1.0), "SAR"), ((60, 40, 20), (1.0, 2.0, 3.0), "RAS")))
    assert result.spacing == (1.0, 2.0, 3.0)
    assert "1 SAR, 1 RAS" in result.reasons[0]


def test_thick_slices_take_the_tenth_percentile() -> None:
    cases = [((512, 512, 30), (0.5, 0.5, z), "RAS") for z in (2.0, 4.0, 5.0, 5.0, 6.0)]
    result = suggest(found(*cases))
    assert result.spacing == pytest.approx((0.5, 0.5, np.percentile([2, 4, 5, 5, 6], 10)))
    assert "10th percentile" in result.reasons[1]


def test_a_patch_fits_and_can_be_halved() -> None:
    result = suggest(found(((512, 512, 300), (0.8, 0.8, 1.5), "LPS")))
    assert result.size is not None
    assert np.prod(result.size) <= 1.3 * PATCH_VOXELS
    assert all(n % 16 == 0 for n in result.size)
    assert result.size[0] > result.size[2]


def test_pictures() -> None:
    result = suggest(found(((256, 200, 1), (1.0, 1.0, 1.0), "LPS")))
    assert (result.orientation, result.size) == (None, (256, 208, 1))


def test_nothing_readable() -> None:
    result = suggest(Fingerprint("x", "segmentation", ("MR",), None, (CaseFacts("a", problem="broken"),)))
    assert result.spacing is None
    assert "No case could be read" in result.reasons[0]
