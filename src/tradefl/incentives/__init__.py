"""Who gains by misreporting, under which rule nobody does, and how wrong the figures may be.

``radius`` says by how much the figures may be off before somebody leaves the agreed contribution,
``robust`` makes schedules steep enough for a given range: both need nothing but the game.
``misreports`` searches what a misreport gains, ``truthful`` designs payments under which none does,
``promise`` writes them into the file and checks them, ``optima`` solves thousands of reports.
``uncertainty`` draws the figures from their ranges.

Designs need some of this room, and some of this room needs designs: the two verbs import what they
need when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tradefl.arguments import (
    CONSORTIUM,
    FUNCTION,
    GAME,
    NAMES,
    SHARE,
    TEXT,
    TRUTH,
    accepts,
    optional,
    whole,
)

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.game import CoopetitionGame
    from tradefl.incentives.misreports import Incentives
    from tradefl.incentives.uncertainty import Sensitivity

__all__ = ["incentives", "sensitivity"]


@accepts(
    consortium=GAME,
    range=SHARE,
    figures=NAMES,
    points=whole(2),
    all_rules=TRUTH,
    workers=optional(whole(1)),
    ray=optional(TEXT),
    watch=FUNCTION,
)
def incentives(
    consortium: Consortium | CoopetitionGame,
    range: float = 0.1,  # noqa: A002  the command's name for it
    *,
    figures: Sequence[str] = (),
    points: int = 10,
    all_rules: bool = True,
    workers: int | None = None,
    ray: str | None = None,
    watch: Callable[[str], None] = lambda _: None,
) -> Incentives:
    """Return what each organization could gain by misreporting.

    See :func:`tradefl.incentives.misreports.incentives` for the parameters.

    Raises
    ------
    InputError
        The range is not in (0, 1), or a figure is unknown.
    """
    from tradefl.consortium.playing import consortium_of
    from tradefl.incentives import misreports

    return misreports.incentives(
        consortium_of(consortium),
        range,
        figures=figures,
        points=points,
        all_rules=all_rules,
        workers=workers,
        ray=ray,
        watch=watch,
    )


@accepts(
    consortium=CONSORTIUM,
    draws=whole(1),
    seed=whole(),
    redesign=TRUTH,
    workers=optional(whole(1)),
    ray=optional(TEXT),
    watch=FUNCTION,
)
def sensitivity(
    consortium: Consortium,
    draws: int = 1_000,
    *,
    seed: int = 0,
    redesign: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    watch: Callable[[str], None] = lambda _: None,
) -> Sensitivity:
    """Return what the ranges of a file's figures do.

    See :func:`tradefl.incentives.uncertainty.sensitivity` for the parameters.

    Raises
    ------
    InputError
        No figure has a range, or an option is out of range.
    """
    from tradefl.incentives import uncertainty

    return uncertainty.sensitivity(
        consortium, draws, seed=seed, redesign=redesign, workers=workers, ray=ray, watch=watch
    )
