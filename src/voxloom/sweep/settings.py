"""The Sweep: one YAML file that decides a study of many runs.

Knows its keys and checks all of them, the recipe keys included, before anything starts. Does not know how runs are
carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxloom.errors import BadInput
from voxloom.evaluation.aggregate import CROSS, Tables
from voxloom.evaluation.scores import Goal, check_score, goal_of
from voxloom.recipe.keys import as_bad_input, check_keys, nearest
from voxloom.recipe.recipe import Recipe
from voxloom.recipe.shipped import recipe_names, sweep_names, sweep_text
from voxloom.sweep.space import Factor, check_factors, parse_factor
from voxloom.tasks.choice import task_of_recipe
from voxloom.yamltext import read_text, read_yaml

Search = Literal["grid", "random", "tpe"]
#: Of a shipped sweep, until a data set is given.
NO_DATA = Path()


class TableSettings(BaseModel):
    """How the results are tabulated; section ``tables:`` of a sweep.

    Parameters
    ----------
    factors : factors to aggregate by, "a*b" crosses two; None takes all that have levels.
    across : a factor whose levels become columns.
    merge : factor -> new level -> levels that are taken together, in a further table of that factor.
    best : rows of the table of the best trials of a search.
    log : factors that enter the regression of a search as log10; ranges with ``log: true`` do so anyway.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factors: tuple[str, ...] | None = None
    across: str | None = None
    merge: dict[str, dict[str, tuple[str, ...]]] = {}
    best: int = Field(20, ge=1)
    log: tuple[str, ...] = ()


