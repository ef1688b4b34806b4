"""Archives of DICOM files: indexed once by their headers, then asked and selected from.

The way of a file: ``walk_folders`` finds it, ``read`` and ``parse`` take its header apart, ``batch`` writes parts,
``index`` puts them together. ``views`` and ``meaning`` derive series, studies and patients; ``catalogue`` answers.
"""

from voxloom.archive.catalogue import Archive, Counts
from voxloom.archive.index import IndexResult, index_archive

__all__ = ["Archive", "Counts", "IndexResult", "index_archive"]
