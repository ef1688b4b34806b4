"""Agreement of several raters with one another and with a model, on any folders of label maps."""

from voxloom.evaluation.raters.consensus import METHODS, Consensus, Method, consensus
from voxloom.evaluation.raters.study import RaterStudy, study_raters
from voxloom.evaluation.raters.summary import adjust, summarize_raters

__all__ = ["METHODS", "Consensus", "Method", "RaterStudy", "adjust", "consensus", "study_raters", "summarize_raters"]
