"""Runs on a hub of models in the manner of Hugging Face: pushed without what names or shows patients, and pulled.

Knows huggingface-hub. Who may push is its own business (``hf auth login`` or HF_TOKEN); ``endpoint`` names another hub than the public
one (or HF_ENDPOINT).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from voxloom.errors import BadInput, VoxloomError
from voxloom.export.manifest import Shared
from voxloom.export.share import share_run
from voxloom.files import write_text
from voxloom.run.run import Run
from voxloom.tasks.abilities import need

_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def is_hub_id(text: str) -> bool:
    """Whether a text is written like ``owner/name`` or ``owner/name@revision``."""
    return _ID.fullmatch(text) is not None


def push(run: Run, repo: str, *, public: bool = False, endpoint: str | None = None) -> str:
    """Push a run as a repository of models; its address.

    Parameters
    ----------
    repo : ``owner/name``; made where it is not there yet.
    public : whether a new repository can be read by everybody.

    Raises
    ------
    BadInput : the name is not one, nothing was trained, or this version was pushed before.
    VoxloomError : the hub cannot be reached, or refuses.
    """
    found = _ID.fullmatch(repo)
    if found is None or found["revision"]:
        raise BadInput(f"{repo} is not a name on a hub", "-o", "Write it like owner/name")
    need(run, "export --to hub")
    run.folds  # noqa: B018  raises where nothing was trained
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint)
    with tempfile.TemporaryDirectory(prefix="voxloom") as place, _told(repo, api.endpoint):
        folder = Path(place) / "run"
        shared = share_run(run, folder, repo.split("/")[1])
        write_text(folder / "README.md", readme(folder, shared))
        tag = f"v{shared.version}" if shared.version else None
        api.create_repo(repo, private=not public, exist_ok=True)
        if tag is not None and tag in {ref.name for ref in api.list_repo_refs(repo).tags}:
            raise BadInput(f"version {shared.version} is on the hub already", repo, "Raise `version` in author.yaml")
        message = f"Voxloom run, version {shared.version}" if shared.version else "Voxloom run"
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
        if tag is not None:
            api.create_tag(repo, tag=tag)
    return f"{api.endpoint}/{repo}"


def pull(source: str, folder: Path, *, endpoint: str | None = None) -> None:
    """Fetch the files of ``owner/name`` into ``folder``; of ``owner/name@revision`` those of a tag or commit.

    Raises
    ------
    BadInput : there is no such repository or revision.
    VoxloomError : the hub cannot be reached, or refuses.
    """
    found = _ID.fullmatch(source)
    assert found is not None, "ask is_hub_id first"
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint)
    with _told(source, api.endpoint):
        api.snapshot_download(found["repo"], revision=found["revision"], local_dir=folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def readme(folder: Path, shared: Shared) -> str:
    """``README.md`` of a repository: what hubs read of a model, then the model card."""
    spdx = re.fullmatch(r"[A-Za-z0-9.+-]+", shared.license)
    license_lines = (
        [f"license: {shared.license.lower()}"]
        if spdx
        else ["license: other", f"license_name: {_quoted(shared.license or 'not given')}"]
    )
    head = [
        "---",
        "library_name: voxloom",
        *license_lines,
        f"pipeline_tag: {_PIPELINES.get(shared.task, 'other')}",
        "tags:",
        *(f"- {tag}" for tag in ("medical", "voxloom", shared.task)),
        *([f"version: {shared.version}"] if shared.version else []),
        *([f"doi: {shared.doi}"] if shared.doi else []),
        "---",
    ]
    use = f"Use it: `voxloom import OWNER/{shared.name} -o RUN`, then `voxloom predict RUN scan.nii.gz -o OUT`."
    card = folder / "model_card.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {shared.name}\n"
    return "\n".join(head) + f"\n\n{text}\n{use}\n"


_PIPELINES = {
    "segmentation": "image-segmentation",
    "classification": "image-classification",
    "landmarks": "keypoint-detection",
}


def _quoted(text: str) -> str:
    return "'" + " ".join(text.split()).replace("'", "''") + "'"


@contextlib.contextmanager
def _told(repo: str, endpoint: str) -> Iterator[None]:
    """Turn what a hub says into one line."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except RevisionNotFoundError as error:
        raise BadInput("there is no such revision", repo, "Look on the hub which tags there are") from error
    except RepositoryNotFoundError as error:
        fix = "Check the name; for a private one log in: hf auth login"
        raise BadInput(f"there is no such repository on {endpoint}, or you may not see it", repo, fix) from error
    except HFValidationError as error:
        raise BadInput(f"is not a name on a hub ({error})", repo, "Write it like owner/name") from error
    except LocalEntryNotFoundError as error:  # nothing was kept of an earlier answer either
        raise VoxloomError(f"{repo}: {endpoint} cannot be reached. Try again later") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise BadInput(f"{endpoint} does not let you ({status})", repo, "Log in: hf auth login") from error
        raise VoxloomError(f"{repo}: {endpoint} answered {status}. Try again later") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _CARRIERS:
            raise
        raise VoxloomError(f"{repo}: {endpoint} cannot be reached ({type(error).__name__}). Try again later") from error


#: What huggingface-hub speaks HTTP with, by its version.
_CARRIERS = ("httpx", "httpx2", "httpcore", "requests", "urllib3")
