"""Trials on the machines of a Ray cluster.

Knows Ray. The sweep's folder must lie on a disk that all machines share. A trial whose worker or machine dies is begun again
elsewhere and goes on from its last saved state.
"""

from __future__ import annotations

from typing import Any

from voxloom.errors import MissingExtra, VoxloomError
from voxloom.sweep.trial import Job, run_trial

#: How often a trial is begun again after its worker died.
RETRIES = 3


class RayWorkers:
    """Workers of a Ray cluster.

    Parameters
    ----------
    address : "ray" for a cluster on this machine alone (or the one that is running already), else "host:port" or "ray://host:port".
    cpus, gpus : what one trial needs.

    Raises
    ------
    MissingExtra : Ray is not installed.
    VoxloomError : the cluster cannot be reached, or no machine of it has what one trial needs.
    """

    def __init__(self, address: str = "ray", *, cpus: float = 1, gpus: float = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("Ray", "ray") from error
        self.ray: Any = ray
        self.ours = not ray.is_initialized()
        if self.ours:
            self._connect(address)
        self.cpus, self.gpus = cpus, gpus
        self.task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(run_trial)
        self.busy: dict[Any, Job] = {}
        if self._room() < 1:
            self.close()
            raise VoxloomError(f"no machine of the cluster has {cpus:g} CPUs and {gpus:g} GPUs for a trial")

    def _connect(self, address: str) -> None:
        where = None if address == "ray" else address
        try:
            self.ray.init(address=where, log_to_driver=False, include_dashboard=False if where is None else None)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise VoxloomError(f"no Ray cluster answers at {address}: {str(error).splitlines()[0]}") from error

    def _room(self) -> int:
        """Trials that fit into the machines that are alive."""
        room = 0
        for node in self.ray.nodes():
            has = node["Resources"] if node["Alive"] else {}
            fits = [has.get("CPU", 0) // self.cpus] if self.cpus else []
            fits += [has.get("GPU", 0) // self.gpus] if self.gpus else []
            room += int(min(fits, default=0))
        return room

    def free(self) -> bool:
        """Whether the cluster has room for another trial; one may always wait for a machine to come back."""
        return len(self.busy) < max(1, self._room())

    def submit(self, job: Job) -> None:
        """Hand the trial to the cluster."""
        self.busy[self.task.remote(job)] = job

    def wait(self) -> list[tuple[Job, str | None]]:
        """See ``Workers``."""
        done, _ = self.ray.wait(list(self.busy), num_returns=1)
        ended: list[tuple[Job, str | None]] = []
        for reference in done:
            job = self.busy.pop(reference)
            try:
                self.ray.get(reference)
                ended.append((job, None))
            except self.ray.exceptions.RayTaskError as error:
                ended.append((job, str(error.cause)))
            except self.ray.exceptions.RayError as error:
                ended.append((job, f"its worker died {RETRIES + 1} times: {str(error).splitlines()[0]}"))
        return ended

    def close(self) -> None:
        """Cancel what is under way (it is saved) and leave the cluster."""
        for reference in self.busy:
            self.ray.cancel(reference)
        if self.ours:
            self.ray.shutdown()
