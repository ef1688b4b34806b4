"""Where in a scan a network finds the reason of its answer: class activation maps, gradients, occlusion; in 3D, on the scan's grid."""

from voxloom.attribution.explainable import METHODS, Explainable, Method, MethodSettings, Question, Windows
from voxloom.attribution.maps import attribute
from voxloom.attribution.randomized import randomized

__all__ = [
    "METHODS",
    "Explainable",
    "Method",
    "MethodSettings",
    "Question",
    "Windows",
    "attribute",
    "randomized",
]
