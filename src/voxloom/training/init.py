"""Recipe section ``init``: where first weights come from. Loads no torch, since every recipe has it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class InitSettings(BaseModel):
    """The first weights of a training; recipe section ``init:``. Left out, they are random (He et al. 2015).

    Parameters
    ----------
    weights : of the encoder: "imagenet", a safetensors file, or a hub id such as "smp-hub/resnet50.imagenet".
    run : a run whose weights are taken instead.
    fold : which of its folds.
    part : "encoder" alone, or "all" weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str | None = None
    run: Path | None = None
    fold: int = Field(0, ge=0)
    part: Literal["encoder", "all"] = "encoder"

    @model_validator(mode="after")
    def _one_source(self) -> InitSettings:
        if self.weights is not None and self.run is not None:
            raise ValueError("give `weights` or `run`, not both")
        return self


#: Random first weights.
RANDOM = InitSettings()
