"""The Recipe: one YAML file that decides a run.

Knows the sections, their defaults and how to say which key was meant. A section that is left out is chosen by the planner;
the run writes out every value. Does not know how any of it is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from voxloom.device_names import device_name
from voxloom.errors import BadInput
from voxloom.files import write_text
from voxloom.own import is_own
from voxloom.prepare import PrepareSettings, SliceSettings
from voxloom.recipe.assign import assign
from voxloom.recipe.duration import seconds_of
from voxloom.recipe.extends import EXTENDS, recipe_mapping
from voxloom.recipe.keys import as_bad_input, check_keys, check_together, check_values, nearest
from voxloom.recipe.sections import OWN_SECTIONS, loaded, plugin_settings
from voxloom.recipe.shipped import recipe_names, shipped_text
from voxloom.training.init import RANDOM, InitSettings
from voxloom.yamltext import read_text

if TYPE_CHECKING:
    from voxloom.dataset.labels import Labels


def _ids_are_text(value: Any) -> Any:
    """Refuse ids that YAML made numbers of: 1.10 would be 1.1, and 007 is 7."""
    if isinstance(value, (list, tuple)) and (odd := [v for v in value if not isinstance(v, str)]):
        raise ValueError(f'YAML does not read the id {odd[0]!r} as text; write ids in quotes, as in ["007", "1.10"]')
    return value


def one_or_several(value: Any) -> Any:
    """A word, or a number as a person writes one in YAML, as a list of one text."""
    return [str(value)] if isinstance(value, (str, int)) else value


class DataSettings(BaseModel):
    """Which cases and labels a run uses; recipe section ``data:``.

    Parameters
    ----------
    labels : names with one value, or a list of values for a region; None takes the data set's own.
    ignore : label value of voxels that nobody annotated.
    exclude : case ids that are left out, or the ``review.csv`` of ``voxloom review``.
    add : further data sets that are trained on too; ``folds.over`` says which cases are divided.
    external : data sets that are kept wholly apart, and only evaluated when everything is trained.
    series : of DICOM folders with several series, those that a case is read from: SeriesInstanceUID, SeriesNumber or
        SeriesDescription, as one word or a list of alternatives. Holds for all data sets of the run.
    patients : whether one patient name in two data sets is one person ("shared", who is refused on two sides) or every set
        numbers its own people ("separate").
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: dict[str, int | tuple[int, ...]] | None = None
    ignore: int | None = None
    exclude: Annotated[tuple[str, ...] | Path, BeforeValidator(_ids_are_text)] = ()
    add: tuple[Path, ...] = ()
    external: tuple[Path, ...] = ()
    series: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = ()
    patients: Literal["shared", "separate"] = "shared"


class LabelSettings(BaseModel):
    """What is made of the labels before training; recipe section ``labels:``.

    Parameters
    ----------
    merge : labels that become one: a list, named after its parts (``femur+tibia``), or {new name: list} for several groups;
        {new name: all} makes one label of whatever labels the data set has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    merge: tuple[str, ...] | dict[str, tuple[str, ...] | Literal["all"]] = ()

    def apply(self, labels: Labels) -> Labels:
        """The merged labels (BadInput for a label that does not exist)."""
        groups = self.merge if isinstance(self.merge, dict) else {"+".join(self.merge): self.merge}
        for name, parts in groups.items():
            if parts == "all":
                labels = labels.as_one(name)
            elif parts:
                labels = labels.merged(name, parts)
        return labels


class FoldSettings(BaseModel):
    """How cases are divided; recipe section ``folds:``.

    Parameters
    ----------
    count : number of folds; 1 trains once, with a hold-out for validation.
    hold_out : share of the patients that is held out when ``count`` is 1 (at least 4 patients, or a quarter of them where there are
        fewer than 16); 0 trains on all. A validation split that the data set itself declares is used instead.
    stratify : an attribute column, or ``label_volume``.
    sort_by : worst-case folds: patients sorted by ``slices``, ``slice_thickness``, ``pixel_spacing``, ``field_of_view``,
        ``label_volume`` or an attribute column and cut into ``count`` blocks, so that every fold tests on unlike cases.
    group_by : site-wise folds: ``group``, ``dataset`` or an attribute column whose values are never divided, in ``count`` folds.
    leave_out : leave-one-group-out: one fold per value of such a column; ``count`` does not matter.
    over : which cases are divided: ``all``, those of the ``first`` data set, or those that ``data.add`` ``added``. The others
        train in every fold, and so do pseudo-labelled cases always.
    file : an nnU-Net ``splits_final.json`` to train on the same folds.
    test : share of the patients that is set apart as a test set: it neither trains nor validates, and is evaluated once, by all folds
        together, when everything is trained (``external/test_set``).
    test_stratify : columns whose combinations the test set keeps alike, e.g. ``[source, age]``: so much of every source and age.
    train_patients : train on so many patients of each fold only, for learning curves; nested sets, and the same held-out cases.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(1, ge=1)
    hold_out: float = Field(0.05, ge=0, lt=1)
    stratify: str | None = None
    sort_by: str | None = None
    group_by: str | None = None
    leave_out: str | None = None
    over: Literal["all", "first", "added"] = "all"
    file: Path | None = None
    test: float = Field(0.0, ge=0, lt=1)
    test_stratify: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = ()
    train_patients: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_division(self) -> FoldSettings:
        if sum(way is not None for way in (self.stratify, self.sort_by, self.group_by, self.leave_out)) > 1:
            raise ValueError("stratify, sort_by, group_by and leave_out cannot be combined")
        if self.test_stratify and not self.test:
            raise ValueError("test_stratify says how the test set is drawn, and test is 0")
        if self.group_by is not None and self.count < 2:
            raise ValueError("group_by needs a count of 2 or more; leave_out makes one fold per group")
        if self.sort_by is not None and self.count < 2:
            raise ValueError("sort_by needs a count of 2 or more")
        return self


