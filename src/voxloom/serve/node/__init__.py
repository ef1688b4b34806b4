"""A DICOM node: series come by C-STORE, rules say which run sees them, and the results go on to a peer.

The way of a series: ``listener`` (the Storage SCP) hands every instance to ``store``, which keeps it on disk before success is
answered; ``node`` closes a series when nothing came for a stable age and ``routing`` says what is done with it; ``predicting``
makes the results and ``sending`` brings them away. ``state`` is what a series' own file says of it, and the only truth after a
crash. ``audit`` and ``metrics`` tell people and machines, without names of patients.
"""

from voxloom.serve.node.node import Node
from voxloom.serve.node.settings import NodeSettings, load_settings

__all__ = ["Node", "NodeSettings", "load_settings"]
