"""All that is looked at, in one report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxloom.run.listener import SILENT, Listener
from voxloom.verbs.doctor.arithmetic import arithmetic_findings
from voxloom.verbs.doctor.finding import Finding, State
from voxloom.verbs.doctor.machine import machine_findings
from voxloom.verbs.doctor.packages import extra_findings, package_findings
from voxloom.verbs.doctor.places import place_findings


@dataclass(frozen=True)
class Report:
    """What was found, in the order of looking."""

    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What stands in the way of work."""
        return tuple(found for found in self.findings if found.state is State.fault)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"ready": not self.faults, "findings": [asdict(found) for found in self.findings]}


def examine(folder: Path = Path("."), listener: Listener = SILENT) -> Report:
    """Look at machine, folders, packages, optional parts and arithmetic; raises nothing for what is wrong with them.

    Parameters
    ----------
    folder : where runs and caches are to go.
    """
    found = [*machine_findings(), *place_findings(folder.absolute()), *package_findings(), *extra_findings()]
    listener.stage("Trying a training step in every precision ...")
    return Report((*found, *arithmetic_findings()))
