"""What is in a data set, what is wrong with it, and how it should be prepared."""

from voxloom.dataset.inspect.facts import PERCENTILES, CaseFacts, ChannelFacts, Intensities, ras_order
from voxloom.dataset.inspect.fingerprint import Fingerprint, fingerprint
from voxloom.dataset.inspect.problems import Problem, find_problems
from voxloom.dataset.inspect.suggest import Suggestion, suggest
from voxloom.dataset.inspect.text import inspect_text

__all__ = [
    "PERCENTILES",
    "CaseFacts",
    "ChannelFacts",
    "Fingerprint",
    "Intensities",
    "Problem",
    "Suggestion",
    "find_problems",
    "fingerprint",
    "inspect_text",
    "ras_order",
    "suggest",
]
