"""What is asked of a run to explain it: its networks, how they see a scan, and the number whose reason is looked for.

A task fills this in; the methods know nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from voxloom.errors import BadInput
from voxloom.inference.grid import window_starts
from voxloom.inference.views import Member
from voxloom.prepare import PrepareSettings
from voxloom.prepare.slices import Edges
from voxloom.run.scan_check import TrainedOn
from voxloom.volume import Volume

Triple = tuple[int, int, int]
Method = Literal["cam", "grad-cam", "grad-cam++", "integrated-gradients", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
#: Methods whose map is only as fine as the features of a layer, without a unit; the others speak of the answer's own unit.
LAYERED: tuple[Method, ...] = ("cam", "grad-cam", "grad-cam++")


def file_name_of(method: Method) -> str:
    """A method in names of files, where a plus sign would become an underscore."""
    return method.replace("++", "-plus-plus")


#: From the output of a network for one window (1, ...) to the explained number (1,).
Score = Callable[[Tensor], Tensor]
#: From the plain output of a window to the score that is explained there; None where the window shows nothing of the answer.
Question = Callable[[Tensor], Score | None]


@dataclass(frozen=True)
class Scored:
    """The number whose reason is looked for: of an answer by its number, and in words."""

    question: Callable[[int], Question]
    says: str


class MethodSettings(BaseModel):
    """How an answer is explained.

    Parameters
    ----------
    method : see :data:`METHODS`.
    layer : whose features are weighted: a module's name, or a stage of the encoder counted from its end; None takes the last ("-1").
    steps : of integrated gradients, from an image of zeros to the scan.
    mirror : average the maps of features over the mirror images that training showed, where the network sees the scan in one window.
    box_mm : side of the box that occlusion puts over the scan, mm; None takes an eighth of the longest side of what the network sees.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = "grad-cam"
    layer: str | None = None
    steps: int = Field(32, ge=2)
    box_mm: float | None = Field(None, gt=0)
    mirror: bool = True


@dataclass(frozen=True)
class Windows:
    """The windows through which networks see a prepared image; they may reach beyond its ends, where it is 0.

    Parameters
    ----------
    size : (i, j, k) voxels.
    starts : first voxel of the windows, per axis.
    """

    size: Triple
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @classmethod
    def middle(cls, shape: Triple, size: Triple) -> Windows:
        """One window around the middle."""
        i, j, k = (((n - s) // 2,) for n, s in zip(shape, size, strict=True))
        return cls(size, (i, j, k))

    @classmethod
    def covering(cls, shape: Triple, size: Triple, overlap: float) -> Windows:
        """Windows that cover the image and overlap by at least ``overlap``; a smaller image lies in the middle of one."""
        starts = []
        for n, s in zip(shape, size, strict=True):
            starts.append(tuple(window_starts(n, s, overlap)) if n >= s else (-((s - n) // 2),))
        i, j, k = starts
        return cls(size, (i, j, k))

    def places(self) -> list[Triple]:
        """First voxel of every window."""
        return list(product(*self.starts))


def nothing_known(volume: Volume, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """All answers are explained."""
    return ()


def looks_at_all(volume: Volume, around: Path) -> Volume:
    """Refuse a mask or point for networks that look at whole scans."""
    raise BadInput("--around is for runs that look at a crop, and this one looks at whole scans", around)


def takes_any(volume: Volume) -> None:
    """Networks that look at whole scans."""


@dataclass(frozen=True)
class Explainable:
    """The networks of a run as the methods need them.

    Parameters
    ----------
    answers : names of what can be explained: classes, targets, labels, landmarks.
    members : networks and the statistics of their training cases.
    prepare, channels, device, may_lack : of the run.
    windows : of an image of a shape (I, J, K).
    call : network, window (1, C, i, j, k) and attributes of the case to the network's output.
    question : of an answer by its number.
    dims : spatial axes of the networks.
    says : what the score of an answer is, in words.
    of_features : the number that methods of features explain in its place; None where it is the same.
    chosen : answers that are explained where none is asked for, by scan and attributes; none means all.
    methods : that make sense for the task.
    focus : what of a scan is looked at, by the file of a mask or point; BadInput where the networks look at all of it.
    refuse : raises BadInput for a scan that the networks do not look at as a whole.
    trained_on : what the training cases were like; scans that differ are told.
    mirrors : axes of a window along which training showed mirror images, for networks that see the scan in one window.
    edges : what networks see beyond the first and last slice: zeros, or that slice again.
    """

    answers: tuple[str, ...]
    members: tuple[Member, ...]
    prepare: PrepareSettings
    channels: tuple[str, ...]
    device: torch.device
    windows: Callable[[Triple], Windows]
    call: Callable[[nn.Module, Tensor, Mapping[str, Any]], Tensor]
    question: Callable[[int], Question]
    dims: int
    says: str
    chosen: Callable[[Volume, Mapping[str, Any]], tuple[str, ...]] = field(default=nothing_known)
    may_lack: bool = False
    methods: tuple[Method, ...] = METHODS
    edges: Edges = "zero"
    focus: Callable[[Volume, Path], Volume] = looks_at_all
    refuse: Callable[[Volume], None] = takes_any
    trained_on: TrainedOn | None = None
    mirrors: tuple[int, ...] = ()
    of_features: Scored | None = None

    def scored(self, method: Method) -> Scored:
        """What a method explains."""
        if self.of_features is not None and method in LAYERED:
            return self.of_features
        return Scored(self.question, self.says)

    def number_of(self, answer: str) -> int:
        """Place of an answer (BadInput naming those that there are)."""
        if answer not in self.answers:
            raise BadInput(f"the run has no answer {answer!r}", None, f"There are {', '.join(self.answers)}")
        return self.answers.index(answer)

    def refuse_method(self, method: Method) -> None:
        """Refuse a method that has no meaning for the task."""
        if method not in self.methods:
            what = f"{method} needs a network that pools its features into one answer per case"
            raise BadInput(what, None, f"Use {', '.join(self.methods)}")

    def asked(self, wanted: Sequence[str], volume: Volume, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        """The answers to explain: those that are wanted (BadInput for unknown ones), else the task's choice."""
        for name in wanted:
            self.number_of(name)
        return tuple(wanted) or self.chosen(volume, attributes) or self.answers
