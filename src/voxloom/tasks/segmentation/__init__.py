"""Segmentation: a label for every voxel."""
