"""Sentences on a training: what was taken of the recipe, and what happened (steps, passes, validations, skipped steps, time)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.subject import Subject
from voxloom.report.cards.taken import skipped_steps
from voxloom.report.cards.words import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    augmentations,
    counted,
    duration,
    listed,
    named,
    share,
    size,
    span,
)

#: Key of a recipe -> words.
ARITHMETIC = {
    "bf16": "bfloat16 (master weights in float32)",
    "fp16": "float16 (scaled loss, master weights in float32)",
    "fp32": "float32",
}
COMPILED = {"kernels": "its kernels", "graphs": "its kernels, started as CUDA graphs"}


def training(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """Loss, optimizer, schedule, examples, augmentation, stopping."""
    t = facts.section("training")
    if not t.get("optimizer"):
        return
    yield f"It was trained with {subject.loss(facts)}, using {optimizer(t)} and {schedule(t)}."
    yield from phases(t.get("phases") or ())
    yield from steps(facts, subject)
    if t.get("foreground"):
        yield f"{share(t['foreground'])} of the {subject.example[1]} were centred on a labelled voxel."
    yield from subject.learning(facts)
    yield from changes(facts, subject)
    yield from arithmetic(facts, t)
    if own := [entry if isinstance(entry, str) else entry["kind"] for entry in t.get("callbacks") or ()]:
        yield f"Callbacks of other packages were told of every step: {listed(own)}."
    yield selection_sentence(facts, subject)
    yield from optimism(facts, subject)
    yield f"The random seed was {facts.recipe.get('seed', 0)}."


def loss_words(loss: Any) -> str:
    """A segmentation loss with the constants that it uses."""
    keys = loss if isinstance(loss, Mapping) else {"kind": loss}
    told = [f"{name.replace('_', ' ')} {keys[name]:g}" for name in CONSTANTS.get(keys["kind"], ()) if name in keys]
    if keys.get("kind") == "tanimoto_ce" and keys.get("mix"):
        told.append(f"mixed as {MIXES[keys['mix']]}")
    told += options_told(keys.get("options"))
    if keys.get("weights") == "counts":
        told.append("outputs weighted by the count of the rarest label over their own")
    elif keys.get("weights"):
        told.append(f"outputs weighted {listed(f'{w:g}' for w in keys['weights'])}")
    return named(LOSSES, keys.get("kind", "")) + (f" ({', '.join(told)})" if told else "")


def options_told(options: Mapping[str, Any] | None) -> list[str]:
    """Arguments of a part of another package, as they were written."""
    return [f"{name} {value}" for name, value in (options or {}).items()]


#: Kind of a loss -> constants that it uses.
CONSTANTS = {
    "dice_ce": ("smooth",),
    "dice": ("smooth",),
    "negative_dice": ("smooth",),
    "jaccard": ("smooth",),
    "tanimoto": ("smooth",),
    "focal_tversky": ("alpha", "beta", "exponent", "smooth"),
    "focal": ("gamma",),
    "dice_focal": ("gamma", "smooth"),
    "tanimoto_ce": ("share", "smooth"),
}
MIXES = {"sum": "a weighted sum", "product": "a product of powers", "powers": "a sum of powers"}


def optimizer(t: Mapping[str, Any]) -> str:
    """The optimizer with its constants."""
    momentum = f", momentum {t['momentum']:g}" if t["optimizer"] == "sgd" and "momentum" in t else ""
    lower = t.get("discriminative") or 1
    layers = f", falling to {lower:g} times it at the first layers" if lower != 1 else ""
    return (
        f"{named(OPTIMIZERS, t['optimizer'])} (peak learning rate {t['learning_rate']:g}{layers}, weight decay "
        f"{t['weight_decay']:g}{momentum})"
    )


def schedule(t: Mapping[str, Any]) -> str:
    """How the rate moved."""
    decay = f", the rate divided by 1 + {t['decay']:g} times the step" if t.get("decay") else ""
    return f"a {named(SCHEDULES, t['schedule'])} schedule{decay}"


def phases(given: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The parts of a training."""
    if not given:
        return
    whole = sum(phase.get("share", 1) for phase in given)
    told = []
    for phase in given:
        words = [f"{share(phase.get('share', 1) / whole)} of the steps"]
        words += ["with a frozen encoder"] if phase.get("frozen") else []
        if phase.get("scale", 1) != 1:
            words.append(f"at {share(phase['scale'])} of the resolution")
        if phase.get("rate", 1) != 1:
            words.append(f"at {phase['rate']:g} times the rate")
        if phase.get("discriminative") is not None:
            words.append(f"with rates that fall to {phase['discriminative']:g} times it at the first layers")
        told.append(" ".join(words))
    yield f"It had {counted(len(given), 'phase')}, each with a schedule of its own: {', then '.join(told)}."


