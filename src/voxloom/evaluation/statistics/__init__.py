"""Statistics that a reviewer would ask for, thin over SciPy, statsmodels, pingouin and krippendorff.

Libraries are imported when a function is called.
"""

from voxloom.evaluation.statistics.agreement import (
    ICC_DEFAULT,
    ICC_FORMS,
    ICC_LEAST,
    BlandAltman,
    bland_altman,
    cohen_kappa,
    icc,
    krippendorff_alpha,
)
from voxloom.evaluation.statistics.association import Correlation, Regression, Term, regression, spearman
from voxloom.evaluation.statistics.categories import same_shares
from voxloom.evaluation.statistics.interval import Estimate, Outcome, interval_text, p_text
from voxloom.evaluation.statistics.jackknife import Scale, jackknife
from voxloom.evaluation.statistics.margins import MarginTest, margin_test
from voxloom.evaluation.statistics.means import (
    LEAST_PATIENTS,
    mean_ci,
    mean_estimate,
    mean_square,
    root_mean_square,
    share_estimate,
)
from voxloom.evaluation.statistics.sample_size import SampleSize, size_for_difference, size_for_width
from voxloom.evaluation.statistics.significance import (
    McNemar,
    friedman,
    holm,
    kruskal,
    mann_whitney,
    mcnemar,
    swapped,
    wilcoxon,
)

__all__ = [
    "ICC_DEFAULT",
    "ICC_FORMS",
    "ICC_LEAST",
    "LEAST_PATIENTS",
    "BlandAltman",
    "Correlation",
    "Estimate",
    "MarginTest",
    "McNemar",
    "Outcome",
    "Regression",
    "SampleSize",
    "Scale",
    "Term",
    "bland_altman",
    "cohen_kappa",
    "friedman",
    "holm",
    "icc",
    "interval_text",
    "jackknife",
    "krippendorff_alpha",
    "kruskal",
    "mann_whitney",
    "margin_test",
    "mcnemar",
    "mean_ci",
    "mean_estimate",
    "mean_square",
    "p_text",
    "regression",
    "root_mean_square",
    "same_shares",
    "share_estimate",
    "size_for_difference",
    "size_for_width",
    "spearman",
    "swapped",
    "wilcoxon",
]
