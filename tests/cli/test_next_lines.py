"""What a command says to do next can be done: every printed ``Next:``, and every command line that a message or a page names."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_bad_command_lines import LINES, filled, world  # noqa: F401  world is a fixture

from voxloom.cli.app import COMMANDS, UsageError, load_command, run
from voxloom.cli.output import command_line
from voxloom.device_names import NAMES

SOURCES = sorted((Path(__file__).parents[2] / "src" / "voxloom").rglob("*.py"))
#: What stands for something that only the user knows.
PLACEHOLDERS = {
    "SCAN",
    "SCANS",
    "OUT",
    "DATASET",
    "DIR",
    "NAME",
    "RUN",
    "RUN2",
    "RULES.yaml",
    "RECIPE.yaml",
    "my-recipe.yaml",
}
#: Forms that cannot end well here: a download from nowhere, a demo that trains, a service, which ends when it is told to, and a
#: question to a PACS that is not there.
NOT_RUN = ("get", "demo", "serve", "node")
#: Forms whose line in ``LINES`` names right kinds of things that do not go together; here they do.
RIGHT = {
    "points": "{points} {scans of points/points} --truth {scans of points} -o <a.csv>",
    "translate": "{points} --to .csv -o <a>",
    "train": "{data} -r {recipe.yaml} -o <a> --folds {splits.json}",
    "phantom": "knee-mr -n 1 -o <a>",
    "rank": "{run} {unseen} -o <a.csv>",
    "evaluate": "{run} {unseen set} -o <a>",
    "export-dicom": "{mask.nii.gz} --source {series} --labels {good codes.csv} -o <a>",
    "shift": "{run} {unseen set} --no-features -o <a> --workers 1",
    "sweep": "{good sweep.yaml} -o <a> --data {data}",
    "raters": "R1={masks} R2={masks} --labels {dataset.json} -o <a> --workers 1",
    "select": "{archive.parquet} -r {good rules.yaml} -o <a> --workers 1",
    "curve": "{sizes.csv} --score dice --size a -o <a.svg>",
}
#: Further forms, whose next step differs.
MORE = {
    "inspect page": "{data} -o <a.html> --workers 1",
    "inspect screen": "{data} --workers 1",
    "inspect points": "{scans of points} -o <a.html> --workers 1",
    "export zip": "{run} --to zip -o <a.zip>",
    "review all": "{run} --threshold 1 -o <a>",
    "select dry": "{archive.parquet} -r {good rules.yaml} --dry-run",
    "recipes": "",
    "get list": "--list",
    "train lr": "{data} -r {recipe.yaml} --find-lr -o <a> --set training.batch=1 --seed 4",
    "compare page": "{run} {run copy} -o <a>",
}


@pytest.fixture(scope="module")
def place(world: Path) -> Path:  # noqa: F811
    """The world with a second run and a set of points."""
    import shutil

    if not (world / "run copy").exists():
        shutil.copytree(world / "run", world / "run copy")
        shutil.copytree(world / "data" / "imagesTr", world / "scans of points" / "images")
        shutil.copytree(world / "points", world / "scans of points" / "points")
        for path in (world / "scans of points" / "images").iterdir():
            path.rename(path.with_name(path.name.replace("_0000", "")))
        write_unseen(world)
    return world


def write_unseen(world: Path) -> None:  # noqa: F811
    """Scans and tables that go together with the run and the archive."""
    import shutil

    from tests.study.conftest import write_balls

    whole = write_balls(world / "unseen set", 8)
    for n in range(6):
        next((whole / "imagesTr").glob(f"ball0{n}*")).unlink()
        (whole / "labelsTr" / f"ball0{n}.nii.gz").unlink()
    shutil.copytree(whole / "imagesTr", world / "unseen")
    codes = "value,label,type,meaning\n3,ball,52988006,Lesion\n207,bright ball,52988006,Lesion\n"
    (world / "good codes.csv").write_text(codes)
    (world / "good rules.yaml").write_text("channels: {MR: {where: {Modality: MR}}}\n")
    over = "over: {training.learning_rate: [0.01]}"
    (world / "good sweep.yaml").write_text(f"data: '{world / 'data'}'\nrecipe: '{world / 'recipe.yaml'}'\n{over}\n")
    rows = [f"{size},{0.9 - 1 / size + 0.01 * n}\n" for size in (4, 8, 16, 32) for n in range(2)]
    (world / "sizes.csv").write_text("a,dice\n" + "".join(rows))


@pytest.mark.parametrize("form", [form for form in (*LINES, *MORE) if form.split()[0] not in NOT_RUN or form in MORE])
def test_the_next_step_can_be_taken(
    form: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = {**LINES, **RIGHT, **MORE}[form]
    words = [
        re.sub("__", " ", word)
        for word in re.sub(r"\{[^}]*\}", lambda found: found[0].replace(" ", "__"), text).split()
    ]
    if form == "compare":
        words[1] = "{run copy}"
    prefixed = [word.partition("=") if word.startswith(("R1=", "R2=")) else ("", "", word) for word in words]
    paths = filled([word for _, _, word in prefixed], place, tmp_path / "out dir")
    code = run([form.split()[0], *(a + b + path for (a, b, _), path in zip(prefixed, paths, strict=True))])
    said = capsys.readouterr()
    if form in (
        "ensemble",
        "pseudo",
        "calibrate",
        "calibrate site",
        "stress",
        "explain",
        "predict crop",
        "sample-size",
        "mixed",
    ):  # the tiny run has one fold and one patient, and looks at whole scans; what they say is checked below
        assert code in (0, 2)
    else:
        assert code == 0, said.err
    for line in said.out.splitlines():
        if line.startswith("Next: "):
            check_step(line.removeprefix("Next: "), tmp_path)


def check_step(step: str, folder: Path) -> None:
    """A step is a page that is there, or a command line whose words are right and whose files are there."""
    if step.startswith("look at "):
        assert (folder / step.removeprefix("look at ")).is_file(), step
        return
    words = shlex.split(step)
    if words[0] == "python":
        assert words[1:3] in (["-m", "zipfile"], ["-m", "monai.bundle"]), step
        assert Path(words[4] if words[2] == "zipfile" else words[5]).exists(), step
        return
    assert words[0] == "voxloom", step
    check_words(words[1:])
    for word in words[2:]:
        if "/" in word and word not in PLACEHOLDERS:
            assert Path(word.partition("=")[2] or word).exists(), f"{word} of {step}"


def check_words(words: list[str]) -> None:
    """The command line takes these words; nothing is run."""
    name, *rest = words
    rest = rest[: rest.index(">")] if ">" in rest else rest
    assert name in COMMANDS, name
    load_command(name).make_context(name, rest)


def test_a_wrong_step_is_noticed(tmp_path: Path) -> None:
    for step in (
        "voxloom train",
        "voxloom trian x",
        "voxloom predict RUN SCAN",
        "voxloom predict RUN -o OUT",
        "open page.html",
    ):
        with pytest.raises((UsageError, AssertionError)):
            check_step(step, tmp_path)


def test_words_with_spaces_are_quoted() -> None:
    assert shlex.split(command_line(["voxloom", "inspect", Path("a b/ü'c")])) == ["voxloom", "inspect", "a b/ü'c"]
    assert command_line(["voxloom", "recipes", "auto", ">", "my.yaml"]) == "voxloom recipes auto > my.yaml"


def texts(tree: ast.AST) -> Iterator[str]:
    """The strings of a module, with X for what is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def options_of(name: str) -> set[str]:
    command: Any = load_command(name)
    return {word for parameter in command.params for word in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def test_every_command_line_in_a_message_has_real_options() -> None:
    wrong = []
    for path in SOURCES:
        for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            for line in re.findall(r"(?:^|[:`( ])voxloom ([a-z]+(?: [^`;,()\n]*)?)", text):
                name, *rest = line.split()
                told = {word.rstrip(".:") for word in rest if re.fullmatch(r"--?[a-z][\w-]*[.:]?", word)}
                if name in COMMANDS and not told <= options_of(name):
                    wrong.append(f"{path.name}: voxloom {line}")
    assert not wrong, wrong


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_all_that_is_said_of_an_option(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words in brackets, such as what an option is when it is left out, were taken for styles and left out."""
    monkeypatch.setenv("COLUMNS", "400")
    assert run([name, "--help"]) == 0
    shown = re.sub(r"[\s│]+", "", capsys.readouterr().out)
    for parameter in load_command(name).params:
        text = (getattr(parameter, "help", None) or "").replace(r"\[", "[")
        assert re.sub(r"\s+", "", text) in shown, f"--help of {name} lacks: {text}"


def test_every_device_option_tells_all_devices() -> None:
    told = {
        name: getattr(parameter, "help", None)
        for name in COMMANDS
        for parameter in load_command(name).params
        if "--device" in parameter.opts
    }
    assert {"train", "predict", "explain", "serve"} <= set(told)
    assert set(told.values()) == {f"{NAMES}."}
    assert "mps" in NAMES
