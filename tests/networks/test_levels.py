"""How often each axis is halved."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom.networks import plan_levels
from voxloom.networks.levels import FEWEST_LEVELS


def product(strides: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    total = [1] * len(strides[0])
    for stride in strides:
        total = [t * s for t, s in zip(total, stride, strict=True)]
    return tuple(total)


def test_isotropic_patch_is_halved_alike() -> None:
    strides, kernels = plan_levels((64, 64, 64), (1, 1, 1))
    assert strides == ((1, 1, 1), *((2, 2, 2),) * 4)
    assert kernels == ((3, 3, 3),) * 5


def test_a_thick_axis_waits_until_the_others_have_caught_up() -> None:
    strides, kernels = plan_levels((256, 256, 16), (0.8, 0.8, 5.0))
    assert strides == ((1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2), (2, 2, 1))
    assert kernels == ((3, 3, 1), (3, 3, 1), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))


def test_a_kernel_of_3_is_kept_when_the_finest_axis_cannot_be_halved_any_more() -> None:
    _, kernels = plan_levels((128, 128, 8), (1, 1, 1))
    assert set(kernels) == {(3, 3, 3)}


def test_the_hippocampus_patch() -> None:
    strides, _ = plan_levels((40, 56, 40), (1, 1, 1))
    assert product(strides) == (8, 8, 8)


def test_two_dimensions() -> None:
    strides, kernels = plan_levels((32, 48), (1, 1))
    assert strides == ((1, 1), (2, 2), (2, 2), (2, 2))
    assert kernels == ((3, 3),) * 4


def test_a_tiny_patch_still_gets_the_fewest_levels() -> None:
    assert len(plan_levels((5, 5, 5), (1, 1, 1))[0]) == FEWEST_LEVELS


@given(
    patch=st.tuples(*[st.integers(4, 200)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 8)] * 3),
    max_levels=st.integers(3, 7),
)
def test_no_axis_gets_too_small_and_the_thin_ones_wait(
    patch: tuple[int, ...], spacing: tuple[float, ...], max_levels: int
) -> None:
    strides, kernels = plan_levels(patch, spacing, max_levels=max_levels)
    assert FEWEST_LEVELS <= len(strides) == len(kernels) <= max_levels
    for n, total in zip(patch, product(strides), strict=True):
        assert total == 1 or n / total >= 4
    assert all(k in (1, 3) for kernel in kernels for k in kernel)
    for before, after in pairwise(kernels):
        assert all(a >= b for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.99), (1.0, 1.0, 2.0)])
def test_the_factor_of_2_itself_is_too_far(spacing: tuple[float, ...]) -> None:
    strides, _ = plan_levels((64, 64, 64), spacing)
    assert strides[1] == ((2, 2, 2) if spacing[2] < 2 else (2, 2, 1))


def test_a_fixed_patch_is_halved_only_while_it_is_even():
    strides, _ = plan_levels((224, 224, 36), (1, 1, 1), fixed=True)
    assert [stride[2] for stride in strides] == [1, 2, 2, 1, 1, 1]
    assert [stride[0] for stride in strides] == [1, 2, 2, 2, 2, 2]
