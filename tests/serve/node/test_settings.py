"""The settings of a node: what is refused, in one line that names the right word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from voxloom.errors import BadInput
from voxloom.notes import collect
from voxloom.serve.node import load_settings
from voxloom.serve.node.engine import check_runs
from voxloom.serve.node.settings import Format, Retry

GOOD: dict[str, Any] = {
    "destinations": {"pacs": {"aet": "PACS", "host": "10.0.0.1", "port": 104}},
    "rules": [{"name": "liver", "where": {"Modality": "CT"}, "run": "liver", "to": ["pacs"]}],
}


def written(folder: Path, values: Any) -> Path:
    path = folder / "node.yaml"
    path.write_text(json.dumps(values))
    return path


def test_paths_are_those_beside_the_file_and_times_are_read(tmp_path: Path) -> None:
    found = load_settings(
        written(tmp_path, {**GOOD, "stable": "10s", "keep": {"dead": "30d"}, "limits": {"instance": "2GB"}})
    )
    assert found.queue == tmp_path / "queue"
    assert (found.stable, found.keep.dead, found.limits.instance) == (10, 30 * 86400, 2_000_000_000)
    assert [Retry(first=10, most=60).pause(n) for n in (1, 2, 3, 4, 500)] == [10, 20, 40, 60, 60]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stabel": 1}, "unknown key `stabel`. Did you mean `stable`?"),
        ({"limits": {"asociations": 1}}, "unknown key `limits.asociations`. Did you mean `associations`?"),
        ({"peers": [{"aet": "A", "host": ["1.2.3.4"]}]}, "unknown key `peers.0.host`. Did you mean `hosts`?"),
        ({"destinations": {"p": {"aet": "A", "prot": 4}}}, "unknown key `destinations.p.prot`. Did you mean `port`?"),
        ({"destinations": {"pacs": {"aet": "A", "port": 4}}}, "the destination pacs is not complete, or is two"),
        ({"peers": [{"aet": "A", "hosts": ["10.0.0.300"]}]}, "must be an address or a network"),
        ({"peers": [{"aet": "SEVENTEEN LETTERS"}]}, "must be an AE title"),
        ({"rules": [{**GOOD["rules"][0], "to": ["pax"]}]}, "sends to pax, which is not a destination. Did you mean `pacs`?"),
        ({"rules": [{**GOOD["rules"][0], "where": {"modalty": "CT"}}]}, "modalty is not a column of the series table. Did you"),
        ({"rules": [{**GOOD["rules"][0], "where": {"derived_slices": "many"}}]},
         "derived_slices is compared with 'many', but holds a number"),
        ({"rules": [{**GOOD["rules"][0], "formats": ["nifti"]}]}, "must be 'seg'"),
        ({"rules": [{**GOOD["rules"][0], "name": "../up"}]}, "rules.0.name"),
        ({"rules": GOOD["rules"] * 2}, "two rules are called liver"),
        ({"rules": [{**GOOD["rules"][0], "wait": "5m"}]}, "the rule liver has `wait`, but takes every series for itself"),
        ({"rules": [{**GOOD["rules"][0], "channels": {"T1": {"plan": "axial"}}}]}, "plan is not a column of the series table"),
        ({"rules": [{**GOOD["rules"][0], "chanels": {"T1": {}}}]}, "unknown key `rules.0.chanels`. Did you mean `channels`?"),
        ({"stable": "soon"}, "must be a time such as"),
        ({"tls": {"cert": "no.pem", "key": "no.key"}}, "no.pem: does not exist"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        load_settings(written(tmp_path, {**GOOD, **changes}))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_rules_in_old_names_are_taken_with_one_line(tmp_path: Path) -> None:
    old = {**GOOD["rules"][0], "where": {"modality": "CT", "Rows": {"min": 8}}, "channels": {"CT": {"plane": "axial"}}}
    with collect() as told:
        load_settings(written(tmp_path, {**GOOD, "rules": [old]}))
    line = "modality is called Modality now, plane is called derived_plane now; the old names go with the next release"
    assert [note.text for note in told] == [line]
    both = {**GOOD["rules"][0], "where": {"modality": "CT", "Modality": "MR"}}
    with pytest.raises(BadInput, match="modality and Modality name one column"):
        load_settings(written(tmp_path, {**GOOD, "rules": [both]}))


def test_rules_name_served_runs_and_all_of_their_channels(tmp_path: Path) -> None:
    class Info:
        def __init__(self, *channels: str) -> None:
            self.channels = channels

    rules = load_settings(written(tmp_path, GOOD)).rules
    check_runs(rules, {"liver": Info("CT")}, "node.yaml")
    with pytest.raises(BadInput, match="which is not served. Did you mean `livers`"):
        check_runs(rules, {"livers": Info("CT")}, "node.yaml")
    with pytest.raises(
        BadInput, match=r"needs 2 series of one study\. Say under channels: which series each is of T1, T2"
    ):
        check_runs(rules, {"liver": Info("T1", "T2")}, "node.yaml")
    named = {"T1": {"derived_weighting": "T1"}, "T2w": {"derived_weighting": "T2"}}
    rules = load_settings(written(tmp_path, {**GOOD, "rules": [{**GOOD["rules"][0], "channels": named}]})).rules
    assert rules[0].wait == 3600
    check_runs(rules, {"liver": Info("T2w", "T1")}, "node.yaml")
    with pytest.raises(BadInput, match="names a channel T2w that liver does not have. Did you mean `T2`"):
        check_runs(rules, {"liver": Info("T1", "T2")}, "node.yaml")
    with pytest.raises(BadInput, match="does not say which series is channel FLAIR of liver"):
        check_runs(rules, {"liver": Info("T1", "T2w", "FLAIR")}, "node.yaml")


def test_formats_are_those_that_predict_writes() -> None:
    from voxloom.verbs.dicom_results import FORMATS

    assert get_args(Format) == FORMATS


def test_the_example_of_several_channels_in_the_docs_can_be_read(tmp_path: Path) -> None:
    import yaml

    page = (Path(__file__).parents[3] / "docs" / "pacs.md").read_text(encoding="utf-8")
    (example,) = [block for block in page.split("```yaml\n")[1:] if block.startswith("rules:")]
    (rule,) = load_settings(written(tmp_path, {**GOOD, **yaml.safe_load(example.split("```")[0])})).rules
    assert (list(rule.channels), rule.wait) == (["T1", "T1c", "T2"], 1800)
