"""Where the members of an uncertain prediction come from, as people ask for it. Knows no network, and imports none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from voxloom.errors import BadInput

Source = Literal["folds", "tta", "dropout"]
#: Draws with active dropout.
DRAWS = 8
#: How the views of "tta" are made; those of earlier versions were others.
VIEWS = "as trained"


@dataclass(frozen=True)
class Sampling:
    """Where members come from; with several sources every combination is a member.

    Parameters
    ----------
    sources : "folds" (every network of a run, or of an ensemble), "tta" (the scan as it is, its mirror
        images and four views drawn as in training) and "dropout" (draws). What
        does not vary is averaged, as in a prediction.
    draws : number of draws with active dropout.
    seed : of noise and dropout.
    """

    sources: tuple[Source, ...]
    draws: int = DRAWS
    seed: int = 0

    @classmethod
    def parse(cls, text: str, draws: int = DRAWS, seed: int = 0) -> Sampling:
        """From "folds", "tta", "dropout", or several of them with commas (BadInput for anything else)."""
        named = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        if not named or not set(named) <= set(get_args(Source)):
            known = ", ".join(get_args(Source))
            raise BadInput(
                f"{text!r} is not a source of uncertainty", None, f"Name one or more of {known}, with commas"
            )
        if draws < 2:
            raise BadInput(f"{draws} draw(s) have no spread", None, "Draw at least 2")
        return cls(tuple(source for source in get_args(Source) if source in named), draws, seed)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: the arguments of the class, and how views were made."""
        return {**asdict(self), "sources": list(self.sources), "views": VIEWS}
