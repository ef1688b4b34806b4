"""The command line: which commands there are, and what happens to errors.

Knows names and exit codes (0 done, 1 failed, 2 bad input, 130 interrupted). A command's module is imported when it is run
or its help is asked for, so that ``voxloom --help`` stays fast.
"""

from __future__ import annotations

import difflib
import errno
import re
import signal
import sys
import threading
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

#: Command name -> one line for the overview. Each lives in ``voxloom.cli.<name>`` (``_`` for ``-``) as ``command``.
COMMANDS = {
    "index": "Read every DICOM header of an archive into one table.",
    "select": "Choose series of an archive by rules, as a data set.",
    "inspect": "What is in a data set, and what is wrong with it.",
    "recipes": "List the shipped recipes, or print one.",
    "suggest-metrics": "Which metrics fit the labels of a data set, and why.",
    "prepare": "Prepare every case of a data set once.",
    "cache": "How large a cache of prepared cases is, and freeing it.",
    "train": "Train a model and evaluate it on cases that it never saw.",
    "sweep": "Train many runs with changed recipe keys and tabulate them.",
    "evaluate": "Score a run, or one folder of masks against another.",
    "raters": "How several raters agree, and a model with them.",
    "review": "Suspected label errors, from the held-out cases of a run.",
    "compare": "Compare runs on the same cases.",
    "fairness": "A metric by sex, age, site or scanner, with a test of difference.",
    "shift": "What of a data set is unlike the training cases of a run.",
    "mixed": "A score by site, patient and case, and what moves it.",
    "sample-size": "How many test patients an interval or a comparison needs.",
    "stress": "How a run's Dice falls while scans get worse.",
    "calibrate": "Learn what a run's predictions are worth, with a bound.",
    "predict": "Apply a run to new scans.",
    "explain": "Where in a scan a run finds the reason of its answer.",
    "pseudo": "Label unlabelled scans with a run, as data to train on.",
    "rank": "Order scans without labels for annotation.",
    "points": "Compare the landmarks of two runs, or of two annotators.",
    "translate": "Landmarks from one format to another: CSV, 3D Slicer, ITK-SNAP.",
    "combine": "One set of landmarks from two networks.",
    "aggregate": "Mean and SD of a table of runs by any factor.",
    "importance": "Which settings of a table of runs mattered.",
    "curve": "What more training scans have brought, and would bring.",
    "ensemble": "Let several runs or folds decide together.",
    "show": "Pictures of what the network sees and says.",
    "export": "Hand a trained model to other software.",
    "import": "Bring a shared run, or a model of nnU-Net, here.",
    "export-dicom": "A mask or points as DICOM, beside the series they belong to.",
    "serve": "Bring runs to people: page, REST API, DICOM node.",
    "node": "The queue of a DICOM node: what lies in it, and what to try again.",
    "phantom": "Make simulated scans with known truth.",
    "get": "Fetch a public data set.",
    "doctor": "Whether this machine is ready, and what is missing.",
    "demo": "The whole job on real MR where it is at hand.",
}


_NO_ROOM = "Free some space, and run the command again; what was finished is kept (a run goes on with --resume)"
_LINKS = "A link leads back to itself: name the file or folder that is meant"
_NOT_ALLOWED = "Choose another folder, or change who may write there"
_SYSTEM_HELP = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: _NO_ROOM,
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: _NOT_ALLOWED,
    errno.ENOENT: "Was it moved or removed?",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.ELOOP: _LINKS,
    errno.ENOTDIR: "A file stands where a folder should be",
    errno.EISDIR: "A folder stands where a file should be",
    errno.EEXIST: "Choose another name",
    errno.ENOTEMPTY: "Choose another folder",
}
#: What the system does not let the user do, against what it cannot do at the moment.
_REFUSED_BY_SYSTEM = (set(_SYSTEM_HELP) | {errno.EINVAL}) - {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_OPTION_OF_NOTHING = re.compile(r"--[a-z-]+=")

#: Typer may carry a copy of Click of its own; these are the classes that it raises.
UsageError: Any = typer.BadParameter.__mro__[1]
ClickException: Any = typer.BadParameter.__mro__[2]


class LazyGroup(TyperGroup):
    """Imports a command when it is run, and suggests the nearest one for a misspelt name."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The one line that the overview shows of a command; nothing is imported for it."""
        line = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=line, short_help=line) if line else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, *rest = args
        if name not in COMMANDS:
            close = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean `{close[0]}`?" if close else " See: voxloom --help"
            raise UsageError(f"There is no command `{name}`.{hint}")
        return name, load_command(name), rest


