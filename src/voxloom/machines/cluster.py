"""A Ray cluster: found or started, what its machines have, and left again. Knows Ray; knows no work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voxloom.cpu import usable_cores
from voxloom.crew import Needs
from voxloom.errors import BadInput, MissingExtra, VoxloomError

#: Workers' prints and Ray's greetings stay off the user's screen.
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Parameters
    ----------
    ray : the module.
    ours : whether this process made the connection, and ends it.
    """

    ray: Any
    ours: bool

    @classmethod
    def connect(cls, address: str | None = None) -> Cluster:
        """Join a cluster.

        Parameters
        ----------
        address : ``host:port``, or ``ray://host:port`` of a client server. None takes the one that runs on this machine, else
            starts one with the cores that this process may use.

        Raises
        ------
        MissingExtra : Ray is not installed.
        VoxloomError : the cluster does not answer.
        """
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("Ray", "ray") from error
        if ray.is_initialized():
            return cls(ray, False)
        try:
            if address is None:
                _join_or_start(ray)
            else:
                ray.init(address=address, **_QUIET)
        except (ConnectionError, RuntimeError, ValueError) as error:
            told = str(error).splitlines()[0]
            raise VoxloomError(f"no Ray cluster answers at {address or 'this machine'}: {told}") from error
        return cls(ray, True)

    def room(self, needs: Needs) -> int:
        """How many pieces of work fit at once into the machines that are alive."""
        room = 0
        for node in self.ray.nodes():
            has = node["Resources"] if node["Alive"] else {}
            fits = [has.get("CPU", 0) // needs.cpus] if needs.cpus else []
            fits += [has.get("GPU", 0) // needs.gpus] if needs.gpus else []
            room += int(min(fits, default=0))
        return room

    def refuse_lack(self, needs: Needs, work: str) -> None:
        """Refuse work that fits into no machine (VoxloomError)."""
        if self.room(needs) < 1:
            raise VoxloomError(f"no machine of the cluster has {needs.cpus:g} CPUs and {needs.gpus:g} GPUs for {work}")

    def fitting(self, needs: Needs) -> Needs:
        """The same needs, with no more CPUs than the largest machine has: threads may share cores."""
        largest = max((node["Resources"].get("CPU", 0) for node in self.ray.nodes() if node["Alive"]), default=0)
        return Needs(min(needs.cpus, largest or needs.cpus), needs.gpus, needs.threads)

    def leave(self) -> None:
        """End the connection, and a cluster that was started for it."""
        if self.ours:
            self.ray.shutdown()


def _join_or_start(ray: Any) -> None:
    try:
        ray.init(address="auto", **_QUIET)
    except ConnectionError:
        ray.init(address="local", num_cpus=usable_cores(), include_dashboard=False, **_QUIET)


def address_of(on: str) -> str | None:
    """The address that ``--on`` names; None for "ray" alone (BadInput for what is no place to work on)."""
    if on == "ray":
        return None
    if on.startswith("ray://"):
        return on
    kind, _, address = on.partition(":")
    if kind != "ray" or not address:
        raise BadInput(f"--on {on} is not known", None, "Choose local, ray or ray:HOST:PORT")
    return address
