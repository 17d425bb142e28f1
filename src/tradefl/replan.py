r"""A change of members or figures: what it does to everybody, and who would have to be paid.

Two consortia, OLD and NEW, of which some organizations are in both. OLD is taken under its own
rule; NEW is designed again. An organization in both agrees to the change if it has no less than
before. Where it has less, the difference is what it would have to be paid; where the others gain
that much, the change can be agreed on without money from outside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tradefl.arguments import (
    FUNCTION,
    GAME,
    SECONDS,
    SHARE,
    accepts,
    choice,
    number,
    optional,
    whole,
)
from tradefl.consortium import Consortium
from tradefl.consortium.playing import consortium_of
from tradefl.design import RANDOM_STARTS, TARGETS, Design, Target, design
from tradefl.game import CoopetitionGame
from tradefl.game.money import unit_of
from tradefl.game.participation import alone
from tradefl.notebook import Shown
from tradefl.solvers import solve

if TYPE_CHECKING:
    from tradefl.documents.replan import ReplanDocument

Array = npt.NDArray[np.float64]

# Payoffs that differ by less than this share of the largest are equal.
ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Change:
    """What the change does to one organization.

    Attributes
    ----------
    name
        The organization.
    kind
        ``joined``, ``left``, ``changed`` (other figures) or ``unchanged``.
    figures
        Which figures changed.
    before, after
        Its payoff under the old agreement and under the new design; ``None`` where it is not in
        that consortium. One that joins had ``alone`` before; one that leaves has it after.
    to_agree
        What it would have to be paid to be no worse off, >= 0.
    """

    name: str
    kind: str
    figures: tuple[str, ...]
    before: float
    after: float
    to_agree: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Replan(Shown):
    """The change from one consortium to another.

    Attributes
    ----------
    old, new
        The consortia.
    designed
        The efficient rule of NEW, designed again.
    changes
        One for each organization of either, in NEW's order, those that left at the end.
    """

    old: Consortium
    new: Consortium
    designed: Design
    changes: tuple[Change, ...]

    @property
    def to_pay(self) -> float:
        """What all that would be worse off would have to be paid."""
        return float(sum(change.to_agree for change in self.changes if change.kind != "left"))

    @property
    def surplus(self) -> float:
        """What those that gain could pay and still be no worse off."""
        return float(
            sum(
                max(change.after - change.before, 0.0)
                for change in self.changes
                if change.kind != "left"
            )
        )

    @property
    def affordable(self) -> bool:
        """Whether those that gain can pay those that lose."""
        scale = max((abs(change.after) for change in self.changes), default=0.0)
        return self.to_pay <= self.surplus + ROUNDING * scale

    def in_currency(self) -> Replan:
        """Return the same with every amount in the currency of both files, to be shown."""
        unit = unit_of(self.designed.agreed.game)
        if unit == 1.0:
            return self
        amounts = ("before", "after", "to_agree")
        return dataclasses.replace(
            self,
            old=self.old.in_currency(),
            new=self.new.in_currency(),
            designed=self.designed.in_currency(),
            changes=tuple(
                dataclasses.replace(
                    change, **{name: getattr(change, name) * unit for name in amounts}
                )
                for change in self.changes
            ),
        )

    def _title(self) -> str:
        return f"from {self.old.name} to {self.new.name}"

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("to be paid", f"{self.to_pay:,.6g}"),
            ("gained", f"{self.surplus:,.6g}"),
            ("affordable", "yes" if self.affordable else "no"),
        ]

    def _records(self) -> list[dict[str, Any]]:
        rows = self.to_dict()["organizations"]
        return [{**row, "figures": ", ".join(row["figures"])} for row in rows]

    def document(self) -> ReplanDocument:
        """Return the JSON document ``tradefl/replan/1``."""
        from tradefl.documents.replan import ReplanDocument, ReplannedOrganization

        return ReplanDocument(
            document="tradefl/replan/1",
            old=self.old.name,
            new=self.new.name,
            target=self.designed.target,
            organizations=[
                ReplannedOrganization(
                    name=change.name,
                    kind=change.kind,
                    figures=list(change.figures),
                    payoff_before=change.before,
                    payoff_after=change.after,
                    gain=change.after - change.before,
                    to_agree=change.to_agree,
                )
                for change in self.changes
            ],
            to_pay=self.to_pay,
            surplus=self.surplus,
            affordable=self.affordable,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()


@accepts(
    old=GAME,
    new=GAME,
    target=optional(choice(TARGETS)),
    robust=number("in [0, 1)", lambda share: 0.0 <= share < 1.0),
    random_starts=whole(),
    watch=FUNCTION,
    tolerance=optional(SHARE),
    max_iterations=optional(whole(1)),
    time_limit=optional(SECONDS),
)
def replan(
    old: Consortium | CoopetitionGame,
    new: Consortium | CoopetitionGame,
    target: Target | None = None,
    *,
    robust: float = 0.0,
    random_starts: int = RANDOM_STARTS,
    watch: Callable[[str], None] = lambda _: None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    time_limit: float | None = None,
) -> Replan:
    """Say what a change of members or figures does to everybody.

    Parameters
    ----------
    old, new
        The consortium as agreed, and as it would be; organizations are the same by name.
    target
        How the new design splits: see :func:`tradefl.design.design`.
    robust
        For errors of profitability of up to this share nobody gains by contributing less.
    random_starts
        From how many random profiles the new design is approached.
    watch
        Called with the name of each stage as it starts.
    tolerance, max_iterations, time_limit
        Of the planner; see :func:`~tradefl.solvers.solve`.

    Raises
    ------
    TypeError
        One of the two is neither a consortium nor a game.
    ValueError
        As :func:`tradefl.design.design` does; or the two have no organization in common.
    """
    old, new = consortium_of(old), consortium_of(new)
    if not set(old.names) & set(new.names):
        raise ValueError("new: expected at least one organization of the old consortium")
    money = [(each.currency or "no currency", each.payoff_unit) for each in (old, new)]
    if money[0] != money[1]:
        raise ValueError(
            f"new: payoffs are in {money[1][1]:g} {money[1][0]}, those of the old consortium in "
            f"{money[0][1]:g} {money[0][0]}; write both in one unit"
        )
    watch("the old agreement")
    before = solve(old.game).payoffs
    watch("the new one")
    designed = design(
        new.game,
        target,
        robust=robust,
        random_starts=random_starts,
        tolerance=tolerance,
        max_iterations=max_iterations,
        time_limit=time_limit,
    )
    after = designed.agreed.payoffs
    apart_new, apart_old = alone(new.game), alone(old.game)
    changes = []
    for i, name in enumerate(new.names):
        now = float(after[i])
        if name in old.names:
            k = old.names.index(name)
            figures = _changed(old, new, k, i)
            kind, was = "changed" if figures else "unchanged", float(before[k])
        else:
            figures, kind, was = (), "joined", float(apart_new[i])
        changes.append(Change(name, kind, figures, was, now, max(was - now, 0.0)))
    for k, name in enumerate(old.names):
        if name not in new.names:
            was, now = float(before[k]), float(apart_old[k])
            changes.append(Change(name, "left", (), was, now, max(was - now, 0.0)))
    return Replan(old, new, designed, tuple(changes))


def _changed(old: Consortium, new: Consortium, k: int, i: int) -> tuple[str, ...]:
    """Return which figures of an organization are others than before."""
    changed = []
    for field in dataclasses.fields(new.organizations):
        one, other = getattr(old.organizations, field.name), getattr(new.organizations, field.name)
        if field.name == "names" or isinstance(one, Mapping):  # ranges and menus are not figures
            continue
        if _entry(one[k]) != _entry(other[i]):
            changed.append(field.name)
    kept = [name for name in new.names if name in old.names]
    rivals = [float(_rho(old, name, old.names[k]) - _rho(new, name, new.names[i])) for name in kept]
    if any(rivals):
        changed.append("competition")
    return tuple(changed)


def _rho(consortium: Consortium, one: str, other: str) -> float:
    game = consortium.game
    i, j = consortium.names.index(one), consortium.names.index(other)
    rivals, rho = game.competition.row(i)
    at = np.flatnonzero(rivals == j)
    return float(rho[at[0]]) if at.size else 0.0


def _entry(value: Any) -> Any:
    """Return an organization's figure so that equal ones compare equal; padding does not count."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return array.tolist()
    return array[~np.isnan(array)].tolist()
