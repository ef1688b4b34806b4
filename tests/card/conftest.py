"""The pretended card has processes of its own: autograd counts the devices of a process once, and no other test is to have one more.

``test_dry_run.py`` starts them; ``VOXLOOM_PRETENDED_CARD=1 pytest tests/card`` runs the tests on the card directly.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import SingleDeviceStrategy

from tests.card.pretended import NAME, Waits, pretended_card, register
from voxloom.inference.device import GIB, Card

#: Set in a process that has the card.
ALONE = "VOXLOOM_PRETENDED_CARD"
ON_CARD = ["test_training.py", "test_parts.py", "test_tasks.py"]
collect_ignore = ["test_dry_run.py", "test_gpu_suite.py"] if os.environ.get(ALONE) else ON_CARD
if os.environ.get(ALONE):
    register()

#: Modules that ask which device a name stands for.
ASK = (
    "voxloom.tasks.segmentation.predictor", "voxloom.tasks.study", "voxloom.tasks.scoring", "voxloom.verbs.start",
    "voxloom.tasks.whole_case.predictor", "voxloom.tasks.landmarks.predictor",
)  # fmt: skip


class CardAccelerator(CPUAccelerator):
    """The pretended card for Lightning."""

    def setup_device(self, device: torch.device) -> None:
        assert device.type == NAME


def on_card(**settings: Any) -> Trainer:
    """A trainer of the pretended card in the place of another's."""
    if settings["accelerator"] != NAME:
        return Trainer(**settings)
    precision = settings.pop("precision")
    if precision != "32-true":
        scaler = torch.amp.GradScaler(NAME) if precision == "16-mixed" else None
        settings["plugins"] = [MixedPrecision(precision, NAME, scaler=scaler)]
    strategy = SingleDeviceStrategy(device=torch.device(NAME, 0), accelerator=CardAccelerator())
    return Trainer(**{**settings, "accelerator": "auto", "strategy": strategy})


@contextlib.contextmanager
def card_in(patch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """A card in the place of the processor, and what made the processor wait for it."""
    patch.setattr("voxloom.training.loop.Trainer", on_card)
    patch.setattr("voxloom.tasks.segmentation.task.card_of", lambda device: Card("a pretended card", 24 * GIB))
    for module in ASK:
        patch.setattr(f"{module}.pick_device", lambda wanted: NAME)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pretended_card() as waits:
        yield waits
    torch.set_num_threads(before)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """See :func:`card_in`."""
    with card_in(monkeypatch) as waits:
        yield waits
