"""What decides a training: the settings of one network's optimisation and of the patches it sees.

Knows names, ranges and defaults. Does not know how values are chosen (``planner``) nor how they are used (``module``, ``data``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from voxloom.inference.mask_steps import StepName
from voxloom.losses import LossSettings
from voxloom.own_settings import OwnPart
from voxloom.training.compiled import Compile
from voxloom.training.phases import Phase

Triple = tuple[int, int, int]

#: Peak learning rate of each optimizer where a recipe names the optimizer alone. Those of AdamW and Muon were measured
#: (benchmarks/RESULTS.md); Ranger's is that of methods.md D, SGD's is nnU-Net's.
USUAL_RATES = {"adam": 1e-3, "adamw": 6e-3, "muon": 3e-2, "ranger": 1e-2, "sgd": 1e-2}


#: Entry points under which packages offer callbacks.
CALLBACKS = "voxloom.callbacks"


class OwnCallback(OwnPart):
    """A callback of Lightning's of another package; an entry of the recipe key ``training.callbacks``."""

    group, key = CALLBACKS, "training.callbacks"


class TrainingSettings(BaseModel):
    """Settings of one training run; every field is a recipe key under ``training:``.

    Parameters
    ----------
    patch : voxels of one training patch, order i j k on the prepared grid; k = 1 for 2D networks.
    batch : patches per step.
    steps : optimiser steps of the whole schedule.
    epochs : passes over the training cases (each draws one patch per case, or ``slices.per_volume`` slices) in the place of
        ``steps``; under a time budget the budget decides.
    optimizer, learning_rate, weight_decay, momentum : the optimiser and its peak learning rate.
    schedule : shape of the learning rate over the run, or over each phase.
    decay : the learning rate is divided by 1 + decay * step, beside the schedule.
    discriminative : learning rate of the first layer group as a share of the last one's; those between lie between
        geometrically.
    phases : steps of the training one after the other (``Phase``), e.g. with a frozen encoder or with small patches.
    loss : name of a loss, or its keys (``LossSettings``).
    batch_dice : one overlap over the whole batch instead of the mean of one per patch.
    foreground : share of patches that are centred on a labelled voxel, every label with equal chance.
    gradient_clip : largest gradient norm; 0 for no limit.
    ema : decay of the moving average of weights that is validated and kept; 0 keeps the raw weights.
    precision : arithmetic of the network; the master weights are float32 in all. "fp16" is for graphics cards that have no bfloat16,
        and scales the loss so that small gradients are not lost.
    tf32 : whether a graphics card may round the factors of float32 products to 10 bits of mantissa (NVIDIA, from Ampere on).
    deterministic : on a graphics card, whether two runs give the same weights; slower. A CPU always repeats itself.
    compile : None, "kernels" (``torch.compile``), or "graphs" (and CUDA graphs, which spare the CPU the launching of kernels).
    channels_last : memory layout of the network.
    validations : how often the validation cases are predicted in the whole run.
    monitor : column of ``log.csv`` that says which weights are best, and when patience ends; a loss is better when lower.
        Where a loss decides, "val_loss" is that of all validation cases; else of those whose prediction is not too large for it.
    least_gain : by how much the monitored value must beat that of the kept weights for new ones to take their place.
    patience, patience_epochs : stop after so many validations, or after so many passes over the training cases, without a better
        value; 0 never stops early.
    keep : "best" keeps the weights of the best validation, "last" those of the last one, whatever they score.
    distances : whether validations also measure the Hausdorff distance and its 95th percentile, columns ``val_hd`` and ``val_hd95``.
    workers : processes that read patches; 0 reads in the training process.
    callbacks : callbacks of Lightning's of other packages, told of every step before Voxloom's own (``OwnCallback``).
    trackers : where figures go beside ``log.csv`` and TensorBoard: jsonl, mlflow, wandb (``voxloom.training.trackers``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch: Triple
    batch: int = Field(2, ge=1)
    steps: int = Field(1000, ge=1)
    epochs: float | None = Field(None, gt=0)
    optimizer: Literal["adam", "adamw", "muon", "ranger", "sgd"] = "adamw"
    learning_rate: float = Field(6e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.99, ge=0, lt=1)
    schedule: Literal["one_cycle", "poly", "flat_cosine", "constant"] = "one_cycle"
    decay: float = Field(0.0, ge=0)
    discriminative: float = Field(1.0, gt=0, le=1)
    phases: tuple[Phase, ...] = ()
    loss: LossSettings = LossSettings()
    batch_dice: bool = True
    foreground: float = Field(0.33, ge=0, le=1)
    gradient_clip: float = Field(12.0, ge=0)
    ema: float = Field(0.99, ge=0, lt=1)
    precision: Literal["bf16", "fp16", "fp32"] = "fp32"
    tf32: bool = True
    deterministic: bool = False
    compile: Compile | None = None
    channels_last: bool = True
    validations: int = Field(10, ge=1)
    monitor: str = "val_dice"
    least_gain: float = Field(0.0, ge=0)
    patience: int = Field(0, ge=0)
    patience_epochs: float = Field(0.0, ge=0)
    keep: Literal["best", "last"] = "best"
    distances: bool = False
    workers: int = Field(0, ge=0)
    callbacks: tuple[OwnCallback, ...] = ()
    trackers: tuple[Literal["jsonl", "mlflow", "wandb"], ...] = ()

    def steps_for(self, per_pass: float) -> int:
        """Optimiser steps of the whole schedule, where one pass over the training cases is ``per_pass`` patches of this process."""
        return self.steps if self.epochs is None else max(1, math.ceil(self.epochs * per_pass / self.batch))

    @field_validator("monitor")
    @classmethod
    def _a_column(cls, monitor: str) -> str:
        if not re.fullmatch("train_loss|val_.+", monitor):
            raise ValueError("must be train_loss, val_loss, val_dice, or val_dice_LABEL for one label")
        return monitor

    @model_validator(mode="after")
    def _positive_patch(self) -> TrainingSettings:
        if min(self.patch) < 1:
            raise ValueError("patch must be at least 1 voxel along each axis")
        return self


#: Which post-processing steps are kept, see ``PostprocessStep``.
When = Literal["auto", "unless_worse", "always"]


class PostprocessStep(BaseModel):
    """One post-processing step; an entry of the recipe key ``inference.postprocess``.

    Parameters
    ----------
    step : see ``voxloom.inference.mask_steps.run_step``; or "name_in_order", which gives each of several structures in a row one of
        ``labels``, from head to feet (``voxloom.inference.order``).
    amount : ml, mm, slices or share, by the step; None takes its default.
    labels : which labels it is for; empty takes all.
    when : "auto" keeps the step, label by label, where it raises the Dice of the held-out cases; "unless_worse" also where it changes
        nothing there, the default of name_in_order: what it guards against shows in scans unlike those of training; "always" keeps it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: StepName | Literal["name_in_order"]
    amount: float | None = Field(None, ge=0)
    labels: tuple[str, ...] = ()
    when: When = "auto"

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        entry = {"step": given} if isinstance(given, str) else given
        in_a_row = isinstance(entry, Mapping) and entry.get("step") == "name_in_order"
        return {"when": "unless_worse", **entry} if in_a_row else entry


