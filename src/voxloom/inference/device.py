"""Where networks run: the CPU, a graphics card by number, or an Apple chip; what is not there is refused in one line.

Knows names of devices and what a card is (its memory, whether it computes bfloat16). Knows no network and no run.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch

from voxloom.device_names import device_name
from voxloom.errors import BadInput

GIB = 1 << 30


@dataclass(frozen=True)
class Card:
    """What a plan needs to know of a graphics card.

    Parameters
    ----------
    name : for people.
    memory : bytes.
    bf16 : whether it computes bfloat16 in hardware (NVIDIA: Ampere, 2020, and later).
    """

    name: str
    memory: int
    bf16: bool = True

    @property
    def gib(self) -> float:
        """Memory in GiB."""
        return self.memory / GIB


def pick_device(wanted: str) -> str:
    """The device of a name, "cuda" or "cpu" for "auto".

    An Apple chip is taken only where it is asked for: it has not been tried.

    Raises
    ------
    BadInput : unknown, several, or not there.
    """
    kind, _, number = device_name(wanted).partition(":")
    if kind == "cpu":
        return "cpu"
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise BadInput("no Apple chip was found", "--device mps", "Use --device cpu; mps is there on Macs alone")
        return "mps"
    cards = _cards()
    if kind == "auto":
        return "cuda" if cards else "cpu"
    if not cards:
        raise BadInput("no graphics card was found", None, "Use --device cpu, or check the driver with nvidia-smi")
    if number and int(number) >= cards:
        there = "cuda:0 alone" if cards == 1 else f"cuda:0 to cuda:{cards - 1}"
        raise BadInput(f"there is no graphics card {wanted}", "--device", f"This machine has {there}")
    return wanted


def kind_of(device: str) -> str:
    """ "cpu", or "cuda" for whatever is planned like a graphics card."""
    return "cpu" if device == "cpu" else "cuda"


def card_of(device: str) -> Card | None:
    """The card of a device that is there, None for the CPU."""
    if device == "cpu":
        return None
    if device == "mps":
        return Card("an Apple chip", torch.mps.recommended_max_memory(), bf16=False)
    facts = torch.cuda.get_device_properties(device)
    return Card(facts.name, facts.total_memory, torch.cuda.is_bf16_supported(including_emulation=False))


def _cards() -> int:
    """Number of usable NVIDIA cards; a driver that does not work has none, and PyTorch's warnings of it are not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
