"""Augmentation: batched, on the device, sampled first and then applied. Knows no file, recipe or network."""

from voxloom.augment.augmenter import Augmenter
from voxloom.augment.parameters import AugmentParameters
from voxloom.augment.settings import AugmentSettings
from voxloom.augment.slices import among_kept, changes_batch, kept_slices, moved_positions, slice_positions

__all__ = [
    "AugmentParameters",
    "AugmentSettings",
    "Augmenter",
    "among_kept",
    "changes_batch",
    "kept_slices",
    "moved_positions",
    "slice_positions",
]
