"""A verdict in plain words: who could leave, what they would gain, and why the others do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradefl.statement import money

if TYPE_CHECKING:
    from tradefl.stability.verdict import Stability

# Members of a coalition that are named; of a larger one those outside are.
NAMED = 12
SPLIT_NAMES = {"given": "the split of the table", "file": "the file's own rule"}


def split_name(found: Stability) -> str:
    """Return what was tested."""
    return SPLIT_NAMES.get(found.split.name, f"the split {found.split.name}")


def share(amount: float, total: float) -> str:
    """Return an amount as a share of what all have together, or lose together."""
    return f"{100.0 * amount / abs(total):+.4g} %" if total else "-"


def coalition(found: Stability) -> str:
    """Return the strongest coalition by name: its members, or who is left out of it."""
    size, members = found.game.size, int(found.members.sum())
    if members > size - members or members > NAMED:
        return f"all but {', '.join(found.names(~found.members)[:NAMED])}"
    return ", ".join(found.names(found.members)[:NAMED])


def sentence(found: Stability, digits: int) -> str:
    """Return the verdict, with the strongest coalition and what it would gain."""
    size, members = found.game.size, int(found.members.sum())
    if found.verdict == "stable":
        return (
            "Stable. No coalition could do better on its own: proven for all "
            f"2^{size} - 2 coalitions."
        )
    if found.verdict == "undecided":
        return (
            "Undecided. No coalition was found that does better on its own, but it is not proven "
            f"that there is none: one may gain up to {money(found.max_excess_bound, digits)}."
        )
    each = found.max_excess / members
    more = (
        f" {found.blocking:,} coalitions could do better than now; this one gains most."
        if found.blocking is not None and found.blocking > 1
        else ""
    )
    gained = (
        f"{money(found.max_excess, digits)} "
        f"({share(found.max_excess, found.grand_value)} of what all have) more than now"
    )
    if members == 1:
        return (
            f"Not stable. {coalition(found)} would have {money(found.members_value, digits)} on "
            f"its own, {gained}.{more}"
        )
    return (
        f"Not stable. Together, {coalition(found)} would have "
        f"{money(found.members_value, digits)} on their own, {gained}: "
        f"{money(each, digits)} for each of the {members}, shared equally.{more}"
    )


def reasons(found: Stability, digits: int) -> list[str]:
    """Return who could leave and why they do not, or who would: a sentence each."""
    game, said = found.game, []
    over = found.payoff - found.alone
    i = int(np.argmin(over))
    if found.below_alone.size:
        names = [game.name_of(int(k)) for k in found.below_alone]
        verb = "has" if len(names) == 1 else "have"
        said.append(
            f"{_few(names)} {verb} less than by training alone, and could leave without anybody."
        )
    else:
        said.append(
            "Nobody would leave alone: each has at least what its own model earns. "
            f"{game.name_of(i)} has least to lose, {money(float(over[i]), digits)}."
        )
    # What the others have now, less what they would have without it.
    spare = found.marginal - found.payoff - found.shortfall
    k = int(np.argmin(spare))
    unwanted = np.flatnonzero(spare < -found.tolerance)
    if unwanted.size:
        names = [game.name_of(int(j)) for j in unwanted[np.argsort(spare[unwanted])]]
        said.append(
            f"The others would do better without {_few(names)}: "
            f"{money(float(-spare[k]), digits)} better without {game.name_of(k)}."
        )
    else:
        said.append(
            "Nobody would be expelled: the others would lose "
            f"{money(float(spare[k]), digits)} without {game.name_of(k)}, and more without anybody "
            "else."
        )
    if found.verdict == "stable" and found.max_excess < 0.0:
        who = coalition(found)
        who = f"the coalition of {who}" if not who.startswith("all but") else who
        said.append(
            f"Of all groups, {who} comes nearest to leaving, and would lose "
            f"{money(-found.max_excess, digits)} ({share(-found.max_excess, found.grand_value)} of "
            "what all have)."
        )
    if found.margin >= -found.tolerance:
        said.append(
            f"The split called least core makes every group lose at least "
            f"{money(found.margin, digits)} by leaving; no split does better"
            + ("." if found.margin_certified else " as far as was found.")
        )
    else:
        said.append("No split of this consortium is stable.")
    return said


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"
