"""An ensemble at work: predicts like a run.

Knows ``ensemble.json`` and ``stack.safetensors``. Members' probabilities wait on disk, so that memory holds about two label
maps whatever the number of members.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from voxloom.dataset import Labels
from voxloom.ensemble.combine import vote
from voxloom.ensemble.members import EnsembleMember, check_members, targets_first
from voxloom.ensemble.stack import StackNetwork, apply_stack, maps_of
from voxloom.errors import BadInput
from voxloom.inference.labels import add_share, decide
from voxloom.run.scans import admit, read_channels
from voxloom.runfiles import RunFold, folds_named
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.volume import Volume

Rule = Literal["mean", "vote", "stack"]
DESCRIPTION, STACK = "ensemble.json", "stack.safetensors"


@dataclass(frozen=True)
class EnsemblePredictor:
    """Members that decide together.

    Parameters
    ----------
    members : predictors with the same channels; those with the labels that are decided on come first.
    alike : how many those are; those with other labels take part in a stack only.
    rule : "mean" of probabilities on the scan's own grid, "vote" of label maps, or "stack".
    stack : the network that combines, for "stack".
    """

    members: tuple[Predictor, ...]
    rule: Rule
    stack: StackNetwork | None = None
    alike: int | None = None

    @property
    def deciding(self) -> tuple[Predictor, ...]:
        """The members that speak of the labels that are decided on."""
        return self.members[: self.alike]

    @property
    def labels(self) -> Labels:
        """The labels that are decided on."""
        return self.members[0].labels

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of all members."""
        return self.members[0].channels

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The torch modules of all members."""
        return tuple(module for member in self.members for module in member.modules)

    @property
    def may_lack(self) -> bool:
        """Whether all members learned to do without a channel."""
        return all(member.may_lack for member in self.members)

    @classmethod
    def of(cls, folder: Path, *, device: str = "auto") -> EnsemblePredictor:
        """Load an ensemble from its folder.

        Raises
        ------
        BadInput : the folder is not an ensemble, or a member is no longer where it was.
        """
        about = read_description(folder)
        runs = [((folder / member["run"]).resolve(), member["folds"]) for member in about["members"]]
        members = [EnsembleMember(run, tuple(folds_named(run, folds))) for run, folds in runs]
        predictors = tuple(member.predictor(device=device) for member in members)
        alike = int(about.get("alike", len(members)))
        if about["rule"] != "stack":
            check_members(members, predictors)
            return cls(predictors, about["rule"])
        if targets_first(members, predictors) != (members, alike):
            raise BadInput("the labels of a member have changed", folder, "Build the ensemble anew")
        return cls(predictors, "stack", load_stack(folder, predictors, alike), alike)

    def predict(self, source: str | Path | Volume | Sequence[Path], *, resample_tilt: bool = False) -> Volume:
        """Label map (1, I, J, K) of one scan on its own grid; see ``Predictor.predict``."""
        volume = source if isinstance(source, Volume) else read_channels(source, resample_tilt)
        admit(volume, self.channels, self.may_lack, self.members[0].trained_on)
        if self.rule == "vote":
            found = vote([member.predict(volume).data[0] for member in self.members], self.labels)
        else:
            fills = [(_of(volume, member.probabilities), member.maps) for member in self.members]
            found = combine(fills, volume, self.labels, self.stack)
        return Volume(found[None], volume.affine, dict(volume.meta))


#: Fills an array (maps, I, J, K) with a member's probabilities.
Fill = Callable[[NDArray[np.float16]], Any]


def _of(volume: Volume, probabilities: Callable[[Volume, NDArray[np.float16]], Any]) -> Fill:
    return lambda out: probabilities(volume, out)


def combine(
    fills: Sequence[tuple[Fill, int]], volume: Volume, labels: Labels, stack: StackNetwork | None
) -> NDArray[Any]:
    """Outer label values (I, J, K) from the members' probabilities: their mean, or what the stack makes of them.

    Parameters
    ----------
    fills : of the members, and how many maps each has; without a stack all have the same.
    """
    maps = maps_of(labels)
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        total = np.lib.format.open_memmap(f"{folder}/mean.npy", "w+", np.float32, (maps, *volume.shape))
        every = sum(count for _, count in fills) if stack is not None else maps
        held = np.lib.format.open_memmap(f"{folder}/members.npy", "w+", np.float16, (every, *volume.shape))
        start = 0
        for fill, count in fills:
            place = held[start : start + count]
            fill(place)
            if stack is None:
                add_share(total, place, 1 / len(fills))
            else:
                start += count
        if stack is not None:
            apply_stack(stack, held, total)
        return labels.decode(decide(iter(total), labels))


def read_description(folder: Path) -> dict[str, Any]:
    """``ensemble.json``."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise BadInput("not an ensemble (no ensemble.json in it)", folder, "Make one: voxloom ensemble RUN RUN -o OUT")
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for member in about["members"]:
            if not (folder / member["run"] / "recipe.yaml").is_file():
                raise BadInput(
                    f"its member {member['run']} is no longer there", folder, "Move it back, or build it anew"
                )
        return about
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"the description is damaged ({error})", path, "Build the ensemble anew") from error


def member_folds(folder: Path) -> list[RunFold]:
    """The folds of all members of an ensemble, in their order."""
    members = read_description(folder)["members"]
    return [fold for member in members for fold in folds_named((folder / member["run"]).resolve(), member["folds"])]


def load_stack(folder: Path, predictors: Sequence[Predictor], alike: int) -> StackNetwork:
    """The combining network; the first ``alike`` members speak of its labels."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    others = sum(predictor.maps for predictor in predictors[alike:])
    network = StackNetwork(alike, predictors[0].maps, predictors[0].labels.has_regions, others=others)
    try:
        network.load_state_dict(load_file(folder / STACK))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise BadInput("the weights of the stack are missing or damaged", folder / STACK, "Build it anew") from error
    return network.eval()
