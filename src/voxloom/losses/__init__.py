"""Losses: pure functions of logits and inner labels. They know no network, file or recipe."""

from voxloom.losses.own_loss import OwnLoss
from voxloom.losses.segmentation import SegmentationLoss
from voxloom.losses.settings import LossKind, LossSettings
from voxloom.losses.supervision import DeepSupervisionLoss

__all__ = ["DeepSupervisionLoss", "LossKind", "LossSettings", "OwnLoss", "SegmentationLoss"]
