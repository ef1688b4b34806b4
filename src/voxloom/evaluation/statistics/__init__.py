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
from voxloom.evaluation.statistics.bootstrap import LEAST_PATIENTS, bootstrap, bootstrap_ci
from voxloom.evaluation.statistics.categories import same_shares
from voxloom.evaluation.statistics.interval import Estimate, Outcome, interval_text, p_text
from voxloom.evaluation.statistics.significance import (
    clustered_mcnemar,
    friedman,
    holm,
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
    "Outcome",
    "Regression",
    "Term",
    "bland_altman",
    "bootstrap",
    "bootstrap_ci",
    "clustered_mcnemar",
    "cohen_kappa",
    "friedman",
    "holm",
    "icc",
    "interval_text",
    "krippendorff_alpha",
    "mann_whitney",
    "mcnemar",
    "p_text",
    "regression",
    "same_shares",
    "spearman",
    "swapped",
    "wilcoxon",
]
