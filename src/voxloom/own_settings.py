"""Keys of a recipe that name a part of another package with its options. Knows no part."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from voxloom.own import own_part


class NamedPart(BaseModel):
    """A part by its kind alone, or by these keys.

    Parameters
    ----------
    kind : which one.
    options : arguments of the class of another package.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


class OwnPart(NamedPart):
    """A part of another package: its name alone, or these keys.

    Parameters
    ----------
    kind : ``package.module:CLASS``, or the short name under which an installed package offers it (entry points of ``group``).
    options : arguments of the class.
    """

    #: Of entry points, and the key of a recipe that names such a part.
    group: ClassVar[str]
    key: ClassVar[str]

    @field_validator("kind")
    @classmethod
    def _there(cls, kind: str) -> str:
        own_part(kind, cls.group, cls.key)
        return kind
