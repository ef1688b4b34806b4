"""What a task can do beyond training, predicting and evaluating, and the one line that refuses the rest.

Every verb that not all tasks have asks here before any work.
"""

from __future__ import annotations

from voxloom.errors import BadInput
from voxloom.run.run import Run
from voxloom.tasks.task import task_of

#: Ability -> what is said where a task lacks it.
ABILITIES = {
    "calibrate": "say what its predictions are likely worth",
    "ensemble": "join an ensemble",
    "export": "be exported as a MONAI bundle",
    "compare": "be compared",
    "pseudo": "give pseudo-labels",
    "rank": "rank scans",
    "review": "be reviewed by Dice",
    "show": "show label contours",
    "show inside": "show what its network computes",
    "show slices": "show its figures slice by slice",
    "stress": "be stressed",
    "tta": "average over changed views (--tta, inference.mirror)",
    "uncertainty": "measure its uncertainty",
}
#: Abilities of a task that has them all.
ALL = frozenset(ABILITIES)


def need(run: Run, ability: str) -> None:
    """Refuse a run whose task cannot do something (BadInput, one line)."""
    task = task_of(run)
    if ability not in task.abilities:
        can = ", ".join(sorted(task.abilities)) or "nothing more"
        fix = f"Beyond train, predict, evaluate, report and sweep it can: {can}. See docs/tasks.md"
        raise BadInput(f"a {task.name} run cannot {ABILITIES[ability]} yet", run.folder, fix)
