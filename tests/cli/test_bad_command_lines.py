"""Every path of every command, given wrong: exit code 2 and one clear line, never a traceback, and nothing written.

``LINES`` holds one right command line per command (two where a command has two forms), with a slot for every path. Each slot in turn
is filled with each wrong thing; the others stay right.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
from tests.faults.kills import TINY
from tests.study.conftest import write_balls

from voxloom.cli.app import COMMANDS, run
from voxloom.files import process_prefix
from voxloom.formats import read_volume, write_dicom_series

#: ``{x}`` is read: a file or folder of the right kind; ``<x>`` is written: a folder, or a file with this ending.
LINES = {
    "index": "{dicom} -o <a.parquet> --workers 1",
    "select": "{archive.parquet} -r {rules.yaml} -o <a> --key <a.key> --link <a.csv> --attach {table.csv} --workers 1",
    "inspect": "{data} -o <a.html> --workers 1",
    "recipes": "{recipe.yaml}",
    "prepare": "{data} -r {recipe.yaml} -o <a> --workers 1",
    "cache": "{cache}",
    "train": "{data} -r {recipe.yaml} -o <a> --folds {splits.json} --add {data2} --external {data2}",
    "sweep": "{sweep.yaml} -o <a> --data {data} --test {data2}",
    "evaluate": "{run} {data} -o <a>",
    "evaluate masks": "--pred {masks} --truth {masks} --labels {dataset.json} --table {table.csv} -o <a> --workers 1",
    "evaluate maps": "--pred {masks} --truth {masks} --maps {maps} --metrics voxel_brier --labels {dataset.json} -o <a> --workers 1",
    "shift": "{run} {data} --no-features -o <a> --workers 1",
    "mixed": "{run} --table {table.csv} -o <a.json>",
    "raters": "{masks} {masks} --model {masks} --labels {dataset.json} --table {table.csv} -o <a> --workers 1",
    "compare": "{run} {run} -o <a>",
    "review": "{run} -o <a>",
    "calibrate": "{run}",
    "calibrate site": "{run} --data {data}",
    "rank": "{run} {scan.nii.gz} -o <a.csv>",
    "pseudo": "{run} {scan.nii.gz} -o <a>",
    "stress": "{run} {data} --only noise --cases 1 -o <a>",
    "predict": "{run} {scan.nii.gz} -o <a>",
    "predict dicom": "{run} {series} --format seg --labels {codes.csv} -o <a>",
    "predict crop": "{run} {scan.nii.gz} --around {scan.nii.gz} -o <a>",
    "explain": "{run} {scan.nii.gz} --around {scan.nii.gz} -o <a>",
    "points": "{points} {points again} --truth {points} -o <a.csv>",
    "points scans": "{points} {points again} --scans {data} -o <a.csv>",
    "fairness": "{run} --by a --table {table.csv} -o <a.json>",
    "sample-size": "{run} --width 0.1",
    "suggest-metrics": "{data}",
    "translate": "{points} --to .nii.gz --scans {data} -o <a>",
    "combine": "{points} {points} -o <a>",
    "importance": "{table.csv} --score dice --factors a -o <a.csv>",
    "curve": "{table.csv} --score dice --size a -o <a.svg>",
    "aggregate": "{table.csv} --scores dice --factors a -o <a.csv>",
    "ensemble": "{run} {run} -o <a>",
    "serve": "{run} --data {data} --state <a> --http 0 --token-file {tokens} --tls-cert {cert.pem} --tls-key {key.pem}",
    "serve node": "{run} --dicom 0 --node {node.yaml}",
    "serve pacs": "{run} --http 0 --pacs http://127.0.0.1:9/dicom-web --pacs-auth {secret} --ohif {viewer}",
    "node": "check {node.yaml}",
    "show": "batch {run} --data {data} -o <a.png>",
    "export": "{run} -o <a>",
    "import": "{run.zip} -o <a>",
    "import nnunet": "{nnunet} --configuration 3d_fullres -o <a>",
    "export-dicom": "{mask.nii.gz} --source {series} --labels {codes.csv} -o <a>",
    "phantom": "abdomen-ct -n 1 --shapes {masks} -o <a>",
    "get": "ixi-tiny --accept-licence --url {nowhere} -o <a>",
    "doctor": "{dicom}",
    "demo": "--data {sets} --budget 1s -o <a>",
}
#: Wrong inputs that are no fault: what the command then works with.
HARMLESS = {
    ("doctor", "empty folder"): "a folder to work in",
    ("doctor", "other folder"): "a folder to work in",
    ("cache", "empty folder"): "a cache with nothing in it",
    ("aggregate", "cut"): "a table of fewer rows",
    ("importance", "cut"): "a table of fewer rows",
    ("curve", "cut"): "a table of fewer rows",
    ("raters {table.csv}", "cut"): "a table of fewer rows",
    ("prepare {recipe.yaml}", "cut"): "a recipe of fewer keys",
    ("train {recipe.yaml}", "cut"): "a recipe of fewer keys",
    ("serve node {node.yaml}", "cut"): "settings of fewer keys",
    ("node {node.yaml}", "cut"): "settings of fewer keys",
    ("serve pacs {secret}", "cut"): "another password",
    ("serve pacs {secret}", "text"): "another user and password",
    ("predict dicom {codes.csv}", "cut"): "a name without a code",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One right thing for every slot."""
    root = tmp_path_factory.mktemp("world ü")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data = write_balls(root / "data", 4)
    sets = [f"--set={key}={value}" for key, value in TINY.items()]
    assert run(["train", str(data), "-o", str(root / "run"), *sets]) == 0
    torch.set_num_threads(threads)
    assert run(["phantom", "knee-mr", "-n", "1", "-o", str(root / "dicom"), "--dicom"]) == 0
    assert run(["index", str(root / "dicom"), "-o", str(root / "archive.parquet"), "--workers", "1"]) == 0
    write_balls(root / "data2", 6)
    for n in range(4):
        next((root / "data2" / "imagesTr").glob(f"ball0{n}*")).unlink()
        (root / "data2" / "labelsTr" / f"ball0{n}.nii.gz").unlink()
    shutil.copytree(data / "labelsTr", root / "masks")
    shutil.copy(data / "dataset.json", root / "dataset.json")
    shutil.copy(data / "imagesTr" / "ball00_0000.nii.gz", root / "scan.nii.gz")
    shutil.copy(data / "labelsTr" / "ball00.nii.gz", root / "mask.nii.gz")
    write_dicom_series(read_volume(root / "scan.nii.gz"), root / "series")
    (root / "codes.csv").write_text("value,label,type,meaning\n1,ball,52988006,Lesion\n")
    shutil.copy(root / "run" / "recipe.yaml", root / "recipe.yaml")
    shutil.copy(root / "run" / "splits_final.json", root / "splits.json")
    rows = [f"ball0{n},p{n},{n % 2},0.{n}\n" for n in range(4)]
    (root / "table.csv").write_text("case,patient,a,dice\n" + "".join(rows))
    factors = "factors: {training.learning_rate: [0.01]}"
    (root / "sweep.yaml").write_text(f"data: '{data}'\nrecipe: '{root / 'recipe.yaml'}'\n{factors}\n")
    (root / "rules.yaml").write_text("channels:\n  MR:\n    modality: MR\n")
    (root / "tokens").write_text("anna 0123456789abcdef\n")
    (root / "tokens").chmod(0o600)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(Path(__file__).parents[1] / "serve" / f"test-{name}", root / name)
    (root / "node.yaml").write_text("rules: []\n")
    (root / "secret").write_text("anna:0123456789\n")
    (root / "viewer").mkdir()
    assert run(["export", str(root / "run"), "--to", "zip", "-o", str(root / "run.zip")]) == 0
    assert run(["export", str(root / "run"), "--to", "nnunet", "-o", str(root / "nnunet")]) == 0
    (root / "viewer" / "index.html").write_text("<title>OHIF</title>\n")
    assert run(["predict", str(root / "run"), str(data / "imagesTr"), "--maps", "-o", str(root / "predicted")]) == 0
    (root / "predicted" / "maps").rename(root / "maps")
    (root / "sets").mkdir()
    (root / "sets" / "hippocampus").symlink_to(data)
    for name in ("points", "points again"):
        (root / name).mkdir()
    for n in range(4):
        for name in ("points", "points again"):
            (root / name / f"ball0{n}.csv").write_text(f"case,name,side,x,y,z\nball0{n},a,left,1,2,3\n")
    return root


