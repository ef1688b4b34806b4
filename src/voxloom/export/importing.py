"""``import``: a run that somebody shared, checked before it takes its place.

Knows the kinds of sources (a zip of Voxloom's or nnU-Net's, a folder, a name on a hub) and the order of checks. What a run of nnU-Net
becomes is said by ``voxloom.export.nnunet_folder``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.export import hub, nnunet_folder
from voxloom.export.manifest import MANIFEST, OF_HUBS, Shared, check_folder
from voxloom.export.own_parts import named_parts
from voxloom.export.unpack import only_folder, unpack
from voxloom.files import new_folder, refuse_existing
from voxloom.run.run import Run
from voxloom.tasks.task import task_of


@dataclass(frozen=True)
class Imported:
    """A run that was imported.

    Parameters
    ----------
    folder : where it lies.
    shared : what it says of itself; None for one that was shared without a list of hashes, and for nnU-Net's.
    told : what a user must know of it, a sentence each.
    """

    folder: Path
    shared: Shared | None
    told: tuple[str, ...] = ()


def import_run(
    source: str | Path,
    out: str | Path | None = None,
    *,
    configuration: str | None = None,
    own_parts: bool = False,
    endpoint: str | None = None,
) -> Imported:
    """Bring a shared run here.

    Parameters
    ----------
    source : a zip or folder of ``voxloom export --to zip``, a trained model of nnU-Net v2 (folder or zip), or ``owner/name`` on a hub,
        ``owner/name@revision`` for another than its newest version.
    out : new folder of the run; None takes the source's name.
    configuration : of nnU-Net, where the source holds several ("2d", "3d_fullres").
    own_parts : whether parts of other packages that the run names may be imported.
    endpoint : of another hub than the public one.

    Raises
    ------
    BadInput : there is no such source, a file was changed or has no place in a run, a later Voxloom wrote it, its weights do not fit
        its network, or ``out`` is there already.
    """
    path, text = Path(source), str(source)
    if not path.exists() and not hub.is_hub_id(text):
        raise BadInput(
            "there is no such file or folder, and it is not a name on a hub", text, "Write owner/name for a hub"
        )
    if path.exists() and not path.is_dir() and path.suffix != ".zip":
        raise BadInput("is not a zip file", path, "Give what `voxloom export --to zip` or nnU-Net wrote")
    folder = Path(out) if out is not None else Path(_name_of(path, text))
    refuse_existing(folder)
    with tempfile.TemporaryDirectory(prefix="voxloom") as place:
        given = path
        if not path.exists():
            given = Path(place)
            hub.pull(text, given, endpoint=endpoint)
        elif not path.is_dir():
            unpack(path, Path(place))
            given = only_folder(Path(place))
        return place_run(given, folder, configuration=configuration, own_parts=own_parts)


def _name_of(path: Path, text: str) -> str:
    if path.exists():
        return path.resolve().stem if path.is_file() else path.resolve().name
    return text.partition("@")[0].split("/")[1]


def place_run(given: Path, folder: Path, *, configuration: str | None, own_parts: bool) -> Imported:
    """Check the files in ``given`` and make the run ``folder`` of them; see ``import_run``."""
    if models := nnunet_folder.find_models(given):
        model = nnunet_folder.choose(models, configuration, given)
        with new_folder(folder) as building:
            told = nnunet_folder.convert(model, building)
            open_once(building)
        return Imported(folder, None, tuple(told))
    if configuration is not None:
        raise BadInput("--configuration is for models of nnU-Net", given, "Leave it out")
    if not (given / "recipe.yaml").is_file():
        what = "holds neither a run of Voxloom (recipe.yaml) nor a model of nnU-Net (plans.json)"
        raise BadInput(what, given, "Give what `voxloom export --to zip` wrote")
    shared = check_folder(given)
    if (names := named_parts(given)) and not own_parts:
        what = f"the run names parts of other packages, whose code runs when it is opened: {', '.join(names)}"
        raise BadInput(what, given, "Where you trust them: --own-parts")
    with new_folder(folder) as building:
        shutil.copytree(given, building, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*OF_HUBS, ".*"))
        open_once(building)
    return Imported(folder, shared, tuple(_told(shared)))


def open_once(folder: Path) -> None:
    """Open recipe and networks, so that a run that cannot be used is refused now (BadInput)."""
    run = Run(folder)
    task_of(run).load(run.folds, device="cpu")


def _told(shared: Shared | None) -> Sequence[str]:
    if shared is None:
        return [f"The run has no {MANIFEST}, so its files were not compared with hashes (an earlier Voxloom shared it)"]
    licence = (
        f"License: {shared.license}" if shared.license else "No license was given: ask its author before you use it"
    )
    version = f"Version {shared.version}, made" if shared.version else "Made"
    doi = f"; DOI {shared.doi}" if shared.doi else ""
    return [f"{version} with Voxloom {shared.voxloom}{doi}", licence]
