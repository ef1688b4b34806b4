"""The methods paragraph: plain English, every number from the run's files; what is not known is not said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from voxloom.dataset.patients import alike_ids
from voxloom.evaluation.units import PIXEL, common, distance_unit, unit_of
from voxloom.prepare.windows import HU_WINDOWS, PERCENTILE_WINDOWS
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.words import (
    LOSSES,
    NORMALIZATIONS,
    OPTIMIZERS,
    SCHEDULES,
    augmentations,
    counted,
    listed,
    mendings,
    named,
    shown,
    size,
)


def methods_text(facts: RunFacts) -> str:
    """Paragraphs on data, preparation, model, training, inference, evaluation and results, parted by empty lines."""
    parts = (data, preparation, network, training, inference, evaluation, results, software)
    paragraphs = (" ".join(sentence for sentence in part(facts) if sentence) for part in parts)
    return "\n\n".join(text for text in paragraphs if text)


def data(facts: RunFacts) -> Iterator[str]:
    """Cases, channels, structures, voxel size, folds."""
    if not facts.cases:
        return
    channels, labels = facts.dataset.get("channels", []), facts.labels
    yield (
        f"The data set {facts.dataset.get('name', '')} gave {patients_phrase(facts)} "
        f"with {counted(len(channels), 'image channel')} ({listed(channels)}); {listed(labels)} "
        f"{'was' if len(labels) == 1 else 'were'} labelled."
    )
    found = facts.fingerprint
    if found.get("unit") == PIXEL:
        yield (
            f"The images have no voxel size; the median image had {size(found['median_shape'][:2], 'pixels')}, and distances are "
            "in pixels."
        )
    elif found.get("median_spacing"):
        yield (
            f"The median voxel was {size([round(v, 3) for v in found['median_spacing']], 'mm')} and the median volume "
            f"{size(found['median_shape'], 'voxels')} (left-right, front-back, feet-head)."
        )
    if facts.excluded:
        yield f"{counted(len(facts.excluded), 'case was', 'cases were')} excluded beforehand ({listed(facts.excluded)})."
    yield partition_sentence(facts)
    yield from added_sentences(facts)
    for name, figures in facts.external.items():
        yield f"The external data set {name} ({counted(figures['cases'], 'case')}) was kept apart from planning and training."


def added_sentences(facts: RunFacts) -> Iterator[str]:
    """Cases of further data sets, and pseudo-labels."""
    pseudo = [case for case in facts.cases if case.get("pseudo")]
    if pseudo:
        yield f"{counted(len(pseudo), 'case')} with pseudo-labels of an earlier model trained in every fold and never validated."
    sets = Counter(case["origin"] for case in facts.cases if case.get("origin") and not case.get("pseudo"))
    if len(sets) > 1:
        yield f"The labelled cases came from {listed(f'{name} ({count})' for name, count in sets.items())}."
    always = [case for case in facts.cases if case["fold"] is None and not case.get("pseudo")]
    if always and len(always) < len(facts.cases) and len({case["fold"] for case in facts.cases}) > 2:
        yield f"{counted(len(always), 'labelled case')} trained in every fold; the others were divided."


def patients_phrase(facts: RunFacts) -> str:
    """``200 cases of 180 patients``; where the data set names no patients, that every case is taken as one."""
    cases = facts.cases
    if not facts.names_patients:
        doubt = alike_ids([case["id"] for case in cases])
        told = next(iter(doubt.values()), [])
        more = f", though {told[0]} and {told[1]} may be of one person" if told else ""
        return f"{counted(len(cases), 'case')} (no patients are named, so every case is taken as a patient of its own{more})"
    return f"{counted(len(cases), 'case')} of {counted(len(facts.patients(cases)), 'patient')}"


def partition_sentence(facts: RunFacts) -> str:
    """How cases were divided, and whether a patient is in two parts, as far as patients are named."""
    folds = sorted({case["fold"] for case in facts.cases if case["fold"] is not None})
    held = [case for case in facts.cases if case["fold"] is not None]
    if len(folds) > 1:
        sizes = [sum(case["fold"] == n for case in facts.cases) for n in folds]
        return (
            f"{'Patients' if facts.names_patients else 'Cases'} were divided into {len(folds)} folds for cross-validation "
            f"({', '.join(map(str, sizes))} cases); {patients_apart(facts)}."
        )
    if held:
        training = len(facts.cases) - len(held)
        of = f" of {counted(len(facts.patients(held)), 'patient')}" if facts.names_patients else ""
        return (
            f"{counted(len(held), 'case')} ({100 * len(held) / len(facts.cases):.0f} %){of} were held out for internal testing, "
            f"{training} were used for training; {patients_apart(facts)}."
        )
    return "All cases were used for training; none was held out."


def patients_apart(facts: RunFacts) -> str:
    """Whether a patient is in both parts of a split: what was checked, by the names that the data set gives."""
    if not facts.names_patients:
        return "no patients are named, so it could not be checked whether two cases are of one patient"
    both = facts.divided_patients
    if both:
        return f"{counted(len(both), 'patient')} had cases in both parts of a split ({listed(both[:4])})"
    return "by the patients' names in the data set, no patient was in both parts of a split"


def drawn_units(facts: RunFacts) -> str:
    """What intervals take as independent."""
    return "patients" if facts.names_patients else "cases (no patients are named)"


def preparation(facts: RunFacts) -> Iterator[str]:
    """Orientation, resampling, cropping, normalization."""
    p = facts.recipe.get("prepare") or {}
    if not p:
        return
    steps = []
    if p.get("orientation"):
        steps.append(f"reoriented to {p['orientation']} without interpolation")
    if p.get("resize_to"):
        steps.append(f"resized to {size(p['resize_to'], 'voxels')}")
    if any(p.get("spacing") or ()):
        order = {"linear": "linear interpolation", "cubic": "cubic B-splines"}.get(
            p.get("image_order", ""), "interpolation"
        )
        mm = "times a pixel" if facts.fingerprint.get("unit") == PIXEL else "mm"
        steps.append(f"resampled to {size(p['spacing'], mm)} with {order}")
    if p.get("crop") not in (None, "none"):
        steps.append(f"cropped to the {p['crop']} region")
    if p.get("pad_to"):
        steps.append(f"padded to at least {size(p['pad_to'], 'voxels')}")
    if steps:
        yield f"Images were {listed(steps)}."
    if p.get("hu_window"):
        low, high = limits(p["hu_window"], HU_WINDOWS)
        yield f"Intensities were clipped to {low:g} to {high:g} HU."
    if p.get("percentile_clip"):
        low, high = limits(p["percentile_clip"], PERCENTILE_WINDOWS)
        yield f"Intensities were clipped to the percentiles {low:g} and {high:g} of each volume."
    kinds = p.get("normalize") or []
    kinds = [kinds] * len(facts.dataset.get("channels", ["image"])) if isinstance(kinds, str) else kinds
    if len(set(kinds)) == 1:
        yield f"Every channel was {named(NORMALIZATIONS, kinds[0])}."
    elif kinds:
        channels = facts.dataset.get("channels", [])
        pairs = [f"{c} was {named(NORMALIZATIONS, k)}" for c, k in zip(channels, kinds, strict=False)]
        yield f"{listed(pairs)}."


def limits(window: Any, known: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """Two limits, or those of a named window."""
    low, high = known[window] if isinstance(window, str) else window
    return (low, high)


def network(facts: RunFacts) -> Iterator[str]:
    """Architecture and number of parameters."""
    n = facts.recipe.get("network") or {}
    if not n.get("kind"):
        return
    kind = {"unet": "U-Net", "resunet": "residual U-Net"}.get(n["kind"], str(n["kind"]))
    text = f"The model was a {n['dims']}D {kind}" if n.get("dims") else f"The model was a {kind}"
    if n.get("features"):
        text += f" with {counted(len(n['features']), 'level')} of {listed(n['features'])} channels"
    if n.get("norm"):
        text += f", {n['norm']} normalization"
    if n.get("dropout"):
        text += f", dropout {n['dropout']:g}"
    if facts.parameters:
        text += f" and {facts.parameters:,} trained parameters"
    yield f"{text}."
    if (n.get("deep_supervision") or 1) > 1:
        yield f"Its {n['deep_supervision']} finest resolutions were supervised."


def training(facts: RunFacts) -> Iterator[str]:
    """Loss, optimizer, schedule, patches, augmentation, stopping."""
    t = facts.recipe.get("training") or {}
    if not t.get("loss"):
        return
    yield (
        f"It was trained with {loss_words(t['loss'])}, using {named(OPTIMIZERS, t['optimizer'])} (peak learning rate "
        f"{t['learning_rate']:g}, weight decay {t['weight_decay']:g}) and a {named(SCHEDULES, t['schedule'])} schedule."
    )
    outcomes = facts.summary.get("folds", {})
    steps = [o["steps"] for o in outcomes.values() if isinstance(o, dict) and o.get("steps")] or [t["steps"]]
    span = f"{min(steps):,}" if min(steps) == max(steps) else f"{min(steps):,} to {max(steps):,}"
    yield f"Each of {span} steps saw {counted(t['batch'], 'patch', 'patches')} of {size(t['patch'], 'voxels')}."
    if t.get("foreground"):
        yield f"{100 * t['foreground']:g} % of the patches were centred on a labelled voxel."
    told = augmentations(facts.recipe.get("augment") or {})
    yield f"Patches were augmented by {listed(told)}." if told else "No augmentation was used."
    if t.get("ema"):
        yield f"A moving average of the weights (decay {t['ema']:.4g}) was kept."
    yield selection_sentence(facts)
    yield f"The random seed was {facts.recipe.get('seed', 0)}."


def loss_words(loss: Any) -> str:
    """The loss by its name; further keys are in the recipe."""
    name = loss.get("kind", "") if isinstance(loss, dict) else loss
    return named(LOSSES, name)


def selection_sentence(facts: RunFacts) -> str:
    """Which weights were kept, and what that means for the figures on the held-out cases."""
    t = facts.recipe.get("training") or {}
    if not t.get("validations") or not any(case["fold"] is not None for case in facts.cases):
        return "The weights of the last step were kept."
    stop = f", stopping after {t['patience']} without a better one" if t.get("patience") else ""
    gain = f" when they were better by at least {t['least_gain']:g}" if t.get("least_gain") else ""
    return (
        f"Held-out cases were predicted {counted(t['validations'], 'time')} in the course of training{stop}, and the weights with "
        f"the best mean Dice were kept{gain}; figures on these cases are therefore slightly optimistic, those on a test set are not."
    )


def inference(facts: RunFacts) -> Iterator[str]:
    """Windows, mirroring, ensemble, post-processing."""
    i = facts.recipe.get("inference") or {}
    patch = (facts.recipe.get("training") or {}).get("patch")
    if patch and "overlap" in i:
        yield f"Volumes were predicted in windows of {size(patch, 'voxels')} that overlap by {100 * i['overlap']:g} %."
    if i.get("mirror"):
        yield f"Predictions were averaged over mirror images along {listed('ijk'[axis] for axis in i['mirror'])}."
    if len(facts.networks) > 1:
        yield f"On new scans the probabilities of the {len(facts.networks)} networks are averaged."
    largest = facts.summary.get("largest_component") or []
    if largest:
        yield f"Of {listed(largest)} only the largest connected component was kept."
    if mended := mendings(facts.summary.get("postprocess") or []):
        yield f"Then {listed(mended)}."
    if i.get("instances"):
        yield "Single structures were told apart by their connections, cut where these are narrow, and numbered from head to feet."


def evaluation(facts: RunFacts) -> Iterator[str]:
    """Metrics and intervals."""
    if not any("dice" in summary for _, summary, _ in facts.figures):
        return
    unit = common(unit_of(summary) for _, summary, _ in facts.figures if "dice" in summary)
    yield (
        "Overlap was measured by Dice, the distance of surfaces by the 95th percentile of the Hausdorff distance and the average "
        f"symmetric surface distance in {distance_unit(unit)}. Intervals are 95 % intervals of the mean over "
        f"{drawn_units(facts)}. A missed structure counts as Dice 0 and an infinite distance; no case was left out."
    )


def results(facts: RunFacts) -> Iterator[str]:
    """Figures of the held-out cases, of the external sets and of the test set."""
    for kind, summary, _ in facts.figures:
        if "dice" not in summary:
            continue
        where = f"{summary['cases']} {kind} cases" + (f" of {summary['name']}" if summary.get("name") else "")
        parts = [f"{shown(f)} for {label}" for label, f in summary["dice"].items() if label != "mean"]
        yield f"On {where}, mean Dice was {listed(parts)}{surface_words(summary)}."
        if single := summary.get("structures"):
            yield structure_words(single)


def structure_words(figures: dict[str, Any]) -> str:
    """How many single structures were found, and how well."""
    return (
        f"Of {counted(figures['true'], 'single structure')} {figures['found']} were found and {figures['missed']} missed, "
        f"{figures['extra']} were predicted where there is none, and {figures['same_number']} had the right number from the "
        f"head; their mean Dice, 0 for a missed one, was {shown(figures['dice']['all'])}."
    )


def surface_words(summary: Mapping[str, Any]) -> str:
    """Median HD95 of every label."""
    mm = distance_unit(unit_of(summary))
    medians = [
        f"{float(f['median']):.1f} {mm} for {label}" for label, f in summary.get("hd95", {}).items() if label != "mean"
    ]
    return f"; the median HD95 was {listed(medians)}" if medians else ""


def software(facts: RunFacts) -> Iterator[str]:
    """Versions and machine."""
    packages = facts.environment.get("packages", {})
    if packages:
        told = listed(f"{name} {version}" for name, version in packages.items())
        device = facts.environment.get("gpu") or facts.environment.get("device", "")
        yield f"Software: Python {facts.environment.get('python', '')} with {told}; trained on {device}."
