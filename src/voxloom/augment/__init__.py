"""Augmentation: batched, on the device, sampled first and then applied. Knows no file, recipe or network."""

from voxloom.augment.augmenter import AugmentParameters, Augmenter
from voxloom.augment.settings import AugmentSettings

__all__ = ["AugmentParameters", "AugmentSettings", "Augmenter"]