Section = dict[str, Any]


class DicomSettings(BaseModel):
    """What results as DICOM say; recipe section ``dicom:``.

    Parameters
    ----------
    codes : table (CSV) of codes and colors of labels, which goes before the one that comes with Voxloom; a run keeps a copy.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    codes: Path | None = None


#: Recipe sections whose keys are the fields of a settings class; keys that are left out are chosen by the planner.
PLANNED = ("prepare", "network", "training", "augment", "inference")


class Recipe(BaseModel):
    """Everything that decides a run.

    Parameters
    ----------
    name, description, reference : for people.
    task : what is learned: "segmentation", "landmarks", or ``package.module:OBJECT`` (``voxloom.tasks.task``); None takes what the
        data set's cases allow.
    seed : of folds, weights, patches and augmentation.
    device : "auto" takes a graphics card when there is one; "cpu", "cuda", "cuda:N" or "mps".
    budget : training time of all folds together, e.g. "90s", "10m", "1h30m", "1d"; None trains ``training.steps``.
    under_budget : dotted keys that take another value where a time budget is given, since a recipe made for a large graphics card
        may not take one step in it; null leaves the choice to the planner. A key that the user sets himself is not touched; one of
        ``network`` keeps the recipe's whole network.
    pace : written by a run that trained under a budget (``repeat.yaml``): per fold, (step, steps in all) corrections of the
        number of steps. With it and without a budget the same weights come out again.
    left_out : written likewise: per fold, the validations (1, 2, ...) that the budget had no time for.
    data, labels, folds : cases, what is made of their labels, and their division.
    slices : slices of volumes for 2D networks.
    init : where the first weights come from.
    evaluate : keys of ``Measures``: further metrics of label maps, the kind of HD95, the rule for empty masks.
    prepare, network, training, augment, inference : keys of ``PrepareSettings``, the network's kind, ``TrainingSettings``,
        ``AugmentSettings`` and ``InferenceSettings``; the planner chooses those that are left out.
    landmarks, classification, regression : keys of the settings of the task of that name.
    options : keys of the settings of a task that another package has.
    dicom : codes of labels in DICOM results.

    Raises
    ------
    BadInput : from ``load`` and ``parse``: an unknown key (with the nearest right one) or a value of the wrong kind.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "auto"
    task: str | None = None
    description: str = ""
    reference: str = ""
    seed: int = Field(0, ge=0)
    device: str = "auto"
    budget: str | None = None
    under_budget: dict[str, Any] = {}
    pace: dict[str, tuple[tuple[int, int], ...]] = {}
    left_out: dict[str, tuple[int, ...]] = {}
    data: DataSettings = DataSettings()
    labels: LabelSettings = LabelSettings()
    folds: FoldSettings = FoldSettings()
    init: InitSettings = RANDOM
    slices: SliceSettings = SliceSettings()
    prepare: Section = {}
    network: Section = {}
    training: Section = {}
    augment: Section = {}
    inference: Section = {}
    evaluate: Section = {}
    landmarks: Section = {}
    classification: Section = {}
    regression: Section = {}
    options: Section = {}
    dicom: DicomSettings = DicomSettings()

    @field_validator("device")
    @classmethod
    def _a_device(cls, device: str) -> str:
        return device_name(device)

    @field_validator("budget")
    @classmethod
    def _a_time(cls, budget: str | None) -> str | None:
        if budget is not None:
            seconds_of(budget)
        return budget

    @classmethod
    def load(cls, source: str | Path) -> Recipe:
        """Read a YAML file, or a shipped recipe by its name (``voxloom recipes`` lists them)."""
        path = Path(source)
        if path.suffix not in (".yaml", ".yml") and str(source) in recipe_names():
            return cls.parse(shipped_text(str(source)), f"recipe {source}")
        if not path.is_file():
            raise BadInput("no such recipe", source, nearest(str(source), recipe_names(), "See: voxloom recipes"))
        return cls.parse(read_text(path), path)

    @classmethod
    def parse(cls, text: str, where: str | Path) -> Recipe:
        """Check YAML text, which may extend another recipe; ``where`` is named in errors."""
        return cls.check(recipe_mapping(text, where), where)

    @classmethod
    def check(cls, values: Mapping[str, Any], where: str | Path) -> Recipe:
        """Check a mapping of keys, nested as in YAML."""
        check_keys(values, (*cls.model_fields, EXTENDS), "", where)
        if EXTENDS in values:
            raise BadInput(f"`{EXTENDS}` stands in recipe files only", where, "Load that recipe, and change its keys")
        for section, model in section_models(values.get("task")).items():
            given = values.get(section) or {}
            if not isinstance(given, Mapping):
                raise BadInput(f"`{section}` takes keys of its own", where, f"Write them indented below `{section}:`")
            if section == "network":
                model = network_family(given.get("kind") or default_network(values), where)
            check_keys(given, tuple(model.model_fields), f"{section}.", where)
            check_values(given, model, section, where)
            check_together(given, model, section, where)
        try:
            recipe = cls.model_validate({k: v for k, v in values.items() if v is not None})
        except ValidationError as error:
            raise as_bad_input(error, "", where) from error
        if recipe.under_budget:
            recipe.model_copy(update={"budget": recipe.budget or "1s"}).for_budget()
        return recipe

    def changed(self, assignments: Mapping[str, Any]) -> Recipe:
        """A recipe with dotted keys changed, e.g. ``{"training.batch": 4}``; checked like a file."""
        values = assign(self.model_dump(mode="json"), assignments)
        if "training.steps" in assignments and "training.epochs" not in assignments:
            values["training"].pop(
                "epochs", None
            )  # the recipe's epochs would stand in the place of the steps that are asked for
        own = any(key.startswith("network.") for key in assignments)  # keys of a network mean little in another kind
        values["under_budget"] = {
            key: v
            for key, v in values["under_budget"].items()
            if key not in assignments and not (own and key.startswith("network."))
        }
        return Recipe.check(values, "the changed recipe")

    def for_budget(self) -> Recipe:
        """The recipe that is trained: with the keys of ``under_budget`` where there is a budget, and without them afterwards."""
        changes = self.under_budget if self.budget is not None else {}
        values = assign(self.model_dump(mode="json"), changes, without_none=True)
        return Recipe.check({**values, "under_budget": {}}, f"recipe {self.name}, under_budget")

    @property
    def budget_seconds(self) -> float | None:
        """The budget in seconds."""
        return None if self.budget is None else seconds_of(self.budget)

    @property
    def preparation(self) -> PrepareSettings:
        """The ``prepare`` section with the axes turned to the plane of the slices."""
        settings = PrepareSettings.model_validate(self.prepare)
        return settings.model_copy(update={"orientation": self.slices.orientation(settings.orientation)})

    def dump(self) -> str:
        """YAML text of all keys."""
        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120))

    def save(self, path: Path) -> None:
        """Write the YAML file, whole or not at all."""
        write_text(path, self.dump())


