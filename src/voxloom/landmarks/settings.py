"""What decides a landmark training beside patches, steps and augmentation; recipe section ``landmarks:``. Knows no tensor."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class LandmarkSettings(BaseModel):
    """Which maps a network paints around landmarks, and how points are read off them.

    Parameters
    ----------
    network : "singlenet" and "multinet" see three slices and answer for the middle one; "unet" is the dynamic U-Net in 3D.
    maps : "one" for all landmarks, one per "level" (name), or one per "landmark" (name and side).
    names : levels in the order from head to feet; None takes those of the training points, ordered by their mean height.
    target : "disc" in the slice plane, "ball", or "gaussian" (heat map); all in mm.
    radius : of discs and balls, or the SD of the Gaussian, in mm.
    loss : "fuzzy_dice", class-balanced "sigmoid_ce" or "softmax_ce", or "heatmap" (divergence from heat maps).
    output : what makes probabilities of SingleNet's and MultiNet's answers: "sigmoid", each map for itself, or "softmax", in which the
        maps compete with one another and the background; None takes softmax for "softmax_ce", else sigmoid.
    weighting : of the channels in fuzzy Dice: by marker "counts" (the rarest counts 1), "equal", or "whole" (one Dice over all
        channels at once).
    channels, max_channels, levels, supervision, activation, he, batch_norm, dropout : of SingleNet and MultiNet
        (``voxloom.networks.slabnet``); None takes those of the network.
    threshold : of the maps, for the components that become candidates.
    position : a candidate lies at the "centroid" of its component, or at its sub-voxel "peak".
    order : "drop" leaves out points that break the order from head to feet; "joint" chooses among all candidates of all
        levels at once those that keep it, at least ``radius`` mm from level to level; "off" looks at every level alone.
    abstain : points whose calibrated confidence is lower are left out; 0 keeps all.
    within : mm within which a point counts as right.
    oversample : attribute columns and how often a case is drawn in a pass where the attribute is neither empty, 0, no nor false.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["singlenet", "multinet", "unet"] = "multinet"
    maps: Literal["one", "level", "landmark"] | None = None
    names: tuple[str, ...] | None = None
    target: Literal["disc", "ball", "gaussian"] = "disc"
    radius: float = Field(7.0, gt=0, le=100)
    loss: Literal["fuzzy_dice", "sigmoid_ce", "softmax_ce", "heatmap"] = "fuzzy_dice"
    output: Literal["sigmoid", "softmax"] | None = None
    weighting: Literal["counts", "equal", "whole"] = "counts"
    channels: int | None = Field(None, ge=1)
    max_channels: int | None = Field(None, ge=1)
    levels: int | None = Field(None, ge=1, le=8)
    supervision: bool | None = None
    activation: Literal["relu", "elu", "elu_learned", "crelu"] | None = None
    he: bool | None = None
    batch_norm: bool | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    threshold: float = Field(0.5, gt=0, lt=1)
    position: Literal["centroid", "peak"] = "centroid"
    order: Literal["off", "drop", "joint"] = "off"
    abstain: float = Field(0.0, ge=0, le=1)
    within: float = Field(5.0, gt=0)
    oversample: dict[str, int] = {}

    @field_validator("order", mode="before")
    @classmethod
    def _off_in_yaml(cls, value: object) -> object:
        """YAML reads a bare ``off`` as false."""
        return "off" if value is False else value

    @model_validator(mode="after")
    def _consistent(self) -> LandmarkSettings:
        if self.network == "unet" and self.of_slab_net:
            raise ValueError(
                f"{', '.join(self.of_slab_net)}: belong to singlenet and multinet; a unet has `network:` keys"
            )
        if self.network == "unet" and self.loss == "softmax_ce":
            raise ValueError("softmax_ce belongs to singlenet and multinet: take sigmoid_ce for a unet")
        if self.output is not None:
            self._check_output()
        if self.network == "singlenet" and self.maps in ("level", "landmark"):
            raise ValueError("singlenet paints one map; take multinet for one per level")
        if self.chosen_maps == "one" and self.order == "joint":
            raise ValueError("order joint needs a map per level or landmark; one map is named by its order anyway")
        if self.target == "gaussian" and self.loss == "fuzzy_dice":
            raise ValueError("fuzzy Dice needs targets of 0 and 1: take loss heatmap with target gaussian")
        if self.names is not None and len(set(self.names)) < len(self.names):
            raise ValueError("names has a level twice")
        if bad := [name for name, factor in self.oversample.items() if factor < 1]:
            raise ValueError(f"oversample of {bad[0]} must be at least 1")
        return self

    def _check_output(self) -> None:
        if self.network == "unet":
            raise ValueError("output belongs to singlenet and multinet; a unet's maps are sigmoids")
        fixed = {"softmax_ce": "softmax", "sigmoid_ce": "sigmoid", "heatmap": "sigmoid"}.get(self.loss, self.output)
        if self.output != fixed:
            raise ValueError(f"loss {self.loss} goes with output {fixed}")

    @property
    def chosen_output(self) -> Literal["sigmoid", "softmax"]:
        """``output``, or what suits the loss."""
        return self.output or ("softmax" if self.loss == "softmax_ce" else "sigmoid")

    @property
    def of_slab_net(self) -> dict[str, Any]:
        """The keys of SingleNet and MultiNet that were given."""
        keys = ("channels", "max_channels", "levels", "supervision", "activation", "he", "batch_norm", "dropout")
        return {key: value for key in keys if (value := getattr(self, key)) is not None}

    @property
    def chosen_maps(self) -> Literal["one", "level", "landmark"]:
        """``maps``, or what suits the network."""
        return self.maps or ("one" if self.network == "singlenet" else "level")

    @property
    def is_slab(self) -> bool:
        """Whether the network reads three slices and answers for the middle one."""
        return self.network != "unet"
