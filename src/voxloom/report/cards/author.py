"""What only the author knows: the questions, the file that keeps the answers, and the mark of an open one.

``author.yaml`` is written once with empty answers and never overwritten; the cards are made anew from it and from the run.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.files import write_text
from voxloom.yamltext import read_text, read_yaml

#: Key -> question.
QUESTIONS = {
    "title": "title that names the study as one of deep learning",
    "contact": "who answers questions about the model",
    "license": "license of the weights, best as SPDX has it, e.g. CC-BY-4.0",
    "version": "semantic version of the model, e.g. 1.0.0",
    "doi": "DOI of the model or of its paper",
    "intended_use": "who uses the model, for what, and who must not",
    "background": "scientific and clinical background",
    "objectives": "objectives and hypotheses",
    "design": "prospective or retrospective",
    "goal": "model creation, feasibility, non-inferiority ...",
    "data_source": "where the data come from, with dates",
    "eligibility": "how, where and when participants were found eligible",
    "acquisition": "scanners and acquisition protocol",
    "ethics": "approval and consent",
    "data_elements": "definitions of what was recorded beside the images",
    "deidentification": "how data were de-identified",
    "missing_data": "how missing data were handled",
    "reference_standard": "how the reference standard was made, so that others can repeat it",
    "reference_rationale": "why this reference standard",
    "annotators": "who annotated; qualification and training",
    "annotation_tools": "with which software",
    "rater_variability": "variability within and between raters (voxloom raters)",
    "sample_size": "how the number of cases was decided",
    "demographics": "age, sex and disease of the cases of every partition",
    "explainability": "how the model's answers were explained, and how that was checked",
    "limitations": "limitations, possible bias, where it may not hold",
    "implications": "what it means for practice",
    "registration": "registration number and registry",
    "protocol": "where the study protocol is",
    "availability": "where data, code and weights are",
    "funding": "funding and the funders' role",
}

_HEAD = """# Answers for model_card.md and claim.md that no file of the run knows. Fill in what you can; the cards are
# made again from this file by: voxloom evaluate RUN
"""


def read_author(path: Path) -> dict[str, str]:
    """Answers by key, empty ones left out; no file, no answers (BadInput for an unknown key or broken YAML)."""
    if not path.is_file() or not path.stat().st_size:
        return {}
    found = read_yaml(read_text(path), path) or {}
    if not isinstance(found, dict):
        raise BadInput("must be lines of `key: answer`", path)
    for key in found:
        if key not in QUESTIONS:
            close = difflib.get_close_matches(str(key), QUESTIONS, n=1)
            raise BadInput(f"unknown key `{key}`", path, f"Did you mean `{close[0]}`?" if close else None)
    return {key: str(text).strip() for key, text in found.items() if text is not None and str(text).strip()}


def write_author_form(path: Path) -> None:
    """Write the empty form, unless there is one."""
    if not path.exists():
        lines = [f"# {question}\n{key}:\n" for key, question in QUESTIONS.items()]
        write_text(path, _HEAD + "".join(lines))


def answer(answers: dict[str, str] | object, key: str) -> str:
    """The author's answer, or a marked blank that names the question and where to answer it."""
    given = answers.get(key) if isinstance(answers, dict) else None
    return given or f"**[TO FILL IN: {QUESTIONS[key]} — `{key}` in author.yaml]**"