def load_command(name: str) -> Any:
    """Import the module of a command and build its options."""
    from voxloom.cli.places import checked

    alone = typer.Typer(add_completion=False)
    alone.command(name)(checked(name, import_module(f"voxloom.cli.{name.replace('-', '_')}").command))
    command = typer.main.get_command(alone)
    for parameter in command.params:
        if text := getattr(parameter, "help", None):  # Rich takes words in brackets for styles, and leaves them out
            parameter.help = text.replace("[", r"\[")  # type: ignore[attr-defined]
    return command


#: The overview is plain text: Rich would be most of the time of ``voxloom --help``.
app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


def _version(wanted: bool) -> None:
    if wanted:
        from voxloom import __version__

        typer.echo(f"voxloom {__version__}")
        raise typer.Exit


@app.callback()
def overview(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """From a DICOM archive or a data set to a trained, honestly evaluated model for medical images."""


def run(arguments: list[str]) -> int:
    """Run a command line without the program's name; the exit code."""
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    from voxloom.errors import BadInput, VoxloomError
    from voxloom.notes import collect

    if any(argument == "" or _OPTION_OF_NOTHING.fullmatch(argument) for argument in arguments):
        typer.echo("Error: an argument is empty. Is a variable of the shell not set?", err=True)
        return 2
    try:
        with collect():  # what readers were not sure of; ``output.done`` says it
            result = typer.main.get_command(app).main(arguments, prog_name="voxloom", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == 130:  # how Typer itself ends on Ctrl-C
            typer.echo("Interrupted.", err=True)
        return code
    except ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("Interrupted.", err=True)
        return 130
    except VoxloomError as error:
        if debug:
            raise
        typer.echo(f"Error: {error}", err=True)
        return 2 if isinstance(error, BadInput) else 1
    except OSError as error:
        if debug:
            raise
        typer.echo(f"Error: {_told(error)}", err=True)
        return 2 if error.errno in _REFUSED_BY_SYSTEM else 1
    except Exception as error:
        if debug:
            raise
        if isinstance(error, ModuleNotFoundError) and (cure := _cure(error.name or "")):
            typer.echo(f"Error: {cure}", err=True)
            return 1
        if type(error).__module__.startswith("pydantic"):  # a section that was not checked as a whole
            from voxloom.complaints import complaint, key_of

            place, text = complaint(error)  # type: ignore[arg-type]
            typer.echo(f"Error: {f'`{key_of(place)}`: ' if place else ''}{text}", err=True)
            return 2
        if "Symlink loop" in str(error):  # how pathlib says it before Python 3.13
            typer.echo(f"Error: {error}. {_LINKS}", err=True)
            return 2
        typer.echo(f"Error: {type(error).__name__}: {error}. Run again with --debug for the details", err=True)
        return 1


def _cure(module: str) -> str:
    """What to install for a module that is not there; "" where it is none of those that Voxloom needs."""
    from voxloom.verbs.doctor.packages import cure_of

    return cure_of(module)


def _told(error: OSError) -> str:
    """What the system refused, and what to do about it."""
    place = f"{error.filename}: " if error.filename else ""
    help_ = _SYSTEM_HELP.get(error.errno or 0, "Run again with --debug for the details")
    return f"{place}{error.strerror or error}. {help_}"


def _terminate(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of ``voxloom``. A scheduler's SIGTERM ends a command as Ctrl-C does: in order, with exit code 130."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))
