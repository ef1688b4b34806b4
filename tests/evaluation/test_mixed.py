"""Mixed models against statsmodels and by simulation; agreement on repeated frames; shift of a test set."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.evaluation.shift import Side, compare_sides, embedding_shift
from voxloom.evaluation.statistics import icc
from voxloom.evaluation.statistics.mixed import mixed_model, repeated_agreement


def nested(seed: int, sites: int = 6, patients: int = 5, cases: int = 3):
    """Scores with a standard deviation of .5 between sites, .8 between patients and .6 within; sites, patients."""
    random = np.random.default_rng(seed)
    site = np.repeat(np.arange(sites), patients * cases)
    patient = np.repeat(np.arange(sites * patients), cases)
    y = random.normal(0, 0.5, sites)[site] + random.normal(0, 0.8, sites * patients)[patient]
    return 2 + y + random.normal(0, 0.6, len(y)), site, patient


def test_balanced_levels_are_those_of_the_analysis_of_variance() -> None:
    """In a balanced design restricted maximum likelihood equals the mean squares, worked out here by hand."""
    y, site, patient = nested(1)
    found = mixed_model(y, patient.tolist(), sites=site.tolist())
    cube = y.reshape(6, 5, 3)
    within = cube.var(axis=2, ddof=1).mean()
    middle = 3 * cube.mean(axis=2).var(axis=1, ddof=1).mean()
    outer = 15 * cube.mean(axis=(1, 2)).var(ddof=1)
    expected = {"site": (outer - middle) / 15, "patient": (middle - within) / 3, "case": within}
    assert {k: v**2 for k, v in found.sd.items()} == pytest.approx(expected, rel=2e-3)
    mean = found.terms[0]
    assert (mean.estimate.value, mean.freedom) == (pytest.approx(y.mean()), 5)
    assert mean.error == pytest.approx(math.sqrt(outer / len(y)), rel=2e-3)
    assert sum(found.shares.values()) == pytest.approx(1)


def test_a_term_has_the_degrees_of_freedom_of_its_level() -> None:
    y, site, patient = nested(2)
    random = np.random.default_rng(0)
    factors = {
        "scanner": random.normal(size=6)[site],
        "age": random.normal(size=30)[patient],
        "thickness": random.normal(size=len(y)),
    }
    found = mixed_model(y, patient.tolist(), sites=site.tolist(), factors=factors)
    assert dict(found.level) == {"mean": "site", "scanner": "site", "age": "patient", "thickness": "case"}
    assert [t.freedom for t in found.terms] == [4, 4, 23, 59]
    alone = mixed_model(y, patient.tolist(), factors={"age": factors["age"]})
    assert (set(alone.sd), alone.terms[1].freedom, alone.sites) == ({"patient", "case"}, 28, None)


def test_sites_that_do_not_differ_have_a_variance_of_nothing() -> None:
    y, _, patient = nested(3)
    site = np.arange(len(y)) // 3 % 6
    found = mixed_model(y - y.mean(), patient.tolist(), sites=site.tolist())
    assert found.sd["site"] < 0.4
    assert mixed_model(y[::3], patient[::3].tolist(), sites=site[::3].tolist()).sd.keys() == {"site", "patient"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"patients": [0] * 90}, "too few"),
        ({"sites": [0, 1] * 45}, "too few to tell"),
        ({"sites": [n % 6 for n in range(90)]}, "two sites"),
        ({"patients": list(range(90)), "sites": None}, "one case"),
        ({"factors": {"age": np.ones(90)}}, "age is the same"),
        ({"factors": {"a": np.arange(90.0), "b": 2 * np.arange(90.0)}}, "follows from the others"),
        ({"scores": np.ones(90)}, "all scores are the same"),
    ],
)
def test_what_has_no_mixed_model_is_refused(change: dict, told: str) -> None:
    y, site, patient = nested(4)
    given = {"scores": y, "patients": patient.tolist(), "sites": site.tolist(), **change}
    with pytest.raises(BadInput, match=told):
        mixed_model(given.pop("scores"), given.pop("patients"), **given)


def frames(seed: int, patients: int = 20, scans: int = 4, raters: int = 3):
    random = np.random.default_rng(seed)
    place = np.repeat(np.arange(patients), scans)
    own = random.normal(0, 1, patients)[place] + random.normal(0, 0.5, len(place))
    shifts = np.array([-0.2, 0.0, 0.2])[:raters] + random.normal(0, 0.3, (patients, raters))[place]
    return own[:, None] + shifts + random.normal(0, 0.4, (len(place), raters)), place.tolist()


def test_components_of_repeated_frames_are_found() -> None:
    found = repeated_agreement(*frames(0, patients=300))
    expected = {"patient": 1, "frame": 0.5, "rater": 0.2, "rater by patient": 0.3, "rest": 0.4}
    assert dict(found.sd) == pytest.approx(expected, abs=0.08)
    assert found.single.value == pytest.approx(1.25 / (1.25 + 0.04 + 0.09 + 0.16), abs=0.04)
    assert found.within.value == pytest.approx(0.25 / 0.41, abs=0.05)


def test_agreement_is_the_icc_where_frames_are_independent() -> None:
    """Frames that share nothing within a patient: one rating's agreement is ICC(A,1) of all frames."""
    random = np.random.default_rng(2)
    ratings = random.normal(0, 1, 300)[:, None] + np.array([0, 0.3]) + random.normal(0, 0.5, (300, 2))
    found = repeated_agreement(ratings, np.repeat(np.arange(150), 2).tolist())
    assert found.single.value == pytest.approx(icc(ratings)["ICC(A,1)"].value, abs=0.02)


