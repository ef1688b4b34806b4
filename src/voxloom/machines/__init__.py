"""Many machines: a Ray cluster that does what this machine would do alone, with the same results.

Data sets, runs and the folder of the command must lie on a disk that all machines share. See ``docs/cluster.md``.
"""

from voxloom.machines.cluster import Cluster
from voxloom.machines.working import working_on

__all__ = ["Cluster", "working_on"]
