"""Docstrings as the site shows them: names in reStructuredText's roles become code."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`(?P<short>~|\.)?(?P<name>[^`]+)`")


def plain(text: str) -> str:
    """Return a docstring in Markdown.

    >>> plain("A :class:`~tradefl.game.CoopetitionGame`, see :func:`solve`::")
    'A `CoopetitionGame`, see `solve`:'
    """

    def code(role: re.Match[str]) -> str:
        name = role["name"].rpartition(".")[2] if role["short"] else role["name"]
        return f"`{name}`"

    return re.sub(r"::$", ":", ROLE.sub(code, text), flags=re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites every docstring as it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)