def steps(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """How many steps were taken, of what, in how much time, and what became of them."""
    t, taken = facts.section("training"), facts.trainings
    done = [one.steps for one in taken if one.steps] or ([t["steps"]] if t.get("steps") else [])
    if done and t.get("batch"):
        yield f"Each of {span(done)} steps saw {counted(t['batch'], *subject.example)} of {size(t['patch'], 'voxels')}."
    passes = [one.passes for one in taken if one.passes]
    if passes:
        yield f"That is {span(passes, 3)} passes over the training cases."
    elif t.get("epochs"):
        yield f"{t['epochs']:g} passes over the training cases were asked for."
    if facts.recipe.get("budget"):
        yield f"The number of steps followed from a time budget of {facts.recipe['budget']} for all folds."
    elif early := [one for one in taken if one.ended_early]:
        yield (
            f"Of {span([one.planned or 0 for one in early])} planned steps "
            f"{listed(f'{one.steps:,} ({one.name})' for one in early)} were taken."
        )
    if skipped := skipped_steps(taken):
        places = listed(f"{where} ({count})" for where, count in skipped.items())
        many = sum(skipped.values())
        yield (
            f"{many:,} of {sum(one.steps for one in taken):,} steps changed nothing, since their gradient was not finite; it arose in "
            f"{places}."
        )
    if seconds := [one.seconds for one in taken if one.seconds]:
        folds = f" for {len(seconds)} folds" if len(seconds) > 1 else ""
        yield f"Training took {duration(sum(seconds))}{folds}."


def changes(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """Augmentation, and mirror images that were left out."""
    settings = facts.section("augment")
    told = [one.replace(" mm", " pixels") if facts.in_pixels else one for one in augmentations(settings)]
    chance = settings.get("batch_chance", 1)
    when = f" in {share(chance)} of the batches" if chance != 1 else ""
    many = subject.example[1]
    yield (
        f"{many[0].upper()}{many[1:]} were augmented{when} by {listed(told)}." if told else "No augmentation was used."
    )
    if note := facts.data.get("settled"):
        yield f"{note}."


def arithmetic(facts: RunFacts, t: Mapping[str, Any]) -> Iterator[str]:
    """Averaging, clipping, number format."""
    yield (
        f"A moving average of the weights (decay {t['ema']:.4g}) was kept."
        if t.get("ema")
        else ("No moving average of the weights was kept.")
    )
    if "gradient_clip" in t:
        clip = t["gradient_clip"]
        yield f"Gradients were limited to a norm of {clip:g}." if clip else "Gradients were not limited."
    if t.get("precision"):
        yield f"The network computed in {ARITHMETIC[t['precision']]}."
    if t.get("tf32") is False:
        yield "Products of float32 were not rounded to TF32."
    if t.get("deterministic"):
        yield "A graphics card was asked for kernels that repeat themselves."
    if t.get("compile"):
        yield f"The network was compiled for a graphics card ({COMPILED[t['compile']]})."


def monitored(facts: RunFacts, subject: Subject) -> tuple[str, str, bool]:
    """The log column that decided, what it is called, and whether it comes from held-out cases."""
    column = (facts.section("training").get("monitor")) or "val_dice"
    default, words = subject.score
    if column == "val_dice":
        column = default
    if column == "train_loss":
        return column, "the lowest training loss", False
    if column == "val_loss":
        return column, "the lowest loss on the held-out cases", True
    if column == default:
        return column, f"the best {words}", True
    kind, _, label = column.removeprefix("val_").partition("_")
    called = {"dice": "Dice", "auc": "AUC", "r2": "R²"}.get(kind, kind)
    return column, f"the best {called}{' of ' + label if label else ''}", True


def decided_by_cases(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """What held-out cases chose while training."""
    t = facts.section("training")
    if monitored(facts, subject)[2]:
        if t.get("keep") != "last":
            yield "which weights were kept"
        if t.get("patience") or t.get("patience_epochs"):
            yield "when the training ended"


def selection_sentence(facts: RunFacts, subject: Subject) -> str:
    """Which weights were kept, how often held-out cases were looked at, and when the training was to stop."""
    t = facts.section("training")
    if not t.get("validations") or not facts.held_out:
        return "The weights of the last step were kept."
    counts = [len(one.log) for one in facts.trainings if one.log] or [t["validations"]]
    looked = f"Held-out cases were predicted {times(counts)} in the course of training"
    _, best, _ = monitored(facts, subject)
    if t.get("keep") == "last":
        kept = "the weights of the last time were kept, whatever they scored"
    else:
        gain = f" when they were better by at least {t['least_gain']:g}" if t.get("least_gain") else ""
        kept = f"the weights with {best} were kept{gain}"
    return f"{looked}, and {kept}.{patience(t, best)}"


def times(counts: Sequence[int]) -> str:
    """``9 times``, ``3 to 5 times``."""
    return f"{span(counts)} {'time' if max(counts) == 1 else 'times'}"


def patience(t: Mapping[str, Any], best: str) -> str:
    """When a training was to stop early."""
    waits = [counted(t["patience"], "validation")] if t.get("patience") else []
    waits += [f"{t['patience_epochs']:g} passes over the training cases"] if t.get("patience_epochs") else []
    better = best.removeprefix("the best ").removeprefix("the lowest ")
    return f" It was to stop after {' or '.join(waits)} without a better {better}." if waits else ""


def optimism(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """What the held-out cases decided, so that figures on them are too good."""
    if not facts.held_out:
        return
    if reasons := [*decided_by_cases(facts, subject), *subject.chosen(facts)]:
        yield (
            f"The held-out cases chose {listed(reasons)}; figures on them are therefore slightly optimistic, those on a test set "
            "are not."
        )


def software(facts: RunFacts) -> Iterator[str]:
    """Versions and machine."""
    e = facts.environment
    packages = e.get("packages", {})
    if not packages:
        return
    told = listed(f"{name} {version}" for name, version in packages.items())
    yield f"Software: Python {e.get('python', '')} with {told}; trained on {machine(e)}."


def machine(e: Mapping[str, Any]) -> str:
    """The device, CPU and system."""
    device = e.get("gpu") or e.get("processor") or e.get("device", "")
    asked = "a graphics card" if e.get("gpu") else "the CPU"
    cores = (
        f"{counted(e['cores'], 'core')}, {counted(e['threads'], 'thread')}" if "cores" in e and "threads" in e else ""
    )
    details = [part for part in (cores, e.get("system", "")) if part]
    return f"{asked} ({device}{'; ' if details else ''}{', '.join(details)})" if device else asked
