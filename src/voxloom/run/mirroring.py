"""Along which axes a run may see mirror images: never along left-right where its labels tell the sides apart.

Knows recipes and label names. What mirror images do to patches is in ``voxloom.augment``, to predictions in ``voxloom.inference``.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxloom.dataset.sides import left_right_axes, side_pairs
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe

_AXES = "ijk"


def sided_axes(names: Sequence[str], orientation: str | None) -> tuple[int, ...]:
    """Prepared axes whose mirror images exchange labels called left and right; none where no two names differ by side."""
    return left_right_axes(orientation) if side_pairs(names) else ()


def kept_mirrors(recipe: Recipe, sided: Sequence[int], pair: Sequence[str]) -> tuple[Recipe, str | None]:
    """The recipe without mirror images that would exchange labels, and what to say of it; None where nothing changed.

    Parameters
    ----------
    sided : from :func:`sided_axes`, or any way to know that both sides have labels of their own.
    pair : an example of two such labels.

    Raises
    ------
    BadInput : prediction is to average over mirror images that training does not show.
    """
    trained, predicted = (list(section.get("mirror", ())) for section in (recipe.augment, recipe.inference))
    if strange := [axis for axis in predicted if axis not in trained]:
        raise BadInput(
            f"`inference.mirror` has {_named(strange)}, along which training shows no mirror images",
            f"recipe {recipe.name}",
            "Set augment.mirror to the same axes, or leave inference.mirror out",
        )
    lost = [axis for axis in trained if axis in sided]
    if not lost:
        return recipe, None
    changes = {"augment.mirror": [axis for axis in trained if axis not in lost]}
    if predicted:
        changes["inference.mirror"] = [axis for axis in predicted if axis not in lost]
    told = f"No mirror images along {_named(lost)}: they would exchange {pair[0]} and {pair[1]}, which are labels of their own"
    return recipe.changed(changes), told


def without_sided_mirrors(recipe: Recipe, names: Sequence[str]) -> tuple[Recipe, str | None]:
    """:func:`kept_mirrors` for labels called ``names`` on the grid that the recipe prepares."""
    pairs = side_pairs(names)
    return kept_mirrors(recipe, sided_axes(names, recipe.preparation.orientation), pairs[0] if pairs else ())


def _named(axes: Sequence[int]) -> str:
    return " and ".join(_AXES[axis] for axis in axes)
