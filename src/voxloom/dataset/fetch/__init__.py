"""Public data sets by name: licence shown, downloaded, checked, unpacked safely and made ready for Dataset."""

from voxloom.dataset.fetch.obtain import LicenceNotAccepted, get
from voxloom.dataset.fetch.registry import PUBLIC_SETS, PublicSet, Remote, find_set

__all__ = ["PUBLIC_SETS", "LicenceNotAccepted", "PublicSet", "Remote", "find_set", "get"]
