"""The processes that train one network together (data parallel): which one this is, and how they wait for each other.

Knows what ``torchrun`` and SLURM's ``srun`` tell their processes. Alone, every function does nothing. The first process (rank 0) does
all that a single one would, and alone writes; the others train beside it.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from voxloom.errors import BadInput, VoxloomError

#: A process may wait so long for another one: the first one validates and prepares alone.
LONGEST_WAIT = timedelta(days=2)
#: Where SLURM's processes meet, if nothing else is said.
_PORT = 29500


@dataclass(frozen=True)
class Ranks:
    """One process among those that train together.

    Parameters
    ----------
    rank, size : number of this process, from 0 on, and how many there are.
    local_rank, local_size : the same among those of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def nodes(self) -> int:
        """Machines."""
        return math.ceil(self.size / self.local_size)


def told_by(environment: Mapping[str, str]) -> Ranks:
    """What torchrun (RANK, WORLD_SIZE, ...) or srun (SLURM_PROCID, SLURM_STEP_NUM_TASKS, ...) tells a process.

    Raises
    ------
    BadInput : the numbers contradict each other, or machines have different numbers of processes.
    """
    e = environment
    try:
        if "TORCHELASTIC_RUN_ID" in e:
            found = Ranks(*(int(e[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
        elif int(e.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
            size, nodes = int(e["SLURM_STEP_NUM_TASKS"]), int(e.get("SLURM_STEP_NUM_NODES", 1))
            if size % nodes:
                fix = "Start as many on every machine: srun --ntasks-per-node N"
                raise BadInput(f"{size} processes do not spread evenly over {nodes} machines", "SLURM", fix)
            found = Ranks(int(e["SLURM_PROCID"]), size, int(e["SLURM_LOCALID"]), size // nodes)
        else:
            return Ranks()
    except (KeyError, ValueError) as error:
        raise BadInput(f"what started this process does not say which one it is ({error})", "environment") from error
    if not 0 <= found.rank < found.size:
        raise BadInput(f"process {found.rank} of {found.size} cannot be", "environment", "Start it with torchrun")
    return found


@cache
def ranks() -> Ranks:
    """This process among its like; alone in most cases."""
    return told_by(os.environ)


def first() -> bool:
    """Whether this process writes the files: the only one, or the first."""
    return ranks().rank == 0


def meet() -> None:
    """Find the other processes; nothing where there is none, or where they have met."""
    import torch
    from torch import distributed

    here = ranks()
    if here.size == 1 or distributed.is_initialized():
        return
    if "MASTER_ADDR" not in os.environ:
        _meet_on_slurm()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, rank=here.rank, world_size=here.size, timeout=LONGEST_WAIT)


def _meet_on_slurm() -> None:
    """The first machine of the step is where SLURM's processes meet."""
    listed = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")
    first_node = listed
    if "[" in listed or "," in listed:
        found = subprocess.run(["scontrol", "show", "hostnames", listed], capture_output=True, text=True, check=True)
        first_node = found.stdout.split()[0]
    job = int(os.environ.get("SLURM_JOB_ID", 0))
    os.environ.update(MASTER_ADDR=first_node, MASTER_PORT=os.environ.get("MASTER_PORT", str(_PORT + job % 1000)))


def wait() -> None:
    """Go on when all processes have come here.

    Raises
    ------
    VoxloomError : another process has ended.
    """
    if ranks().size > 1:
        import torch
        from torch import distributed

        try:
            distributed.all_reduce(torch.zeros(1))
        except RuntimeError as error:
            raise VoxloomError(LOST) from error


#: What a process says when another one is gone.
LOST = "another process of this training has ended; the run was saved within the last minute: go on with --resume"


def part() -> None:
    """Let go of the other processes."""
    if ranks().size > 1:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


_in_step = [False]


@contextlib.contextmanager
def in_step(together: bool) -> Iterator[None]:
    """While the block runs, all processes compute the same step, or (``together`` is false) this one computes alone."""
    before, _in_step[0] = _in_step[0], together
    try:
        yield
    finally:
        _in_step[0] = before


def are_in_step() -> bool:
    """Whether several processes compute the same step now, so that they may exchange numbers."""
    return ranks().size > 1 and _in_step[0]
