"""Named grey-value windows of CT: what a radiologist would look at. Knows numbers only.

In Hounsfield units they are the usual displays (organ: level 40, width 400; bone: 400, 1800; lung: -600, 1500). In percentiles of the
volume, organ is (60, 99) as published for kidney and liver CT (`ct-domain-cues`); that paper shows a bone and a lung window without
numbers, so those two are ours, for volumes of the trunk with air around it.
"""

from __future__ import annotations

from typing import Literal

WindowName = Literal["organ", "bone", "lung"]

HU_WINDOWS: dict[str, tuple[float, float]] = {
    "organ": (-160.0, 240.0),
    "bone": (-500.0, 1300.0),
    "lung": (-1350.0, 150.0),
}
PERCENTILE_WINDOWS: dict[str, tuple[float, float]] = {"organ": (60.0, 99.0), "bone": (90.0, 99.9), "lung": (1.0, 60.0)}
