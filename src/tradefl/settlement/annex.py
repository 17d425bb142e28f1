"""The annex of an agreement as it is read: from a contract, a document, anybody.

The deployer of a contract writes its annex, and the contract knows its hash only. So its JSON is
read within limits, its names obey the one rule for names, and what agents compute with has its
type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tradefl.consortium.schema import ACCURACY_MODELS, Accuracy, Energy, Truthful, described
from tradefl.errors import InputError
from tradefl.foreign import look_alikes, name_problem, normalized, parse_json, quoted

PLACE = "annex"
SCHEMA = "tradefl/annex/1"
UINT64 = 2**64
# What it names of the chain: an address, hashes.
CHAIN_KEYS = {
    "factory": r"0x[0-9a-fA-F]{40}",
    "settlement_code": r"0x[0-9a-f]{64}",
    "vault_code": r"0x[0-9a-f]{64}",
    "series": r"0x[0-9a-f]{64}",
}


def read_annex(annex: bytes) -> dict[str, Any]:
    """Return an annex whose names, turns, chain and promise are what an agreement needs.

    The one reader, of audits and agents, of contracts and documents: what one of them refuses, no
    other accepts.

    Raises
    ------
    InputError
        It is not JSON, names a key twice, exceeds a limit, is of another schema, or one of these
        is missing or wrong.
    """
    document = parse_json(annex, PLACE, unique=True)
    if not isinstance(document, dict):
        raise InputError.at(PLACE, "expected a JSON object")
    if document.get("schema") != SCHEMA:
        got = "none" if document.get("schema") is None else quoted(document["schema"])
        raise InputError.at(f"{PLACE}: schema", f"expected {SCHEMA!r}, got {got}")
    _require_names(document)
    _require_payee(document)
    _require_turns(document)
    _require_chain(document)
    promise_of(document)
    return document


def accuracy_of(document: Mapping[str, Any]) -> tuple[Accuracy, list[list[float]] | None]:
    """Return the accuracy model of an annex, and its points where it is fitted to some.

    Raises
    ------
    InputError
        It is missing or unknown, or one of its figures is wrong.
    """
    section = document.get("accuracy")
    place = f"{PLACE}: accuracy"
    if not isinstance(section, dict) or section.get("model") not in ACCURACY_MODELS:
        known = ", ".join(ACCURACY_MODELS)
        raise InputError.at(place, f"expected a section with one of the models {known}")
    points = section.get("points")
    given = {key: value for key, value in section.items() if key != "points"}
    if points is not None:
        given["points_file"] = PLACE  # the model needs a source; this is it
    try:
        return ACCURACY_MODELS[section["model"]].model_validate(given), points
    except ValidationError as error:
        raise _first(place, error) from None


def energy_of(document: Mapping[str, Any]) -> dict[str, float]:
    """Return the energy constants of an annex.

    Raises
    ------
    InputError
        One is missing or wrong.
    """
    try:
        return Energy.model_validate(document.get("energy")).model_dump()
    except ValidationError as error:
        raise _first(f"{PLACE}: energy", error) from None


def promise_of(document: Mapping[str, Any]) -> Truthful | None:
    """Return the promise that honesty pays of an annex, ``None`` if it has none.

    Raises
    ------
    InputError
        One of its figures is wrong, or it is of other organizations.
    """
    section = document.get("truthful")
    if section is None:
        return None
    try:
        promise = Truthful.model_validate(section)
    except ValidationError as error:
        raise _first(f"{PLACE}: truthful", error) from None
    if {promise.claimant, *promise.organizations} != set(document["organizations"]):
        what = "expected a claimant and all other organizations"
        raise InputError.at(f"{PLACE}: truthful", what)
    return promise


def number_of(document: Mapping[str, Any], key: str) -> float:
    """Return a number of an annex that is not negative.

    Raises
    ------
    InputError
        It is missing or wrong.
    """
    value = document.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e300:
        raise InputError.at(f"{PLACE}: {key}", "expected a number >= 0")
    return float(value)


def samples_of(document: Mapping[str, Any], size: int) -> list[float]:
    """Return the samples of each organization of an annex.

    Raises
    ------
    InputError
        They are not one whole number for each.
    """
    samples = document.get("samples")
    whole = isinstance(samples, list) and all(
        type(sample) is int and 0 < sample < UINT64 for sample in samples
    )
    if not isinstance(samples, list) or not whole or len(samples) != size:
        raise InputError.at(f"{PLACE}: samples", f"expected {size:,} whole numbers > 0")
    return [float(sample) for sample in samples]


def quality_of(document: Mapping[str, Any], size: int) -> list[float]:
    """Return the weight of each organization's data in Omega; an annex without any means 1.

    Raises
    ------
    InputError
        They are not one number > 0 for each.
    """
    quality = document.get("quality")
    if quality is None:
        return [1.0] * size
    numbers = isinstance(quality, list) and all(
        isinstance(figure, int | float) and not isinstance(figure, bool) and 0 < figure < 1e300
        for figure in quality
    )
    if not isinstance(quality, list) or not numbers or len(quality) != size:
        raise InputError.at(f"{PLACE}: quality", f"expected {size:,} numbers > 0")
    return [float(figure) for figure in quality]


def _first(place: str, error: ValidationError) -> InputError:
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"])
    return InputError.at(f"{place}: {where}" if where else place, described(found))


def _require_names(document: Mapping[str, Any]) -> None:
    names = document.get("organizations")
    title = document.get("consortium")
    if not isinstance(names, list) or not names or not isinstance(title, str):
        raise InputError.at(PLACE, "expected a consortium and the names of its organizations")
    for place, name in (("consortium", title), *(("organizations", name) for name in names)):
        problem = name_problem(name) if isinstance(name, str) else "expected text"
        if problem is None and normalized(name) != name:
            problem = "is not in Unicode's normal form C"
        if problem is not None:
            raise InputError.at(f"{PLACE}: {place}: {name!r:.80}", problem)
    for first, second in look_alikes(names):
        raise InputError.at(f"{PLACE}: organizations", f"{second!r} looks like {first!r}")
    if len(set(names)) != len(names):
        raise InputError.at(f"{PLACE}: organizations", "names an organization twice")


def _require_payee(document: Mapping[str, Any]) -> None:
    payee, names = document.get("payee"), document["organizations"]
    if payee is None:
        return
    if len(names) < 3 or payee != names[-1] or document.get("rule") != "efficient":
        what = "expected the last of at least three names, under the efficient rule"
        raise InputError.at(f"{PLACE}: payee", what)


def _require_turns(document: Mapping[str, Any]) -> None:
    for key, least, found in (
        ("turn_seconds", 1, document.get("turn_seconds")),
        ("turn_blocks", 0, document.get("turn_blocks", 0)),  # earlier versions had time alone
    ):
        if type(found) is not int or not least <= found < UINT64:
            raise InputError.at(f"{PLACE}: {key}", f"expected a whole number >= {least}")


def _require_chain(document: Mapping[str, Any]) -> None:
    chain_id = document.get("chain_id")
    if type(chain_id) is not int or not 1 <= chain_id < UINT64:
        raise InputError.at(f"{PLACE}: chain_id", "expected a whole number >= 1")
    for key, pattern in CHAIN_KEYS.items():
        value = document.get(key)
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise InputError.at(f"{PLACE}: {key}", "expected 0x and hexadecimal digits")
