"""Landmarks between points and maps: what a network is trained to paint, and the points in what it paints."""

from voxloom.landmarks.candidates import Candidate, find_candidates, peak_of
from voxloom.landmarks.combine import combine
from voxloom.landmarks.layout import Layout
from voxloom.landmarks.localize import abstained, anatomical, locate
from voxloom.landmarks.settings import LandmarkSettings
from voxloom.landmarks.sides import split_sides
from voxloom.landmarks.targets import TargetKind, paint, paint_target

__all__ = [
    "Candidate",
    "LandmarkSettings",
    "Layout",
    "TargetKind",
    "abstained",
    "anatomical",
    "combine",
    "find_candidates",
    "locate",
    "paint",
    "paint_target",
    "peak_of",
    "split_sides",
]
