"""What the command line tells the console: which files to show."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Settings:
    """The files of one console.

    Attributes
    ----------
    file
        The consortium file.
    training
        A ``tradefl/training/1`` document to show, if any.
    """

    file: Path
    training: Path | None = None


_current: list[Settings] = []


def use(settings: Settings) -> None:
    """Show these files from now on."""
    _current[:] = [settings]


def current() -> Settings:
    """Return the files to show: Streamlit runs the pages in the process that called :func:`use`."""
    (settings,) = _current
    return settings
