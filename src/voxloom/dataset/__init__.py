"""Data sets: cases, labels and folds, read from the layouts people already have."""

from voxloom.dataset.case import Case
from voxloom.dataset.dataset import Dataset
from voxloom.dataset.folds import Fold, declared_folds, hold_out, make_folds, read_splits, write_splits
from voxloom.dataset.group_folds import group_folds, leave_one_out
from voxloom.dataset.join import join_datasets
from voxloom.dataset.labels import Label, Labels
from voxloom.dataset.sorted_folds import sorted_folds
from voxloom.dataset.sources import FileChannel, ImageSource, MaskStack, NpzItem

__all__ = [
    "Case",
    "Dataset",
    "FileChannel",
    "Fold",
    "ImageSource",
    "Label",
    "Labels",
    "MaskStack",
    "NpzItem",
    "declared_folds",
    "group_folds",
    "hold_out",
    "join_datasets",
    "leave_one_out",
    "make_folds",
    "read_splits",
    "sorted_folds",
    "write_splits",
]