def section_models(task: str | None = None) -> dict[str, type[BaseModel]]:
    """The settings class of every recipe section; of ``network`` the class that holds without ``kind``.

    Parameters
    ----------
    task : whose own section is read too where another package has it (``options``).
    """
    from voxloom.augment import AugmentSettings
    from voxloom.evaluation.measures import Measures
    from voxloom.networks import NetworkSettings
    from voxloom.training.settings import InferenceSettings, TrainingSettings

    return {
        "data": DataSettings,
        "labels": LabelSettings,
        "folds": FoldSettings,
        "init": InitSettings,
        "slices": SliceSettings,
        "prepare": PrepareSettings,
        "network": NetworkSettings,
        "training": TrainingSettings,
        "augment": AugmentSettings,
        "inference": InferenceSettings,
        "evaluate": Measures,
        "dicom": DicomSettings,
        **{section: loaded(place) for section, (place, _) in OWN_SECTIONS.items()},
        **({"options": found} if (found := plugin_settings(task)) is not None else {}),
    }


def section_of(error: ValidationError) -> str:
    """The recipe section that a settings class refused; "" for what is none."""
    from voxloom.networks import OwnNetworkSettings, network_kinds

    networks = {family.__name__: "network" for family in (*network_kinds().values(), OwnNetworkSettings)}
    known = {model.__name__: section for section, model in section_models().items()}
    return {**known, **networks}.get(error.title, "")


def default_network(values: Mapping[str, Any]) -> str:
    """The kind of network that a recipe without ``network.kind`` means."""
    named = values.get("task") or next((section for section in OWN_SECTIONS if values.get(section)), None)
    return OWN_SECTIONS[named][1] if named in OWN_SECTIONS else "unet"


def network_family(kind: Any, where: str | Path) -> type[BaseModel]:
    """The settings class of a kind of network."""
    from voxloom.networks import family_of, network_kinds
    from voxloom.networks.case_settings import CASE_FAMILIES
    from voxloom.networks.settings import NETWORKS

    kinds: dict[str, type[BaseModel]] = {**network_kinds(), **CASE_FAMILIES}
    if isinstance(kind, str) and kind not in kinds and is_own(kind, NETWORKS):
        return family_of(kind)
    if not isinstance(kind, str) or kind not in kinds:
        hint = nearest(str(kind), list(kinds), f"Known: {', '.join(kinds)}")
        raise BadInput(f"unknown network `network.kind: {kind}`", where, hint)
    return kinds[kind]