class InferenceSettings(BaseModel):
    """How a trained network is applied; every field is a recipe key under ``inference:``.

    Windows have the size of the training patches: instance norm sees as much background as in training. Larger windows were
    measured to cost 0.7 Dice points on hippocampus.

    Parameters
    ----------
    overlap : share of a window that its neighbour covers again, 0 to below 1.
    batch : windows per forward pass.
    mirror : axes (0, 1, 2 for i, j, k) over whose mirror images the prediction is averaged.
    largest_component : labels of which only the largest connected component is kept; ``"auto"`` decides by the validation
        cases and writes its decision into the run.
    postprocess : post-processing steps, in their order: names, or ``{step, amount, labels, when}``. fill_holes (up to
        ``amount`` ml), smooth (mm), interpolate (empty slices between two labelled ones), remove_small (ml), remove_fraction (of
        the mean volume of one structure in training), largest_activation and name_in_order. What each gains on the held-out cases
        is written into the run.
    instances : labels that hold several structures each, which are counted from head to feet, measured and scored one by one;
        "auto" takes the only label of a data set that has one, and each of several labels as one structure; None counts nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    overlap: float = Field(0.5, ge=0, lt=1)
    batch: int = Field(1, ge=1)
    mirror: tuple[Literal[0, 1, 2], ...] = ()
    largest_component: tuple[str, ...] | Literal["auto"] = "auto"
    postprocess: tuple[PostprocessStep, ...] = ()
    instances: tuple[str, ...] | Literal["auto"] | None = None
