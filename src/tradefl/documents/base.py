"""What all JSON documents have in common: one model each, which writes it and reads it again.

A document is written with the keys that were given, in the order of the model's fields; so a key
that belongs only to some documents has a default, and is left out where it is not given. Numbers
are finite. Integers that may exceed 2^53 are text. A document of a later version may hold more keys
than the model: they are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tradefl.consortium.schema import described
from tradefl.errors import InputError, Problem
from tradefl.game import CoopetitionGame
from tradefl.text import printable

Count = Annotated[int, Field(ge=0)]
# Whole numbers as text: what JavaScript and others would round.
Whole = Annotated[str, Field(pattern=r"^-?[0-9]{1,80}$")]
Hz = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
# Text that others wrote and a page shows: nothing in it is invisible or turns the direction of
# writing. What this package wrote itself passes through unchanged.
Words = Annotated[str, AfterValidator(lambda text: printable(text, 1_000))]


class Part(BaseModel):
    """A table of a document."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        populate_by_name=True,
        defer_build=True,
        protected_namespaces=(),
    )

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return a part from computed columns; a key that the model lacks is a mistake of ours.

        Raises
        ------
        TypeError
            The model has no such key, and :meth:`to_dict` would lose it.
        """
        if unknown := sorted(values.keys() - cls.model_fields.keys()):
            raise TypeError(f"{cls.__name__} has no key {', '.join(unknown)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: the keys that were given, in the order of the fields."""
        return self.model_dump(by_alias=True, exclude_unset=True)


def money_keys(game: CoopetitionGame) -> dict[str, Any]:
    """Return the keys that say what a unit of payoff is in money; none without a currency."""
    if game.currency is None:
        return {}
    return {"currency": game.currency, "payoff_unit": game.payoff_unit}


class Document(Part):
    """A whole document; ``NAME`` is the value of its key ``schema``."""

    NAME: ClassVar[str]


Read = TypeVar("Read", bound=BaseModel)


def parsed(content: Any, kind: type[Read], place: object) -> Read:
    """Return the document that some JSON holds.

    Parameters
    ----------
    content
        What a JSON reader returned.
    kind
        The model of the document that is expected.
    place
        Where the content is from, for messages.

    Raises
    ------
    InputError
        A key is missing or has another type or range; each with its place.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(
            Problem(placed(place, entry["loc"]), described(entry))
            for entry in error.errors(include_url=False)
        ) from None


def placed(place: object, location: Sequence[int | str]) -> str:
    """Return the place of a value in a document, as people write it."""
    keys = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in location)
    return f"{place}: {keys.lstrip('.')}" if keys else str(place)
