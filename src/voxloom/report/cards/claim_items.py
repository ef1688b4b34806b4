"""The 42 items of CLAIM (Mongan, Moy and Kahn, Radiology: Artificial Intelligence 2020), in our words, and what 2024 changed.

The update (Tejani et al., Radiology: Artificial Intelligence 2024, 6:e240300) has 44 items, answered by yes, no or not
applicable. Knows the checklist; knows no run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One item: its number, section, what it asks, and how the update of 2024 differs ("" where it does not)."""

    number: int
    section: str
    asks: str
    update: str = ""


_REFERENCE = "says reference standard instead of ground truth"

ITEMS = (
    Item(1, "Title or abstract", "Named as a study of AI, with the kind of technology"),
    Item(2, "Abstract", "Structured summary of design, methods, results, conclusions"),
    Item(3, "Introduction", "Background; intended use and clinical role"),
    Item(4, "Introduction", "Objectives and hypotheses"),
    Item(5, "Study design", "Prospective or retrospective"),
    Item(6, "Study design", "Goal of the study"),
    Item(7, "Data", "Sources of the data"),
    Item(8, "Data", "Eligibility: how, where and when cases were found", "asks for inclusion and exclusion criteria"),
    Item(9, "Data", "Preprocessing"),
    Item(10, "Data", "Selection of subsets of the data"),
    Item(11, "Data", "Definitions of data elements", "dropped; a new item asks for the image acquisition protocol"),
    Item(12, "Data", "De-identification"),
    Item(13, "Data", "Missing data"),
    Item(14, "Ground truth", "Definition of the reference, repeatable by others", _REFERENCE),
    Item(15, "Ground truth", "Why this reference", _REFERENCE),
    Item(16, "Ground truth", "Annotators: source, qualification, preparation", _REFERENCE),
    Item(17, "Ground truth", "Annotation tools", "asks how the test set was annotated instead"),
    Item(18, "Ground truth", "Variability between and within raters, and what was done about it"),
    Item(19, "Data partitions", "Intended sample size and how it was found", "asks it of the testing data"),
    Item(20, "Data partitions", "How cases were assigned to partitions; proportions"),
    Item(21, "Data partitions", "Level at which partitions are disjoint"),
    Item(22, "Model", "Architecture: inputs, outputs, layers, connections"),
    Item(23, "Model", "Software"),
    Item(24, "Model", "Initialization of the parameters"),
    Item(25, "Training", "Training: augmentation, hyper-parameters, number of models"),
    Item(26, "Training", "How the final model was selected"),
    Item(27, "Training", "Ensembling"),
    Item(28, "Evaluation", "Metrics"),
    Item(29, "Evaluation", "Measures of significance and uncertainty"),
    Item(30, "Evaluation", "Robustness or sensitivity analysis"),
    Item(31, "Evaluation", "Explainability and how it was validated"),
    Item(
        32,
        "Evaluation",
        "Validation or testing on external data",
        "separate items for internal and for external testing",
    ),
    Item(33, "Results: data", "Flow of cases as a diagram", "asks for the numbers included and excluded"),
    Item(34, "Results: data", "Demographic and clinical characteristics of every partition"),
    Item(
        35,
        "Results: performance",
        "Performance of the best model on all partitions",
        "asks for its uncertainty as well",
    ),
    Item(36, "Results: performance", "Estimates and their precision"),
    Item(37, "Results: performance", "Failure analysis"),
    Item(38, "Discussion", "Limitations: bias, uncertainty, generalizability"),
    Item(39, "Discussion", "Implications for practice; intended use"),
    Item(40, "Other", "Registration number and registry", "moved to the methods, as clinical trial registration"),
    Item(
        41,
        "Other",
        "Where the full protocol is",
        "a further item asks for the availability of software, model and data",
    ),
    Item(42, "Other", "Funding and the funders' role"),
)
