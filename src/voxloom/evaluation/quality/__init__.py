"""What a prediction is likely worth: Dice predicted from features of the prediction, with a lower bound that keeps a promise."""

from voxloom.evaluation.quality.bound import QualityModel, fit_quality
from voxloom.evaluation.quality.features import FEATURES, prediction_features
from voxloom.evaluation.quality.held_out import QualityCheck, check_quality

__all__ = ["FEATURES", "QualityCheck", "QualityModel", "check_quality", "fit_quality", "prediction_features"]
