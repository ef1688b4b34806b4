"""Which modules ask for an interval or a p-value, and the rows of docs/trust.md that say what it is worth.

``tests/evaluation/test_trust_rows.py`` finds the modules: one that is not named here prints what nobody has simulated.
"""

from __future__ import annotations

#: Functions whose results are intervals or p-values.
ASKED = {
    "auc_difference", "auc_interval", "bland_altman", "check_classes", "check_errors", "check_of", "check_quality", "cohen_kappa",
    "compare_aucs", "compare_sides", "embedding_shift", "exact_share", "fairness", "fit_quality", "friedman", "icc", "importance",
    "jackknife", "krippendorff_alpha", "kruskal", "mann_whitney", "margin_test", "mcnemar", "mean_ci", "mean_estimate",
    "mean_finding_auc", "mean_auc_estimate", "mean_square", "mixed_model", "pair_cases", "quantile", "rank_models", "regression",
    "repeated_agreement", "root_mean_square", "same_shares", "share_estimate", "size_for_difference", "size_for_width", "spearman",
    "summarize", "swapped", "wilcoxon",
}  # fmt: skip
#: The same under names that others have too: only where they are imported from here.
HOME = ("voxloom.evaluation",)

_MEANS = (
    "mean of scores near 1 with a tail (Dice)",
    "mean of distances with a long tail (log-normal)",
    "mean, patients of 1 to 7 scans",
)
_LIMITS = ("Bland-Altman: bias", "Bland-Altman: limits of agreement")
_SHARES = ("share of cases (accuracy, sensitivity, specificity, precision)",)
_CHECKED = ("share of patients whose truths sets or intervals held, by turns",)
_IMPORTANCE = ("importance of 4 settings, any of them (Holm)", "importance of 4 settings together (F test)")
_RANDOM = "randomisation test of a figure of classes or numbers"

#: Module below ``src/voxloom`` -> rows.
PRINTED: dict[str, tuple[str, ...]] = {
    "cli/importance.py": _IMPORTANCE,
    "evaluation/classification.py": (
        "AUC (DeLong, Obuchowski)",
        "mean AUC over three classes",
        "balanced accuracy",
        "MCC",
        "F1",
        "average precision",
        "Brier score",
        *_SHARES,
        *_CHECKED,
    ),
    "evaluation/compare_classes.py": (
        "difference of AUC",
        "DeLong, two scores",
        "difference of accuracy",
        "difference of sensitivity",
        "McNemar, accuracy",
        "McNemar, sensitivity",
        "difference of balanced accuracy",
        "difference of F1",
        "difference of MCC",
        "difference of precision",
        "difference of average precision",
        "difference of the mean AUC over three classes",
        "randomisation test of average precision",
        _RANDOM,
    ),
    "evaluation/compare_masks.py": ("mean difference of two runs", "Wilcoxon signed-rank"),
    "evaluation/compare_numbers.py": (
        "mean difference of two runs",
        "Wilcoxon signed-rank",
        "difference of RMSE",
        "difference of R2",
        "randomisation test of RMSE",
        "randomisation test of R2",
    ),
    "evaluation/conformal.py": _CHECKED,
    "evaluation/detection.py": ("average precision of lesions", "FROC: mean sensitivity"),
    "evaluation/evaluation.py": (*_MEANS, "a tenth of patients fails: share that fails"),
    "evaluation/findings.py": ("mean AUC over three findings",),
    "evaluation/importance.py": _IMPORTANCE,
    "evaluation/model_ranks.py": ("rank of a model among four", "significance map of 4 models, any pair (Holm)"),
    "evaluation/paired.py": ("mean difference of two runs", "Wilcoxon signed-rank"),
    "evaluation/point_tests.py": ("McNemar, 10 landmarks per scan",),
    "evaluation/probes.py": _MEANS,
    "evaluation/quality/held_out.py": _SHARES,
    "evaluation/raters/model_rater.py": ("Krippendorff's alpha", "Krippendorff's alpha of scores (interval level)"),
    "evaluation/raters/summary.py": (
        *_MEANS,
        *_LIMITS,
        "Bland-Altman: does the bias grow with the size",
        "ICC(A,1), one value per patient",
        *(f"ICC({form}) of a pair" for form in ("1,1", "A,1", "C,1", "1,k", "A,k", "C,k")),
        "agreement on repeated frames: one rating",
        "agreement on repeated frames: within patients",
        "Spearman's rho",
        "Friedman, three runs or raters",
        "Wilcoxon signed-rank",
        "rank sum of two columns of the same cases",
        "regression: a factor of the patient",
        "regression: a factor of the patient, coefficient",
        "regression: F test",
    ),
    "evaluation/regression.py": ("MAE", "RMSE", "R2", "MAE in a band of the true value", *_LIMITS, *_CHECKED),
    "evaluation/shift.py": (
        "Mann-Whitney (two groups of so many)",
        "Fisher's exact or chi-square (two groups of so many)",
        "distance of a data set from the training cases",
    ),
    "evaluation/slice_table.py": ("mean Dice over slices, 5 to 35 per scan, empty ones 1",),
    "evaluation/structure_table.py": ("mean Dice over structures, 4 to 9 per scan, missed ones 0",),
    "evaluation/subgroups.py": (
        *_MEANS,
        "Mann-Whitney (two groups of so many)",
        "Kruskal-Wallis, three groups (of so many in all)",
    ),
    "evaluation/summary.py": _MEANS,
    "report/cards/demographics.py": (
        "Mann-Whitney (two groups of so many)",
        "Fisher's exact or chi-square (two groups of so many)",
    ),
    "report/plots/agreement.py": (*_LIMITS, "Spearman's rho"),
    "report/quality_part.py": _SHARES,
    "report/structure_part.py": _LIMITS,
    "report/volume_part.py": (*_LIMITS, "ICC(A,1), one value per patient", "Spearman's rho"),
    "run/features.py": ("a scan is said to be unlike the training (at 1 %)",),
    "sweep/explain.py": _IMPORTANCE,
    "tasks/classification/task.py": ("set of possible classes, 90 % of new patients", *_CHECKED),
    "tasks/regression/task.py": ("interval of a predicted number, 90 % of new patients", *_CHECKED),
    "trust/quality.py": (
        "bound of the predicted Dice, 90 % of new patients",
        "bound of the predicted Dice with a confidence of 80 %",
        *_SHARES,
    ),
    "verbs/compare.py": (
        "Friedman, three runs or raters",
        "rank of a model among four",
        "equivalence and non-inferiority, at the margin",
        "mean difference beside a margin (interval of 90 %)",
    ),
    "verbs/fairness.py": ("Kruskal-Wallis, three groups (of so many in all)",),
    "verbs/first_network.py": ("distance of a data set from the training cases",),
    "verbs/mixed.py": (
        "mixed model with patients: mean score",
        "mixed model with patients: a factor of the patient",
        "mixed model with sites: a factor of the site",
    ),
    "verbs/sample_size.py": (
        "sample size for a width: the safe number is enough",
        "sample size to find a difference: the safe number is enough",
    ),
    "verbs/shift.py": ("shift of 6 facts, any of them (Holm)",),
    "verbs/stress.py": _MEANS,
}
