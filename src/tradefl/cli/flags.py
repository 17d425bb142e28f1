"""Errors of the library name its parameters; the command line names the flags that set them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import click

from tradefl.errors import InputError, Parameter, Problem

# Parameters of the library whose options have another name in some commands.
OTHER_NAMES: Mapping[str, Sequence[str]] = {
    "allow": ("allow_path",),
    "expected_chain_id": ("chain_id",),
    "figures": ("figure",),
    "first_block": ("from_block",),
    "map": ("columns",),
    "method": ("scheme",),
    "organizations": ("organization",),
    "pairs": ("pair",),
    "scheme": ("method",),
    "set": ("set_",),
    "state": ("state_folder",),
}
_QUOTED = re.compile(r"`([a-z][a-z0-9_]*)`")


def flags_of(parameters: Sequence[click.Parameter]) -> dict[str, str]:
    """Return the flag of each option of a command, by the name of the library's parameter."""
    flags = {
        str(option.name): option.opts[0]
        for option in parameters
        if isinstance(option, click.Option)
    }
    for name, others in OTHER_NAMES.items():
        known = [flags[other] for other in others if other in flags]
        if name not in flags and known:
            flags[name] = known[0]
    return flags


def with_flags(error: InputError, flags: Mapping[str, str]) -> InputError:
    """Return an error that names flags instead of parameters.

    A place that is a parameter, and names between backticks in messages, are translated; a
    parameter that the command has no option for keeps its name.
    """
    return InputError(
        Problem(
            _place(problem.place, flags),
            _words(problem.message, flags),
        )
        for problem in error.problems
    )


def _place(place: str, flags: Mapping[str, str]) -> str:
    if not isinstance(place, Parameter):
        return place
    return flags.get(place.name, place.name) + place[len(place.name) :]


def _words(message: str, flags: Mapping[str, str]) -> str:
    return _QUOTED.sub(lambda found: flags.get(found[1], found[0]), message)
