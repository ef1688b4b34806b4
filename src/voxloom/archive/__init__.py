"""Archives of DICOM files: indexed once by their headers, then asked and selected from.

The way of a file: ``walk_folders`` finds it, ``read`` and ``parse`` take its header apart, ``batch`` writes parts,
``index`` puts them together. ``views`` and ``meaning`` derive series, studies and patients; ``catalogue`` answers.
``names`` has the rule of the columns' names; ``old_names`` and ``sources`` know those of the version before.

The way of a selection: ``rules`` and ``conditions`` say what is wanted, ``choose`` finds it, ``convert`` makes each case
(``align``, ``identity``, ``deidentify``), ``flow`` reports, ``select`` writes the data set.
"""

from voxloom.archive.catalogue import Archive, Counts
from voxloom.archive.index import IndexResult, index_archive
from voxloom.archive.old_names import use_old_names
from voxloom.archive.rules import SelectRules, load_rules
from voxloom.archive.select import Selection, SelectOptions, select

__all__ = [
    "Archive",
    "Counts",
    "IndexResult",
    "SelectOptions",
    "SelectRules",
    "Selection",
    "index_archive",
    "load_rules",
    "select",
    "use_old_names",
]
