"""Losses: pure functions of logits and inner labels. They know no network, file or recipe."""

from voxloom.losses.segmentation import DeepSupervisionLoss, SegmentationLoss

__all__ = ["DeepSupervisionLoss", "SegmentationLoss"]
