"""Trials on the machines of a Ray cluster.

The sweep's folder must lie on a disk that all machines share. A trial whose worker or machine dies is begun again elsewhere and goes
on from its last saved state.
"""

from __future__ import annotations

from typing import Any

from voxloom.crew import Needs
from voxloom.errors import VoxloomError
from voxloom.machines.cluster import Cluster
from voxloom.machines.crew import RETRIES, taken
from voxloom.machines.packing import carry_out, pack
from voxloom.own import note_modules
from voxloom.sweep.trial import Job, run_trial
from voxloom.yamltext import read_yaml


class RayWorkers:
    """Workers of a Ray cluster.

    Parameters
    ----------
    address : None for the cluster of this machine, which is started where none runs, else "host:port" or "ray://host:port".
    cpus, gpus : what one trial needs.

    Raises
    ------
    MissingExtra : Ray is not installed.
    VoxloomError : the cluster cannot be reached, or no machine of it has what one trial needs.
    """

    def __init__(self, address: str | None = None, *, cpus: float = 1, gpus: float = 0) -> None:
        self.cluster, self.needs = Cluster.connect(address), Needs(cpus, gpus)
        self.ray = self.cluster.ray
        try:
            self.cluster.refuse_lack(self.needs, "a trial")
        except BaseException:
            self.cluster.leave()
            raise
        self.task = self.ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(carry_out)
        self.busy: dict[Any, Job] = {}

    def free(self) -> bool:
        """Whether the cluster has room for another trial; one may always wait for a machine to come back."""
        return len(self.busy) < max(1, self.cluster.room(self.needs))

    def submit(self, job: Job) -> None:
        """Hand the trial to the cluster, with the modules of one's own that its recipe names."""
        note_modules([read_yaml(job.recipe, "the sweep's recipe"), dict(job.changes)])
        package = pack(self.ray, run_trial, self.needs)
        self.busy[self.task.remote(package, [self.ray.put(job)])] = job

    def wait(self) -> list[tuple[Job, str | None]]:
        """See ``Workers``."""
        done, _ = self.ray.wait(list(self.busy), num_returns=1)
        ended: list[tuple[Job, str | None]] = []
        for reference in done:
            job = self.busy.pop(reference)
            outcome = taken(self.ray, reference).outcome(f"trial {job.number}", "training")
            ended.append((job, str(outcome) if isinstance(outcome, VoxloomError) else None))
        return ended

    def close(self) -> None:
        """Cancel what is under way (it is saved) and leave the cluster."""
        for reference in self.busy:
            self.ray.cancel(reference)
        self.cluster.leave()
