"""Commands that a signal ends in order: what they started is stopped, and they say what is left."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from tradefl.cli.output import note

# What a shell reports of a program that SIGINT or SIGTERM ended.
INTERRUPTED, TERMINATED = 130, 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM: what was started is stopped first, as at Ctrl-C."""


@contextmanager
def interruptible(left: Callable[[], str]) -> Iterator[None]:
    """End at Ctrl-C and at SIGTERM as a shell expects it, and say what is left.

    Parameters
    ----------
    left
        Returns what the interrupted command has kept, and how to go on.
    """

    def leave(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        note(f"stopped; {left()}")
        code = TERMINATED if isinstance(interrupt, _Terminated) else INTERRUPTED
        raise click.exceptions.Exit(code) from None
    finally:
        signal.signal(signal.SIGTERM, before)
