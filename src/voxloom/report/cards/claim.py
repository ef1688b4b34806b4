"""``claim.md``: the 42 items of CLAIM, answered from the run where it knows, left as a marked blank where only the author does."""

from __future__ import annotations

from collections.abc import Callable

from voxloom.report.cards import architecture, methods, sections, training
from voxloom.report.cards.author import answer
from voxloom.report.cards.claim_items import ITEMS
from voxloom.report.cards.demographics import demographics
from voxloom.report.cards.facts import RunFacts, are_named
from voxloom.report.cards.flow import flow_steps, flow_text
from voxloom.report.cards.methods import joined
from voxloom.report.cards.subject import Subject, drawn_units
from voxloom.report.cards.words import counted, listed

#: Items that only the author can answer -> key of ``author.yaml``.
AUTHORS = {
    1: "title", 3: "background", 4: "objectives", 5: "design", 6: "goal", 8: "eligibility", 11: "data_elements",
    12: "deidentification", 14: "reference_standard", 15: "reference_rationale", 16: "annotators", 17: "annotation_tools",
    18: "rater_variability", 19: "sample_size", 31: "explainability", 34: "demographics", 38: "limitations", 39: "implications",
    40: "registration", 41: "protocol", 42: "funding",
}  # fmt: skip


def claim_text(facts: RunFacts, subject: Subject) -> str:
    """The checklist as Markdown: what the run knows is filled in, the rest is marked."""
    steps = flow_steps(facts)
    rows = [
        f"| {i.number} | {i.section} | {i.asks} | {_cell(answer_of(facts, subject, i.number))} | {i.update} |"
        for i in ITEMS
    ]
    blanks = sum("[TO FILL IN" in row for row in rows)
    head = [
        f"# CLAIM checklist: {facts.name}",
        "",
        "Checklist for Artificial Intelligence in Medical Imaging (Mongan, Moy and Kahn 2020), items in our words. The last column",
        "says where the update of 2024 (Tejani et al., 44 items) differs; check its numbering in the published table.",
        "",
        f"{len(ITEMS) - blanks} of {len(ITEMS)} items are answered from the run or by the author, {blanks} are open. Answer them in",
        "`author.yaml` and run `voxloom evaluate RUN` to make this file again.",
        "",
        "| No. | Section | Item | Answer | CLAIM 2024 |",
        "|---|---|---|---|---|",
    ]
    tail = [
        "",
        "## Asked by CLAIM 2024 alone",
        "",
        f"- Image acquisition protocol: {answer(facts.author, 'acquisition')}",
        f"- Availability of software, model and data: {answer(facts.author, 'availability')}",
        f"- Internal testing: {_internal(facts)}",
        "",
        "## Flow of cases (item 33)",
        "",
        "![Flow of cases](figures/flow.svg)",
        "",
        flow_text(steps),
    ]
    return "\n".join([*head, *rows, *tail, ""])


def answer_of(facts: RunFacts, subject: Subject, number: int) -> str:
    """What is known about an item."""
    if number in AUTHORS:
        extra = partly_known(facts, subject, number)
        return " ".join(part for part in (extra, answer(facts.author, AUTHORS[number])) if part)
    return KNOWN[number](facts, subject) or "not known to the run"


def partly_known(facts: RunFacts, subject: Subject, number: int) -> str:
    """What the run knows of an item that the author completes."""
    if number == 1:
        return f"Deep learning (convolutional neural network): {subject.goal(facts)}."
    if number == 34:
        return demographics(facts)
    if number == 19:
        return f"{counted(len(facts.cases), 'case')} were used."
    return ""


def _internal(facts: RunFacts) -> str:
    summary = facts.summary.get("validation")
    return f"{summary['cases']} held-out cases." if summary else "no case was held out."


def _sources(facts: RunFacts, subject: Subject) -> str:
    dataset = facts.dataset
    return f"Data set {dataset.get('name', '')} ({dataset.get('layout', '')}). {answer(facts.author, 'data_source')}"


