"""Cards say what the run's files say, and mark what only the author knows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation
from voxloom.report.cards import RunFacts, write_cards
from voxloom.report.cards.author import QUESTIONS
from voxloom.report.cards.claim import AUTHORS, KNOWN, claim_text
from voxloom.report.cards.claim_items import ITEMS
from voxloom.report.cards.flow import flow_steps, flow_text
from voxloom.report.cards.label_maps import LABEL_MAPS
from voxloom.report.cards.methods import methods_text
from voxloom.report.cards.model_card import model_card_text
from voxloom.report.run_page import write_run_report

from .test_run_page import make_run

RECIPE: dict[str, Any] = {
    "seed": 17,
    "data": {"exclude": ["bad01"]},
    "prepare": {"orientation": "RAS", "spacing": [0.7, 0.8, 2.5], "image_order": "cubic", "normalize": ["zscore"]},
    "network": {"kind": "unet", "dims": 3, "features": [12, 24, 48], "norm": "instance", "dropout": 0.15},
    "training": {
        "patch": [40, 56, 24], "batch": 3, "steps": 640, "optimizer": "adamw", "learning_rate": 0.0035, "weight_decay": 0.0002,
        "schedule": "one_cycle", "loss": "dice_ce", "foreground": 0.45, "ema": 0.985, "validations": 9, "patience": 4,
    },
    "augment": {"rotation": [11.0, 11.0, 11.0], "rotation_chance": 0.6, "noise": 0.07, "noise_chance": 0.0},
    "inference": {"overlap": 0.5, "mirror": [0]},
}  # fmt: skip


def full_run(root: Path) -> Path:
    """The run of the page's tests, with summary, recipe, patients and an archive."""
    run = make_run(root)
    about = json.loads((run / "data.json").read_text())
    about["dataset"]["root"] = str(root)
    for n, case in enumerate(about["cases"]):
        case["patient"], case["fold"] = f"p{n}", n
    about["fingerprint"] = {"median_spacing": [0.65, 0.75, 2.45], "median_shape": [201.0, 203.0, 31.0], "cases": []}
    (run / "data.json").write_text(json.dumps(about))
    (run / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (root / "flow.json").write_text(json.dumps([{"name": "Series", "left": 913}, {"name": "T2, sagittal", "left": 88}]))
    summary = Evaluation.read_csv(run / "fold_0" / "metrics.csv").summary()
    folds = {
        "fold_0": {"steps": 598, "weights_sha256": "ab" * 32},
        "fold_1": {"steps": 611, "weights_sha256": "cd" * 32},
    }
    (run / "summary.json").write_text(
        json.dumps({"validation": summary, "folds": folds, "largest_component": ["core"]})
    )
    (run / "environment.json").write_text(
        json.dumps({"python": "3.12.1", "packages": {"torch": "2.9.1"}, "device": "cpu"})
    )
    return run


def numbers_in(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)?", text.replace(",", "")))


def test_every_number_of_the_methods_is_the_runs(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    text = methods_text(RunFacts.of(run), LABEL_MAPS)
    said = [
        "40 × 56 × 24",
        "3 patches",
        "598 to 611",
        "0.0035",
        "0.0002",
        "0.7 × 0.8 × 2.5 mm",
        "12, 24 and 48",
        "2 times",
        "45 %",
    ]
    said += ["11 × 11 × 11 degrees with probability 0.6", "seed was 17", "dropout 0.15", "bad01", "torch 2.9.1"]
    said += ["Of core only the largest", "201 × 203 × 31", "2 folds", "after 4 validations without"]
    for words in said:
        assert words.lower() in text.lower(), words
    assert "noise" not in text  # its probability is 0
    files = "".join((run / n).read_text() for n in ("recipe.yaml", "data.json", "summary.json", "environment.json"))
    known = {float(n) for n in numbers_in(files)}
    constant = {2.0, 1.0, 3.0, 50.0, 45.0, 95.0, 0.0, 5.0}  # counts, percentages, HD95 and 95 % intervals, 5 patients
    strange = {
        n
        for n in map(float, numbers_in(text))
        if n not in known | constant and not any(round(k, 3) == n for k in known)
    }
    assert {n for n in strange if not any(round(k, 1) == n for k in known)} == set()


def test_claim_has_42_items_and_each_has_an_answer_or_a_mark(tmp_path: Path) -> None:
    assert [item.number for item in ITEMS] == list(range(1, 43))
    assert set(AUTHORS) | set(KNOWN) == set(range(1, 43))
    assert not set(AUTHORS) & set(KNOWN)
    assert set(AUTHORS.values()) <= set(QUESTIONS)
    text = claim_text(RunFacts.of(full_run(tmp_path)), LABEL_MAPS)
    rows = {int(r.split("|")[1]): r for r in text.splitlines() if re.match(r"\| \d+ \|", r)}
    assert sorted(rows) == list(range(1, 43))
    assert all(len(re.split(r"(?<!\\)\|", row)) == 7 for row in rows.values())
    for number in AUTHORS:
        assert "[TO FILL IN" in rows[number]
    assert "voxloom stress" in rows[30]
    assert "40 × 56 × 24" in rows[25]
    assert "1 of 2 held-out cases lost a structure" in rows[37]
    assert sum(bool(item.update) for item in ITEMS) >= 10


def test_the_author_is_asked_once_and_kept(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    write_cards(run, LABEL_MAPS)
    form = run / "author.yaml"
    assert set(yaml.safe_load(form.read_text("utf-8"))) == set(QUESTIONS)
    form.write_text('funding: "Grant 5 | none of the funders had a role"\nintended_use: Research only\n')
    write_cards(run, LABEL_MAPS)
    assert "Research only" in (run / "model_card.md").read_text("utf-8")
    assert "Grant 5 \\| none" in (run / "claim.md").read_text("utf-8")
    assert "Grant 5" in form.read_text("utf-8")
    form.write_text("fundings: x\n")
    with pytest.raises(BadInput, match="Did you mean `funding`"):
        write_cards(run, LABEL_MAPS)
    form.write_text("a: [1\n")
    with pytest.raises(BadInput, match="not valid YAML"):
        write_cards(run, LABEL_MAPS)


def test_flow_of_cases_from_the_archive_to_the_test(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    (run / "test").mkdir()
    (run / "test" / "cases.json").write_text(json.dumps([{"id": "t", "patient": "q", "files": {}}]))
    steps = flow_steps(RunFacts.of(run))
    told = flow_text(steps)
    assert [s.branch for s in steps] == [False, False, False, False, True, True, False]
    assert "T2, sagittal: 88 (825 left out)" in told
    assert "Labelled cases of Spheres: 3" in told
    assert "2 (2 patients) (1 excluded: bad01)" in told
    assert "1 cases (1 patients)" in told or "1 case" in told
    files = write_cards(run, LABEL_MAPS)
    assert {p.name for p in files} == {"model_card.md", "claim.md", "methods.md", "flow.svg", "flow.png"}
    assert "T2, sagittal: 88" in (run / "figures" / "flow.svg").read_text("utf-8")


def test_report_and_cards_show_the_stress_test(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    mean = {"value": 0.9, "low": 0.8, "high": 0.95, "level": 0.95}
    curve = {
        "stress": "noise", "title": "Noise", "unit": "SD", "levels": ["as is", "1"], "means": [mean, {**mean, "value": 0.3}],
        "first_bad": 1, "sentence": "Noise: 60.0 points lost at 1 SD.",
    }  # fmt: skip
    (run / "stress").mkdir()
    (run / "stress" / "stress.json").write_text(json.dumps({"cases": 4, "fall": 0.05, "curves": [curve]}))
    write_cards(run, LABEL_MAPS)
    page = write_run_report(run).read_text("utf-8")
    for part in ("Stress test", "as is: 0.900; 1: 0.300", "Flow of cases", "Methods in words", "598 to 611"):
        assert part in page
    assert "60.0 points lost" in (run / "claim.md").read_text("utf-8")
    assert "60.0 points lost" in (run / "model_card.md").read_text("utf-8")


def test_a_bare_run_has_cards_too(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: auto\n")
    files = write_cards(tmp_path, LABEL_MAPS)
    assert all(path.is_file() for path in files)
    assert "nothing is known about its accuracy" in (tmp_path / "model_card.md").read_text("utf-8")


def test_volumes_of_prediction_and_truth_are_compared() -> None:
    import numpy as np

    from voxloom.evaluation import MaskMetrics
    from voxloom.report.volume_part import volume_part

    random = np.random.default_rng(0)
    evaluation = Evaluation(["organ"])
    for n, true in enumerate(np.linspace(20, 60, 12)):
        predicted = float(true - 2.0 + random.normal(0, 0.5))
        metrics = MaskMetrics(
            0.8 + true / 400, 0.7, 0.8, 0.8, 3.0, 2.0, 1.0, predicted, float(true), predicted - true, "ok"
        )
        evaluation.add(f"c{n}", {"organ": metrics})
    part = volume_part("Test cases", evaluation)
    assert part is not None
    assert part.table is not None
    row = part.table["rows"][0]
    assert row[1:3] == [12, 12]
    assert float(row[3].split()[0]) == pytest.approx(-2.0, abs=0.4)
    assert float(row[5].split()[0]) > 0.9
    assert row[6].startswith("1.00")
    assert row[7] == "p < .001"
    assert len(part.pictures) == 1
    assert volume_part("few", Evaluation(["organ"], evaluation.rows[:3])) is None


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ({}, "Its first weights were random, seed 17."),
        (
            {"weights": "imagenet"},
            "Its first weights were pretrained (imagenet; the encoder's weights); the rest was random, seed 17.",
        ),
        ({"run": "runs/a", "fold": 1, "part": "all"}, "came from fold 1 of the run a (all weights)"),
    ],
)
def test_claim_says_where_the_first_weights_come_from(tmp_path: Path, init: dict[str, Any], words: str) -> None:
    run = full_run(tmp_path)
    (run / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "init": init}))
    assert words in claim_text(RunFacts.of(run), LABEL_MAPS)


def test_methods_tell_every_change_and_what_was_postprocessed(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    changes = {
        "scale": [1.0, 1.2], "scale_chance": 0.21, "elastic": 4.5, "elastic_draw": "uniform", "elastic_points": 5,
        "elastic_chance": 0.22,
        "remap": 0.45, "remap_chance": 0.23, "invert_chance": 0.24, "motion_degrees": 7, "motion_mm": 8, "motion_chance": 0.25,
    }  # fmt: skip
    training = {**RECIPE["training"], "least_gain": 0.005}
    inference = {"overlap": 0.5, "instances": "auto"}
    text = yaml.safe_dump({**RECIPE, "augment": changes, "training": training, "inference": inference})
    (run / "recipe.yaml").write_text(text)
    steps = [
        {"step": "remove_fraction", "label": "core", "amount": 0.2, "used": True},
        {"step": "fill_holes", "label": "core", "amount": "inf", "used": False},
        {"step": "fill_holes", "label": "rim", "amount": "inf", "used": True},
    ]
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "postprocess": steps}))
    told = methods_text(RunFacts.of(run), LABEL_MAPS)
    for words in (
        "scaling to 100 to 120 % of the size with probability 0.21",
        "elastic deformation (up to 4.5 mm, 5 control points per axis) with probability 0.22",
        "a random curve of brightness (up to 45 % of the range) with probability 0.23",
        "inverted brightness with probability 0.24",
        "motion (up to 7 degrees and 8 mm) with probability 0.25",
        "were kept when they were better by at least 0.005",
        "Then pieces of at most 20 % of the mean volume of one structure were removed (core) and holes were filled (rim).",
        "numbered from head to feet",
    ):
        assert words in told