def wrong_inputs(right: Path, place: Path) -> Iterator[tuple[str, Path]]:
    """Things that stand where ``right`` should, by name."""
    ending = "" if right.is_dir() else "".join(right.suffixes[-2:])
    named = {kind: place / f"{kind}{ending}" for kind in ("missing", "empty folder", "garbage", "text", "empty", "cut")}
    named["empty folder"].mkdir()
    named["garbage"].write_bytes(b"\x00\xff\xfegarbage\n" * 5)
    named["text"].write_text("some text: [\n")
    named["empty"].touch()
    if right.is_file():
        whole = right.read_bytes()
        named["cut"].write_bytes(whole[: len(whole) * 2 // 3])
    elif right.is_dir():
        del named["cut"]
        named["other folder"] = place / "other folder"
        (named["other folder"] / "sub").mkdir(parents=True)
        (named["other folder"] / "notes.txt").write_text("hello")
    named["loop"] = place / f"loop{ending}"
    named["loop"].symlink_to(named["loop"])
    named["long name"] = place / f"{'x' * 300}{ending}"
    named["below a file"] = named["text"] / f"x{ending}"
    yield from named.items()


def wrong_outputs(ending: str, place: Path) -> Iterator[tuple[str, Path]]:
    """Places that nothing can be written to."""
    (place / "file").write_text("mine")
    (place / f"folder{ending}").mkdir()
    (place / f"folder{ending}" / "mine.txt").write_text("mine")
    yield "below a file", place / "file" / f"x{ending}"
    yield "long name", place / f"{'x' * 300}{ending}"
    yield ("folder", place / f"folder{ending}") if ending else ("file", place / "file")


def filled(words: list[str], world: Path, out: Path) -> list[str]:
    """The right command line."""
    return [
        str(world / word[1:-1]) if word.startswith("{") else str(out / word[1:-1]) if word.startswith("<") else word
        for word in words
    ]


@pytest.mark.parametrize("form", LINES)
def test_every_path_given_wrong(
    form: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command, words = form.split()[0], LINES[form].split()
    failures = []
    for slot, word in enumerate(words):
        if word[0] not in "{<":
            continue
        place = tmp_path / f"wrong {slot}"
        place.mkdir()
        ending = "".join(Path(word[1:-1]).suffixes)
        wrongs = wrong_inputs(world / word[1:-1], place) if word[0] == "{" else wrong_outputs(ending, place)
        for kind, wrong in wrongs:
            if (form, kind) in HARMLESS or (f"{form} {word}", kind) in HARMLESS:
                continue
            arguments = filled(words, world, tmp_path / "out")
            arguments[slot] = str(wrong)
            code = run([command, *arguments])
            said = capsys.readouterr().err
            told = [line for line in said.splitlines() if line.startswith("Error: ")]
            if code != 2 or len(told) != 1 or "--debug" in said or "Traceback" in said:
                failures.append(f"{word} {kind}: {code} {said[-300:]}")
    assert not failures, "\n".join(failures)
    assert not list(tmp_path.rglob(f"{process_prefix()}*.part*"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_path_of_every_command_has_a_slot(name: str) -> None:
    given = [word for form in LINES if form.split()[0] == name for word in LINES[form].split()]
    hints = get_type_hints(import_module(f"voxloom.cli.{name.replace('-', '_')}").command, include_extras=True)
    paths = {
        key: hint.__metadata__[0] for key, hint in hints.items() if key != "return" and "Path" in str(hint.__args__[0])
    }
    for key, about in paths.items():
        names = {
            *(about.param_decls or ()),
            f"--{key.replace('_', '-')}",
            *(("-o",) if key in ("out", "cache") else ()),
        }
        assert names.intersection(given) or type(about).__name__ == "ArgumentInfo", f"{name} --{key} is not tried"
    arguments = sum(type(about).__name__ == "ArgumentInfo" for about in paths.values())
    assert sum(word[0] == "{" for word in given) >= arguments


def test_an_empty_argument_is_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a variable leaves that is not set; it would mean this folder."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["phantom", "knee-mr", "-n", "1", "-o", ""], ["cache", ""], ["phantom", "knee-mr", "--out="]):
        assert run(arguments) == 2
        assert "an argument is empty" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
