"""Augmentation: batched, on the device, sampled first and then applied. Knows no file, recipe or network."""

from voxloom.augment.augmenter import Augmenter
from voxloom.augment.parameters import AugmentParameters
from voxloom.augment.settings import AugmentSettings
from voxloom.augment.slices import changes_batch, moved_positions, slice_positions

__all__ = ["AugmentParameters", "AugmentSettings", "Augmenter", "changes_batch", "moved_positions", "slice_positions"]
