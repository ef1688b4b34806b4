"""How strongly patches are changed at random; every field is a recipe key under ``augment:``. Knows no tensor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from voxloom.own_settings import OwnPart

#: Entry points under which packages offer changes of patches.
AUGMENTATIONS = "voxloom.augmentations"

Range = tuple[float, float]


def _ordered(sizes: Range) -> Range:
    if not 0.1 <= sizes[0] <= sizes[1] <= 10:
        raise ValueError("the smaller size comes first, both from 0.1 to 10")
    return sizes


#: Smallest and largest factor of an object's size.
Sizes = Annotated[Range, AfterValidator(_ordered)]


def _rising(deviations: Range) -> Range:
    if not 0 <= deviations[0] <= deviations[1]:
        raise ValueError("the smaller deviation comes first, both at least 0")
    return deviations


#: Smallest and largest standard deviation.
Deviations = Annotated[Range, AfterValidator(_rising)]


class OwnChange(OwnPart):
    """A change of intensities of another package; its name alone, or these keys.

    Parameters
    ----------
    kind, options : as of ``OwnPart``, of the group ``voxloom.augmentations``.
    chance : that a patch is changed.
    """

    group, key = AUGMENTATIONS, "augment.own"

    chance: float = Field(1.0, ge=0, le=1)


class AugmentSettings(BaseModel):
    """Probability (per patch) and range of every random change. Zero probability leaves a change out.

    Parameters
    ----------
    rotation, rotation_chance : largest angle in degrees about i, j, k; negative angles as likely.
    scale, scale_chance : largest relative change of size, e.g. 0.2 for 1/1.2 to 1.2, or the smallest and largest size, e.g.
        (1.0, 1.2) to enlarge only.
    scale_axes : "together" draws one size for all axes, so that shapes stay similar; "apart" one for each.
    shift, shift_chance : largest shift in mm along i, j, k.
    mirror : axes (0, 1, 2) that are mirrored with a chance of one half.
    elastic, elastic_spacing, elastic_chance : standard deviation of the displacement of control points in mm, and their
        distance in mm; no point moves more than 0.4 of the distance along an axis.
    elastic_points, elastic_draw : control points per axis, spread over the patch, in the place of ``elastic_spacing``; and how they
        move: "normal" with ``elastic`` as standard deviation, or "uniform" up to it.
    noise, noise_chance : largest standard deviation of Gaussian noise, in units of the normalized image, or the smallest and
        largest, e.g. (0.25, 0.25) for always the same.
    blur, blur_chance : range of the Gaussian's standard deviation in voxels.
    brightness, contrast, intensity_chance : largest addition, and largest relative change of contrast about the mean.
    gamma, gamma_chance : range of ln(gamma) is +- this.
    low_resolution, low_resolution_chance : lowest resolution, as a share of the present one.
    bias_field, bias_field_chance : largest relative change by a smooth field over the patch (MR coil sensitivity).
    remap, remap_chance : brightness is moved along a random smooth curve, by up to this share of the range between dark and
        bright, so that tissues change their order as they do between MR sequences; the darkest voxels stay dark.
    invert_chance : dark becomes bright.
    batch_chance : share of the batches that are changed at all; the chances above hold within those.
    box_blur, box_blur_chance : mean over so many voxels along every axis.
    motion_blur, motion_blur_chance : mean along a line of up to so many voxels, in any direction of the plane i j.
    slice_skip, slice_skip_chance : share of the slices (along k) behind which one is left out (CT). A network of single slices, or
        of slices spread over the volume, is shown others in the place of those that are left out.
    slice_interpolation, slice_interpolation_chance : share of the slices that are read half way to the next one (CT).
    ghosting, ghosting_chance : range of the strength of 4 to 10 ghosts along one axis (MR, TorchIO).
    motion_degrees, motion_mm, motion_chance : largest turn and shift of two movements during acquisition (MR, TorchIO).
    spike, spike_chance : range of the strength of a spike in k-space, relative to its largest value (MR, TorchIO).
    channel_dropout : chance that a channel is missing (0 throughout), for each channel of a patch; one always stays. Above 0 the
        network learns to do without, and cases that lack a channel may be trained on and predicted.
    anisotropy, anisotropy_chance : range of the factor by which one axis is sampled coarser (MR, TorchIO).
    own : further changes of intensities of other packages, one after the other behind all others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: tuple[float, float, float] = (20.0, 20.0, 20.0)
    rotation_chance: float = Field(0.8, ge=0, le=1)
    scale: Annotated[float, Field(ge=0, lt=5)] | Sizes = 0.2
    scale_chance: float = Field(0.8, ge=0, le=1)
    scale_axes: Literal["together", "apart"] = "together"
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_chance: float = Field(0.0, ge=0, le=1)
    mirror: tuple[Literal[0, 1, 2], ...] = ()
    elastic: float = Field(2.0, ge=0)
    elastic_spacing: float = Field(10.0, gt=0)
    elastic_chance: float = Field(0.5, ge=0, le=1)
    elastic_points: int | None = Field(None, ge=2, le=64)
    elastic_draw: Literal["normal", "uniform"] = "normal"
    noise: Annotated[float, Field(ge=0)] | Deviations = 0.1
    noise_chance: float = Field(0.5, ge=0, le=1)
    blur: Range = (0.5, 1.0)
    blur_chance: float = Field(0.1, ge=0, le=1)
    brightness: float = Field(0.2, ge=0)
    contrast: float = Field(0.2, ge=0, lt=1)
    intensity_chance: float = Field(0.8, ge=0, le=1)
    gamma: float = Field(0.3, ge=0)
    gamma_chance: float = Field(0.5, ge=0, le=1)
    low_resolution: float = Field(0.5, gt=0, le=1)
    low_resolution_chance: float = Field(0.1, ge=0, le=1)
    bias_field: float = Field(0.3, ge=0, lt=1)
    bias_field_chance: float = Field(0.1, ge=0, le=1)
    remap: float = Field(0.5, ge=0, le=2)
    remap_chance: float = Field(0.0, ge=0, le=1)
    invert_chance: float = Field(0.0, ge=0, le=1)
    batch_chance: float = Field(1.0, ge=0, le=1)
    box_blur: int = Field(3, ge=1)
    box_blur_chance: float = Field(0.0, ge=0, le=1)
    motion_blur: float = Field(3.0, ge=0)
    motion_blur_chance: float = Field(0.0, ge=0, le=1)
    slice_skip: float = Field(0.5, ge=0, le=1)
    slice_skip_chance: float = Field(0.0, ge=0, le=1)
    slice_interpolation: float = Field(0.5, ge=0, le=1)
    slice_interpolation_chance: float = Field(0.0, ge=0, le=1)
    ghosting: Range = (0.5, 1.0)
    ghosting_chance: float = Field(0.0, ge=0, le=1)
    motion_degrees: float = Field(10.0, ge=0)
    motion_mm: float = Field(10.0, ge=0)
    motion_chance: float = Field(0.0, ge=0, le=1)
    spike: Range = (1.0, 3.0)
    spike_chance: float = Field(0.0, ge=0, le=1)
    anisotropy: Range = (1.5, 5.0)
    anisotropy_chance: float = Field(0.0, ge=0, le=1)
    channel_dropout: float = Field(0.0, ge=0, lt=1)
    own: tuple[OwnChange, ...] = ()

    def off(self) -> AugmentSettings:
        """The same settings with no change at all."""
        chances = [name for name in type(self).model_fields if name.endswith("_chance")]
        return self.model_copy(update={**dict.fromkeys(chances, 0.0), "mirror": (), "channel_dropout": 0.0, "own": ()})

    @property
    def changes_slices(self) -> bool:
        """Whether slices may be skipped or interpolated."""
        return self.slice_skip_chance > 0 or self.slice_interpolation_chance > 0

    @property
    def angles(self) -> tuple[float, float, float]:
        """Largest rotation that can happen, in degrees."""
        return self.rotation if self.rotation_chance > 0 else (0.0, 0.0, 0.0)

    @property
    def sizes(self) -> Range:
        """Smallest and largest factor of an object's size."""
        return self.scale if isinstance(self.scale, tuple) else (1 / (1 + self.scale), 1 + self.scale)

    @property
    def noise_range(self) -> Range:
        """Smallest and largest standard deviation of the noise."""
        return self.noise if isinstance(self.noise, tuple) else (0.0, self.noise)

    @property
    def largest_scale(self) -> float:
        """Largest factor by which the field of view grows."""
        return max(1.0, 1 / self.sizes[0]) if self.scale_chance > 0 else 1.0
