"""Augmentation: batched, on the device, sampled first and then applied. Knows no file, recipe or network."""

from voxloom.augment.augmenter import Augmenter
from voxloom.augment.parameters import AugmentParameters
from voxloom.augment.settings import AugmentSettings

__all__ = ["AugmentParameters", "AugmentSettings", "Augmenter"]
