"""What tests draw at random is the same in every run and every order."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


@pytest.fixture(scope="module")
def shared() -> tuple[float, float, float]:
    return drawn()


@pytest.mark.parametrize("turn", range(3))
def test_every_test_and_every_fixture_starts_from_one_seed(turn: int, shared: tuple[float, float, float]) -> None:
    assert drawn() == shared
    assert drawn() != shared, "the generators go on within a test"