def change(run: Path, name: str, **values: Any) -> None:
    """Set entries of a JSON file of a run."""
    (run / name).write_text(json.dumps({**json.loads((run / name).read_text()), **values}))


def test_what_happened_is_said_not_what_was_wished(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    wish = {
        **RECIPE,
        "training": {**RECIPE["training"], "patience": 4, "keep": "last", "monitor": "val_loss", "ema": 0},
    }
    (run / "recipe.yaml").write_text(
        yaml.safe_dump({**wish, "inference": {"overlap": 0.5, "largest_component": "auto"}})
    )
    folds = {
        "fold_0": {"steps": 598, "seconds": 130.0, "pace": [[10, 700], [300, 598]], "skipped": {"encoder.1, bf16": 2}},
        "fold_1": {"steps": 310, "seconds": 71.0, "pace": [[10, 620]], "skipped": {}},
    }
    post = [{"step": "fill_holes", "label": "core", "amount": "inf", "when": "auto", "used": False, "gain": 0.0}]
    change(run, "summary.json", folds=folds, postprocess=post)
    change(
        run,
        "data.json",
        settled="No mirror images along i: they would exchange left and right, which are labels of their own",
    )
    change(run, "environment.json", processor="Some CPU 9000", cores=8, threads=4, system="Linux 6")
    for fold, rows in (("fold_0", 5), ("fold_1", 3)):
        lines = [f"{100 * n},{n},{10 * n},0.1,0.5,0.5" for n in range(1, rows + 1)]
        (run / fold).mkdir(exist_ok=True)
        (run / fold / "log.csv").write_text("\n".join(["step,seconds,epoch,lr,train_loss,val_dice", *lines]))
    told = methods_text(RunFacts.of(run), LABEL_MAPS)
    for words in (
        "Each of 310 to 598 steps saw 3 patches",
        "That is 31 to 59.8 passes over the training cases",
        "Of 620 planned steps 310 (fold_1) were taken",
        "2 of 908 steps changed nothing, since their gradient was not finite; it arose in encoder.1, bf16 (2)",
        "Training took 3 min 21 s for 2 folds",
        "No mirror images along i: they would exchange left and right",
        "No moving average of the weights was kept",
        "predicted 3 to 5 times in the course of training, and the weights of the last time were kept",
        "It was to stop after 4 validations without a better loss on the held-out cases",
        "The held-out cases chose when the training ended, whether only the largest component of a label is kept and which further",
        "Tried on the held-out cases and not kept: fill holes (core)",
        "trained on the CPU (Some CPU 9000; 8 cores, 4 threads, Linux 6)",
        "With fewer than 5 of them no interval is given",
    ):
        assert words in told, words
    claim = claim_text(RunFacts.of(run), LABEL_MAPS)
    for number, words in (
        (23, "Some CPU 9000"),
        (26, "chose when the training ended"),
        (29, "With fewer than 5 of them"),
    ):
        assert words in next(line for line in claim.splitlines() if line.startswith(f"| {number} |"))
    assert "slightly optimistic" in model_card_text(RunFacts.of(run), LABEL_MAPS).partition("## How good it is")[2]


def test_labels_within_one_another_keep_all_their_components(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    change(run, "summary.json", largest_component=[])
    recipe = {**RECIPE, "inference": {"overlap": 0.5, "largest_component": "auto"}}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert "it raised the Dice of none" in methods_text(RunFacts.of(run), LABEL_MAPS)
    about = json.loads((run / "data.json").read_text())["dataset"]
    regions = {**about, "labels": {"background": 0, "sphere": [1, 2], "core": 2}, "regions_order": [1, 2]}
    change(run, "data.json", dataset=regions)
    assert "largest component" not in methods_text(RunFacts.of(run), LABEL_MAPS)


def test_demographics_of_every_partition_and_their_difference(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    about = json.loads((run / "data.json").read_text())
    ages, sexes = [30, 41, 52, 63, 35, 47], ["F", "F", "M", "F", "M", None]
    about["cases"] = [
        {
            "id": f"c{n}",
            "patient": f"p{n % 5}",
            "fold": 0 if n == 5 else None,
            "files": {},
            "attributes": {"age": age, "sex": sex},
        }
        for n, (age, sex) in enumerate(zip(ages, sexes, strict=True))
    ]
    (run / "data.json").write_text(json.dumps(about))
    (run / "test").mkdir(exist_ok=True)
    tested = [
        {"id": f"t{n}", "patient": f"t{n}", "files": {}, "attributes": {"age": 70 + n, "sex": "M"}} for n in range(4)
    ]
    (run / "test" / "cases.json").write_text(json.dumps(tested))
    text = claim_text(RunFacts.of(run), LABEL_MAPS)
    assert "Training (5 patients): age 44.2 ± 13.3 (30 to 63); sex F 3, M 2." in text
    assert "Held out (1 patients): age 47 ± 0 (47 to 47); sex not known." in text
    assert "Test (4 patients): age 71.5 ± 1.29 (70 to 73); sex M 4." in text
    assert "age, test (Mann-Whitney U test" in text
    assert "sex, test (Fisher's exact test" in text