def test_few_patients_have_no_interval_of_agreement_and_single_frames_none_at_all() -> None:
    assert math.isnan(repeated_agreement(*frames(1, patients=6)).single.low)
    found = repeated_agreement(*frames(1)).single
    assert found.low < found.value < found.high
    with pytest.raises(BadInput, match="several frames"):
        repeated_agreement(np.eye(4)[:, :2], ["a", "b", "c", "d"])


def test_facts_that_differ_stand_first() -> None:
    random = np.random.default_rng(0)
    near, far = random.normal(1, 0.1, 30), random.normal(2, 0.1, 12)
    training = Side(
        [f"p{n}" for n in range(30)],
        {"size": near.tolist(), "same": random.normal(size=30).tolist()},
        {"mode": ["MR"] * 30},
    )
    test = Side(
        [f"q{n}" for n in range(12)],
        {"size": far.tolist(), "same": random.normal(size=12).tolist()},
        {"mode": ["MR"] * 9 + ["CT"] * 3},
    )
    found = {s.name: s for s in compare_sides(training, test)}
    assert next(iter(found)) == "size"
    assert (found["size"].outside, found["size"].effect) == (1, 1)
    assert found["size"].p_holm < 0.001 < found["same"].p_holm
    assert found["mode"].outside == 0.25
    assert "CT 25 %" in found["mode"].test
    with pytest.raises(BadInput, match="nothing is known"):
        compare_sides(training, Side(["q"], {}, {}))


def test_a_case_far_from_training_is_unlike_it() -> None:
    random = np.random.default_rng(1)
    training, held = random.normal(size=(40, 8)), random.normal(size=(20, 8))
    test = {"like": random.normal(size=8), "unlike": np.full(8, 6.0)}
    found = embedding_shift(training, held, [f"p{n}" for n in range(20)], test, {"like": "a", "unlike": "b"})
    assert found.rarer["unlike"] == pytest.approx(1 / 21)
    assert found.rarer["like"] > 0.05
    assert found.unlike == ("unlike",)
    assert found.distances["unlike"] > 2 > found.distances["like"]


def test_the_command_fits_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from voxloom.cli.app import run
    from voxloom.evaluation import Evaluation, mask_metrics

    y, site, patient = nested(5)
    table, one = Evaluation(["organ"]), np.ones((2, 2, 2), bool)
    same = mask_metrics(one, one, (1, 1, 1))
    rows = ["case,patient,hospital,age"]
    for n, score in enumerate(y):
        table.add(f"c{n}", {"organ": replace(same, dice=0.8 + score / 50)})
        rows.append(f"c{n},p{patient[n]},h{site[n]},{40 + patient[n] * 7 % 13}")
    table.write_csv(tmp_path / "metrics.csv")
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n")
    asked = ["mixed", str(tmp_path), "--table", str(tmp_path / "people.csv"), "--site", "hospital"]
    assert run([*asked, "--factors", "age", "-o", str(tmp_path / "mixed.json")]) == 0
    said = capsys.readouterr().err
    assert "varies by" in said
    assert "site" in said
    assert run([*asked, "--factors", "hospital"]) == 2
    assert "neither a number" in capsys.readouterr().err
    assert run([*asked, "--factors", "weight"]) == 2
    assert "no attribute weight" in capsys.readouterr().err