def _subsets(facts: RunFacts, subject: Subject) -> str:
    left_out = facts.excluded
    told = (
        f"{counted(len(left_out), 'case')} excluded: {', '.join(left_out)}."
        if left_out
        else "No case was excluded by the recipe."
    )
    share = facts.section("training").get("foreground")
    return f"{told} {share:.0%} of the {subject.example[1]} were centred on a labelled voxel." if share else told


def _missing(facts: RunFacts, subject: Subject) -> str:
    return " ".join(filter(None, [subject.missing, answer(facts.author, "missing_data")]))


def _ensemble(facts: RunFacts, subject: Subject) -> str:
    count = len(facts.networks)
    return f"The answers of {count} networks are averaged on new scans." if count > 1 else "None: one network."


def _robustness(facts: RunFacts, subject: Subject) -> str:
    stress = facts.stress
    if stress is None:
        return "**[TO FILL IN: run `voxloom stress RUN`]**"
    return f"Stress test on {stress['cases']} cases: " + " ".join(c["sentence"] for c in stress["curves"])


def _external(facts: RunFacts, subject: Subject) -> str:
    test = facts.summary.get("test")
    if facts.external:
        told = listed(f"{name} ({figures['cases']} cases)" for name, figures in facts.external.items())
        named = all(are_named(facts.outside(name)) for name in facts.external) and facts.names_patients
        shared = (facts.recipe.get("data") or {}).get("patients", "shared") == "shared"
        checked = "no scan of it (by file and voxels) and no patient (by name) was trained on."
        if not (named and shared):
            checked = (
                "no scan of it was trained on (by file and voxels); whether it has the same patients was not checked. "
                "**[TO FILL IN: are they other people?]**"
            )
        return f"Tested on {told}, kept apart from planning and training: {checked}"
    if not test:
        return "**[TO FILL IN: run `voxloom evaluate RUN DATASET` on data of another site]**"
    name, cases = test.get("name", ""), test["cases"]
    return (
        f"Tested on {name}, {cases} cases; no file of it was trained on (by file hash). Say whether it is another site."
    )


def _level(facts: RunFacts, subject: Subject) -> str:
    phrase = sections.patients_phrase(facts)
    if not facts.names_patients:
        return f"Case: {phrase}. **[TO FILL IN: does a patient have several cases?]**"
    return f"Patient: {phrase}; {sections.patients_apart(facts)}."


def _precision(facts: RunFacts, subject: Subject) -> str:
    return joined(methods.results(facts, subject))


def _failures(facts: RunFacts, subject: Subject) -> str:
    parts = [text for where, summary, tables in facts.figures if (text := subject.failures(summary, tables, where))]
    told = "; ".join(parts)
    return f"{told[0].upper()}{told[1:]}. report.html lists and shows them." if parts else ""


def _significance(facts: RunFacts, subject: Subject) -> str:
    measured = joined(methods.evaluation(facts, subject))
    tests = "No test of significance is part of a run; `voxloom compare` makes them between runs."
    return f"{measured or f'Intervals are over {drawn_units(facts)}.'} {tests}"


#: Items that the run answers.
KNOWN: dict[int, Callable[[RunFacts, Subject], str]] = {
    2: lambda f, s: "Draft: methods.md.",
    7: _sources,
    9: lambda f, s: joined(sections.preparation(f, s)),
    10: _subsets,
    13: _missing,
    20: lambda f, s: sections.partition_sentence(f),
    21: _level,
    22: lambda f, s: joined(architecture.network(f, s)),
    23: lambda f, s: joined(training.software(f)),
    24: lambda f, s: architecture.first_weights(f),
    25: lambda f, s: joined(training.training(f, s)),
    26: lambda f, s: " ".join([training.selection_sentence(f, s), *training.optimism(f, s)]),
    27: _ensemble,
    28: lambda f, s: joined(methods.evaluation(f, s)),
    29: _significance,
    30: _robustness,
    32: _external,
    33: lambda f, s: "See the diagram below.",
    35: _precision,
    36: _precision,
    37: _failures,
}


def _cell(text: str) -> str:
    """Text that fits a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
