"""Cases that are served, and everything that is made of them: uploads, predictions, versions of drawings. See :class:`Store`."""

from voxloom.serve.store.store import CaseInfo, Prediction, Store
from voxloom.serve.store.uploads import Limits, Sent
from voxloom.serve.store.versions import Version

__all__ = ["CaseInfo", "Limits", "Prediction", "Sent", "Store", "Version"]