class Sweep(BaseModel):
    """Everything that decides a sweep.

    Parameters
    ----------
    name, description : for people.
    data : the data set; relative to the file. A shipped sweep has none, and is given one.
    recipe : the recipe that is varied: a file (relative to the sweep's) or the name of a shipped one.
    set : recipe keys that all runs change, e.g. ``{training.steps: 200}``.
    over : what is varied, factor by factor, see ``parse_factor``.
    search : "grid" (every combination), "random", or "tpe" (tree-structured Parzen estimator, Bergstra et al. 2011).
    trials : runs of a random or TPE search.
    seed : of the search; the recipe's own seed decides each training.
    score : what is compared: a metric of the held-out cases, ``metric.label`` or ``metric.label.figure``, e.g. "hd95.liver.median";
        of landmarks "recall" (where nothing is given) or another figure, e.g. "distance_mean.L5".
    goal : "max" or "min"; every score that Voxloom writes knows its own (``voxloom.evaluation.scores``), and another is refused.
    test : a data set with labels or points that no run may have seen; every finished run is scored on it too. It never decides
        which trial is best.
    tables : how the results are tabulated.

    Raises
    ------
    BadInput : from ``load`` and ``check``: an unknown key (with the nearest right one), here or in the recipe, or a wrong value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "sweep"
    description: str = ""
    data: Path = NO_DATA
    recipe: str = "auto"
    set: dict[str, Any] = {}
    over: dict[str, Any] = Field(min_length=1)
    search: Search = "grid"
    trials: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    score: str = "dice"
    goal: Goal | None = None
    test: Path | None = None
    tables: TableSettings = TableSettings()

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        data: str | Path | None = None,
        changes: Mapping[str, Any] | None = None,
        test: str | Path | None = None,
    ) -> Sweep:
        """Read and check a YAML file, or a shipped sweep by its name (``voxloom recipes`` lists them).

        Parameters
        ----------
        data : the data set, in the place of the file's; relative to the working folder.
        changes : recipe keys that all runs change, beside those of ``set``.
        test : the test set, in the place of the file's; relative to the working folder.
        """
        path = Path(source)
        shipped = str(source) in sweep_names() and not path.is_file()
        if not shipped and not path.is_file():
            fix = nearest(str(source), sweep_names(), "Write one: see the documentation of `voxloom sweep`")
            raise BadInput("no such file, and no such sweep is shipped", path, fix)
        values = read_yaml(sweep_text(str(source)) if shipped else read_text(path), path)
        if not isinstance(values, dict):
            raise BadInput("a sweep is a list of `key: value` lines", path, "Begin with data:, recipe: and over:")
        if data is not None:
            values["data"] = str(Path(data).resolve())
        if test is not None:
            values["test"] = str(Path(test).resolve())
        if changes:
            values["set"] = {**(values.get("set") or {}), **changes}
        if values.get("data") is None:
            raise BadInput(
                "the sweep names no data set", path, "Give one: --data DATASET, or write data: into the file"
            )
        return cls.check(values, path)

    @classmethod
    def check(cls, values: dict[str, Any], where: Path) -> Sweep:
        """Check a mapping of keys; paths in it are relative to the folder of ``where``."""
        check_keys(values, tuple(cls.model_fields), "", where)
        try:
            sweep = cls.model_validate({key: value for key, value in values.items() if value is not None})
        except ValidationError as error:
            raise as_bad_input(error, "", where) from error
        sweep = sweep.model_copy(
            update={
                "data": _beside(sweep.data, where),
                "recipe": _recipe_place(sweep.recipe, where),
                "test": None if sweep.test is None else _beside(sweep.test, where),
            }
        )
        task = task_of_recipe(sweep.base)
        if "score" not in values:
            sweep = sweep.model_copy(update={"score": task.main_score})
        check_score(sweep.score, task.scores, f"{where}: score")
        sweep = sweep.model_copy(update={"goal": goal_of(sweep.score, sweep.goal, f"{where}: goal")})
        if (sweep.trials is None) != (sweep.search == "grid"):
            fix = "Leave trials out" if sweep.search == "grid" else "Say how many: trials: 20"
            raise BadInput(f"a {sweep.search} search and trials: {sweep.trials} do not go together", where, fix)
        for factor in sweep.factors:
            if sweep.search == "grid" and factor.range is not None:
                raise BadInput("a grid needs a list of values", f"{where}: over.{factor.name}", "Or: search: random")
        check_factors(sweep.factors, sweep.base, where)
        _check_tables(sweep, where)
        return sweep

    @cached_property
    def factors(self) -> list[Factor]:
        """What is varied, in the order of the file."""
        return [parse_factor(name, given, self.name) for name, given in self.over.items()]

    @cached_property
    def base(self) -> Recipe:
        """The recipe with the keys of ``set``."""
        return Recipe.load(self.recipe).changed(self.set)

    def aggregations(self, *metrics: str) -> list[Tables]:
        """What the results are aggregated by: all levels; then, where levels are taken together, those factors again."""
        t = self.tables
        levelled = tuple(f.name for f in self.factors if f.range is None and f.name != t.across)
        whole = Tables(levelled if t.factors is None else t.factors, metrics, t.across)
        return [whole, *([Tables(tuple(t.merge), metrics, t.across, t.merge)] if t.merge else [])]

    def dump(self) -> str:
        """YAML text of all keys."""
        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120))


def _beside(path: Path, where: Path) -> Path:
    return Path(path if path.is_absolute() else where.parent / path).resolve()


def _recipe_place(recipe: str, where: Path) -> str:
    beside = where.parent / recipe
    return str(beside.resolve()) if recipe not in recipe_names() and beside.is_file() else recipe


def _check_tables(sweep: Sweep, where: Path) -> None:
    """Refuse tables of factors or levels that are not varied."""
    known = {factor.name: factor for factor in sweep.factors}
    t = sweep.tables
    crossed = [name for factor in t.factors or () for name in factor.split(CROSS)]
    for name in (*crossed, *t.merge, *t.log, *([t.across] if t.across else [])):
        if name not in known:
            raise BadInput(f"`{name}` is not varied", f"{where}: tables", nearest(name, list(known), "Name a factor"))
    for name, groups in t.merge.items():
        for level in (level for levels in groups.values() for level in levels):
            if level not in known[name].levels:
                raise BadInput(
                    f"`{name}` is never {level!r}", f"{where}: tables", nearest(level, list(known[name].levels), "")
                )
