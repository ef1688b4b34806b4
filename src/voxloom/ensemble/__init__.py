"""Ensembles: several runs, folds or planes that decide together, by vote, by mean, or by a network that learned to combine them."""

from voxloom.ensemble.build import BuiltEnsemble, build_ensemble
from voxloom.ensemble.predictor import EnsemblePredictor

__all__ = ["BuiltEnsemble", "EnsemblePredictor", "build_ensemble"]
