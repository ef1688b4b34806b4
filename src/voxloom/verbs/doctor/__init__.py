"""What this machine can do for Voxloom, and what stands in the way: one module per thing that is looked at."""

from voxloom.verbs.doctor.finding import Finding, State
from voxloom.verbs.doctor.report import Report, examine

__all__ = ["Finding", "Report", "State", "examine"]
