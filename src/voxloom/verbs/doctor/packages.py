"""The packages that are installed: what Voxloom needs, at which versions, and which optional parts there are.

Reads what pip has written down; imports none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from voxloom.run.environment import version_of as installed_version
from voxloom.verbs.doctor.finding import Finding, State
from voxloom.verbs.doctor.known_good import KNOWN_GOOD

#: Extra -> what it is for. A test compares with ``pyproject.toml``.
EXTRAS = {
    "bundle": "running MONAI bundles (export --to monai)",
    "gs": "data at gs:// addresses",
    "http": "data at http:// addresses",
    "mlflow": "figures to MLflow (train --tracker mlflow)",
    "onnx": "networks as ONNX (export --to onnx)",
    "ray": "many small works over several machines (--on ray)",
    "s3": "data at s3:// addresses",
    "serve": "page, REST API and DICOM node (serve, node)",
    "wandb": "figures to Weights & Biases (train --tracker wandb)",
}

VersionOf = Callable[[str], str | None]


def package_findings(version_of: VersionOf = installed_version) -> list[Finding]:
    """Voxloom itself, whatever it needs that is missing or too old, and how far versions are from those tested together."""
    own = version_of("voxloom")
    if own is None:
        fix = "Install it: pip install voxloom"
        text = "not installed as a package; the versions that it needs are not known"
        return [Finding("packages", "voxloom", State.note, text, fix)]
    wrong = [
        found for need in needs() if not need_extra(need) and (found := need_finding(need, version_of)) is not None
    ]
    return [Finding("packages", "voxloom", State.ok, own), *wrong, tested_finding(version_of)]


def needs() -> list[Requirement]:
    """What Voxloom declares that it needs, on this system; extras' too."""
    texts = metadata.requires("voxloom") or []
    return [Requirement(text) for text in texts]


def need_extra(need: Requirement) -> str | None:
    """The extra that a requirement belongs to."""
    found = re.search(r"extra\s*==\s*[\"']([\w-]+)[\"']", str(need.marker or ""))
    return found[1] if found else None


def need_finding(need: Requirement, version_of: VersionOf) -> Finding | None:
    """What is wrong with a package that is needed; None where nothing is."""
    if need.marker is not None and not need.marker.evaluate({"extra": need_extra(need) or ""}):
        return None
    version = version_of(need.name)
    fix = f"pip install '{need.name}{need.specifier}'"
    if version is None:
        return Finding("packages", need.name, State.fault, "is not installed", fix)
    if not need.specifier.contains(version, prereleases=True):
        return Finding("packages", need.name, State.fault, f"{version} is not {need.specifier}", fix)
    return None


def tested_finding(version_of: VersionOf) -> Finding:
    """Which of the packages that matter have other versions than those tested together."""
    found = {name: version_of(name) for name in KNOWN_GOOD}
    other = [
        f"{name} {version} (tested {KNOWN_GOOD[name]})"
        for name, version in found.items()
        if version is not None and version.split("+")[0] != KNOWN_GOOD[name]
    ]
    if not other:
        return Finding("packages", "versions", State.ok, f"{len(KNOWN_GOOD)} that matter are those tested together")
    fix = "Nothing to do while all works; otherwise install the tested version"
    return Finding("packages", "versions", State.note, "other than those tested together: " + ", ".join(other), fix)


#: Module -> package, where the names differ.
_PACKAGES = {
    "yaml": "pyyaml", "PIL": "pillow", "sklearn": "scikit-learn", "cc3d": "connected-components-3d", "gdcm": "python-gdcm",
    "openjpeg": "pylibjpeg-openjpeg",
}  # fmt: skip


def cure_of(module: str) -> str:
    """What to install for a module that cannot be imported; "" for one that Voxloom does not name."""
    top = module.partition(".")[0]
    name = canonicalize_name(_PACKAGES.get(top, top))
    try:
        found = [
            need for need in needs() if canonicalize_name(need.name) == name and need_extra(need) not in ("dev", "docs")
        ]
    except metadata.PackageNotFoundError:
        return ""
    if not found:
        return ""
    extras = [extra for need in found if (extra := need_extra(need)) is not None]
    needed = len(extras) < len(found)
    package = f"'{found[0].name}{found[0].specifier}'" if needed else f"'voxloom[{extras[0]}]'"
    return f"{found[0].name} is not installed. Install it with: pip install {package}; voxloom doctor says what else is missing"


def extra_findings(version_of: VersionOf = installed_version) -> list[Finding]:
    """Whether each optional part is installed, and the extra that brings it."""
    return [extra_finding(name, list(_needs_of(name)), version_of) for name in EXTRAS]


def _needs_of(extra: str) -> Iterator[Requirement]:
    try:
        yield from (need for need in needs() if need_extra(need) == extra)
    except metadata.PackageNotFoundError:
        return


def extra_finding(name: str, parts: list[Requirement], version_of: VersionOf) -> Finding:
    """Whether all parts of one extra are there."""
    wrong = [need.name for need in parts if need_finding(need, version_of) is not None]
    if not parts:
        return Finding(
            "extras",
            name,
            State.note,
            f"{EXTRAS[name]}: the installed Voxloom has no such extra",
            "Install Voxloom again",
        )
    if not wrong:
        return Finding("extras", name, State.ok, f"{EXTRAS[name]}: installed")
    fix = f"Where you need it: pip install 'voxloom[{name}]'"
    return Finding("extras", name, State.note, f"{EXTRAS[name]}: lacks {', '.join(wrong)}", fix)
