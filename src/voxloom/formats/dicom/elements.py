"""How header elements are written, as the standard names it (DICOM PS3.5 chapter 7). Knows no file."""

#: Value representations with two bytes of length, and with four.
SHORT_VRS = (
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US",
)  # fmt: skip
LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
#: Tags of items of sequences, and of their ends.
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: The length of what ends with a delimiter.
UNDEFINED = 0xFFFFFFFF
