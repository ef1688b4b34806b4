"""What a series is, told from its header: the rules for weighting, contrast, body part, localizer, vendor.

Every rule is a line of a table: the name it gives, and the condition in SQL or the pattern that its text must match.
The tables become one SQL expression each; the first line that fits wins. Texts are compared in lower case with single
spaces for everything but letters, digits, ``*`` and ``+``. Does not know how series are put together.
"""

from __future__ import annotations

from collections.abc import Iterable

from voxloom.archive.database import quoted

#: Kind of image by the words of the series description; maps and special techniques first.
WEIGHTING_WORDS = (
    ("ADC", r"(^| )adc|apparent diff|dadc"),
    ("FA", r"(^| )fa( |$| map)|colfa|fractional aniso"),
    ("field map", r"field ?map|fieldmap|b0 ?map"),
    ("SWI", r"(^| )(swi|swan|venobold)|suscept"),
    ("angiography", r"(^| )(tof|mra|angio|pca)|time of flight"),
    ("perfusion", r"perf(usion)?( |$)|(^| )(dsc|dce|pwi|asl|rcbv|rcbf|cbv|cbf|mtt|ttp)( |$)"),
    ("BOLD", r"(^| )(bold|fmri|epfid|resting)"),
    ("DWI", r"(^| )(dwi|dti|diff|dw)( |$)|diffusion|(^| )trace|(^| )b ?[0-9]{2,4}( |$)|resolve|ep2d diff"),
    ("T1", r"(^| )t1w? .*flair|t1 ?flair"),
    ("FLAIR", r"flair|dark ?fluid"),
    ("STIR", r"(^| )(stir|tirm)"),
    ("T2*", r"t2 ?(\*|star)|(^| )(gre|ge|hemo|medic|merge) .*t2|t2 .*(hemo|gre|fl2d)"),
    ("T1", r"(^|[^a-z0-9])t1($|[^0-9])|mp ?2?rage|(^| )(f?spgr|bravo|vibe|lava|thrive)"),
    ("T2", r"(^|[^a-z0-9])t2($|[^0-9])|haste|ssfse"),
    ("PD", r"(^| )pdw?( |$)|proton ?dens"),
)  # fmt: skip
_INVERTED = "(ScanningSequence LIKE '%IR%' AND coalesce(InversionTime, 0) > 0)"
_GRADIENT = "(ScanningSequence LIKE '%GR%')"
_PLANAR = "(ScanningSequence LIKE '%EP%')"
#: Weighting by the times of the sequence (ms, degrees), as spin-echo and gradient-echo physics gives it.
WEIGHTING_TIMES = (
    ("FLAIR", "InversionTime BETWEEN 1500 AND 3500 AND EchoTime >= 60"),
    ("STIR", f"{_INVERTED} AND InversionTime BETWEEN 80 AND 300 AND NOT {_GRADIENT} AND RepetitionTime >= 1500"),
    ("T1", f"{_INVERTED} AND InversionTime BETWEEN 400 AND 1400 AND EchoTime < 40"),
    ("T2*", f"{_PLANAR} AND ({_GRADIENT} OR SequenceName LIKE '%epfid%')"),
    ("T2*", f"{_GRADIENT} AND EchoTime >= 12"),
    ("T1", f"{_GRADIENT} AND EchoTime < 12 AND RepetitionTime < 1000 AND coalesce(FlipAngle, 90) >= 8"),
    ("T1", f"NOT {_GRADIENT} AND NOT {_PLANAR} AND RepetitionTime <= 1200 AND EchoTime < 35"),
    ("T2", f"NOT {_GRADIENT} AND NOT {_PLANAR} AND RepetitionTime >= 1500 AND EchoTime >= 60"),
    ("PD", f"NOT {_GRADIENT} AND NOT {_PLANAR} AND RepetitionTime >= 1500 AND EchoTime < 50"),
)  # fmt: skip
#: Times that a kind in words cannot have, whatever the sequence is called.
WORDS_REFUTED = (
    ("T1", "EchoTime >= 50 OR (EchoTime >= 25 AND RepetitionTime >= 2500)"),
    ("T2", "EchoTime < 40 AND RepetitionTime < 1500 AND coalesce(ScanningSequence, '') NOT LIKE '%GR%'"),
    ("PD", "EchoTime >= 80"),
    ("FLAIR", "EchoTime < 40 AND coalesce(InversionTime, 0) < 1500"),
)  # fmt: skip
CONTRAST_YES = (
    r"(^|[^a-z])(gad|gado|gd|ce|km)($|[^a-z])|(^|[^a-z])post|contrast|gadolin|dotarem"
    r"|(^| )(\+ ?c|c ?\+|mit km)( |$)"
)
CONTRAST_NO = (
    r"(^|[^a-z])(pre|nativ|native|plain|noncontrast|unenhanced|nonenhanced)|non ?contrast|without"
    r"|(^| )(w o|wo|ohne) (contrast|gd|gad|km|ce)( |$)"
)
LOCALIZER_WORDS = (
    r"(^|[^a-z])(loc|locali[sz]er|lokalizer|lokalisator|scout|survey|surview|topo|topogram|scanogram|scano|plan scan)"
    r"($|[^a-z])|3 ?plane|aahead"
)
DERIVED_TYPES = r"\\(MPR|MIP|MNIP|PROJECTION IMAGE|REFORMATTED|RESAMPLED|SUBTRACTION|SUB|MEAN|RADIAL|CSA)"
#: Part of the body by the words of the header or the descriptions.
BODY_PARTS = (
    ("cervical spine", r"c ?spine|cerv|(^| )(hws|cwk|cwz)( |$)"),
    ("thoracic spine", r"t ?spine( |$)|thora[ck][a-z]* (spine|wervel)|(^| )(bws|twk)( |$)|tspine"),
    ("lumbar spine", r"l ?spine|lumb|(^| )(lws|lwk|lwz)( |$)"),
    ("spine", r"spine|wirbel|wervel|vertebr"),
    ("brain", r"brain|hirn|hersen|cerebr|neuro|hippo"),
    ("head", r"head|kopf|hoofd|skull|schaed|crani|orbit|sinus"),
    ("neck", r"neck|hals|larynx|carotid"),
    ("breast", r"breast|mamm"),
    ("heart", r"heart|card|herz|hart"),
    ("prostate", r"prost"),
    ("pelvis", r"pelvi|becken|bekken|cervix|uterus|rect"),
    ("liver", r"liver|leber|lever|hepat|mrcp"),
    ("kidney", r"kidney|nier|renal"),
    ("abdomen", r"abd|bauch"),
    ("chest", r"chest|thora|lung"),
    ("knee", r"knee|knie"),
    ("hip", r"(^| )(hip|huefte|heup)"),
    ("shoulder", r"should|schulter|schouder"),
    ("ankle", r"ankle|foot|fuss|voet|enkel"),
    ("wrist", r"wrist|hand( |$)|pols"),
    ("whole body", r"whole ?body|wholebody"),
)  # fmt: skip
VENDORS = (
    ("Siemens", "siemens"),
    ("GE", r"(^| )ge( |$)|general electric"),
    ("Philips", "philips"),
    ("Canon", "canon|toshiba"),
    ("Fujifilm", "fuji|hitachi"),
    ("United Imaging", "united imaging|^uih"),
)
#: Modalities and object classes that often carry names in their pixels.
BURNED_IN_SUSPECTS = ("US", "ES", "SC", "OT", "XC", "DOC", "GM", "SM", "SR", "OP", "IVUS", "XA", "RF")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def plain_words(*columns: str) -> str:
    """SQL: the texts in lower case, words divided by single spaces."""
    joined = f"concat_ws(' ', {', '.join(columns)})"
    return f"lower(trim(regexp_replace({joined}, '[^a-zA-Z0-9*+]+', ' ', 'g')))"


def by_words(text: str, table: Iterable[tuple[str, str]]) -> str:
    """SQL: the name of the first line whose pattern is found in ``text``, else NULL."""
    lines = " ".join(f"WHEN regexp_matches({text}, {quoted(pattern)}) THEN {quoted(name)}" for name, pattern in table)
    return f"CASE {lines} END"


def by_condition(table: Iterable[tuple[str, str]]) -> str:
    """SQL: the name of the first line whose condition holds, else NULL."""
    return "CASE " + " ".join(f"WHEN {condition} THEN {quoted(name)}" for name, condition in table) + " END"


def matches(text: str, pattern: str) -> str:
    """SQL: whether the pattern is found."""
    return f"regexp_matches({text}, {quoted(pattern)})"
