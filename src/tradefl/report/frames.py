"""The tables behind the charts, of the report and of the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tradefl.charts import STEPS
from tradefl.game import CoopetitionGame
from tradefl.incentives.uncertainty import Sensitivity
from tradefl.outcomes import Comparison
from tradefl.report.blocks import digits_of, signed
from tradefl.solvers import Solution
from tradefl.solvers.solution import MAX_TRANSFERS_ORGANIZATIONS
from tradefl.stability import Stability
from tradefl.statement import money
from tradefl.tuning import Tuning

# A chart or table of all organizations stays readable up to so many; of more some are chosen.
SHOWN_ORGANIZATIONS = 20
SHOWN_PAYMENTS = 40
# Of each kind: what is chosen of a large consortium.
CHOSEN_EACH = 4
NO_SECTOR = "(no sector)"


def chosen(solution: Solution) -> list[int]:
    """Return the organizations to show, in order: all, or those at the ends of a large consortium.

    Of a large one: those that receive most, pay most, contribute most and have the lowest payoff.
    """
    game = solution.game
    if game.size <= SHOWN_ORGANIZATIONS:
        return list(range(game.size))
    x = game.resource(solution.profile)
    ranks = (-solution.terms.redistribution, solution.terms.redistribution, -x, solution.payoffs)
    ends = [np.argsort(rank, kind="stable")[:CHOSEN_EACH] for rank in ranks]
    return sorted({int(i) for end in ends for i in end})


def competition_pairs(game: CoopetitionGame, who: Sequence[int]) -> pd.DataFrame:
    """Return rho between the chosen: ``first``, ``second``, ``intensity``, both orders.

    Nobody competes with itself: those pairs are left out, unless there are no others.
    """
    names = [game.name_of(i) for i in who]
    rows = []
    for name, i in zip(names, who, strict=True):
        competitors, rho = game.competition.row(i)
        of = dict(zip(competitors.tolist(), rho.tolist(), strict=True))
        rows += [(name, other, of.get(j, 0.0)) for other, j in zip(names, who, strict=True)]
    if len(who) > 1:
        rows = [row for row in rows if row[0] != row[1]]
    return pd.DataFrame(rows, columns=["first", "second", "intensity"])


def gains_over_alone(solution: Solution, who: Sequence[int]) -> pd.DataFrame:
    """Return ``organization``, ``gain``, ``label``: what each gains over training alone."""
    gain = solution.gain_over_alone
    digits = 0 if solution.game.currency else max(digits_of([float(g) for g in gain]) - 3, 0)
    return pd.DataFrame(
        [(solution.game.name_of(i), float(gain[i]), signed(float(gain[i]), digits)) for i in who],
        columns=["organization", "gain", "label"],
    )


def tornado(found: Sensitivity, most: int = SHOWN_ORGANIZATIONS) -> pd.DataFrame:
    """Return ``figure``, ``payment_of``, ``low``, ``high``, ``right`` of the widest bars."""
    rows = [
        (
            found.label(bar),
            f"payment of {bar.payment_of}",
            bar.low,
            bar.high,
            max(bar.low, bar.high),
        )
        for bar in found.tornado
        if bar.low is not None and bar.high is not None
    ]
    return pd.DataFrame(rows[:most], columns=["figure", "payment_of", "low", "high", "right"])


def payoff_bands(found: Sensitivity, who: Sequence[int]) -> pd.DataFrame:
    """Return ``organization``, ``p5``, ``p50``, ``p95`` of the payoffs over all draws."""
    rows = [
        (found.consortium.names[i], *np.percentile(found.payoff[:, i], (5.0, 50.0, 95.0)).tolist())
        for i in who
    ]
    return pd.DataFrame(rows, columns=["organization", "p5", "p50", "p95"])


def corridor(found: Stability, who: Sequence[int]) -> pd.DataFrame:
    """Return ``organization``, ``alone``, ``payoff``, ``marginal`` and ``least_core``."""
    chosen_ = list(who)
    return pd.DataFrame(
        {
            "organization": [found.game.name_of(i) for i in chosen_],
            "alone": found.alone[chosen_],
            "payoff": found.payoff[chosen_],
            "marginal": found.marginal[chosen_],
            "least_core": found.least_core[chosen_],
        }
    )


def members_of(
    sectors: Sequence[str | None],
) -> tuple[list[str], npt.NDArray[np.bool_]] | None:
    """Return the sectors, and who belongs to each, shape ``(sectors, N)``.

    ``None`` if nobody names a sector, or they are more than can be shown.
    """
    names = sorted({sector or NO_SECTOR for sector in sectors})
    if not any(sectors) or not 1 < len(names) <= SHOWN_ORGANIZATIONS:
        return None
    return names, np.array(
        [[(sector or NO_SECTOR) == name for sector in sectors] for name in names]
    )


def competition_of_sectors(
    game: CoopetitionGame, sectors: Sequence[str | None]
) -> pd.DataFrame | None:
    """Return the mean rho between two organizations of each two sectors.

    ``None`` as :func:`members_of`.
    """
    found = members_of(sectors)
    if found is None:
        return None
    names, member = found
    counts = member.sum(axis=1)
    rows = []
    for k, name in enumerate(names):
        to_sector = game.competition.dot(member[k].astype(float))
        for j, other in enumerate(names):
            pairs = counts[k] * (counts[j] - (1 if j == k else 0))
            total = float(to_sector[member[j]].sum())
            rows.append((other, name, total / pairs if pairs else 0.0))
    return pd.DataFrame(rows, columns=["first", "second", "intensity"]).sort_values(
        ["first", "second"], ignore_index=True
    )


def contributions(solution: Solution, who: Sequence[int]) -> pd.DataFrame:
    """Return what the chosen contribute; the columns are in bits, hertz and seconds."""
    game, profile = solution.game, solution.profile
    x = game.resource(profile)
    chosen_ = np.asarray(who, dtype=np.intp)
    bits = profile.data_fraction * game.data_bits
    # As settled, who reports nothing has contributed no frequency either.
    training = np.divide(
        game.cycles_per_bit * bits,
        profile.cpu_hz,
        out=np.zeros_like(bits),
        where=profile.cpu_hz > 0.0,
    )
    return pd.DataFrame(
        {
            "organization": [game.name_of(i) for i in who],
            "data_fraction": profile.data_fraction[chosen_],
            "cpu_hz": profile.cpu_hz[chosen_],
            "contribution_bits": bits[chosen_],
            "resource_bits": x[chosen_],
            "training_seconds": training[chosen_],
        }
    )


def payoff_steps(solution: Solution, who: Sequence[int], *, from_revenue: bool) -> pd.DataFrame:
    """Return each payoff as steps: ``organization``, ``step``, ``start``, ``end``, ``label``.

    From zero to the payoff; or, from the revenue on, what is taken from it and added to it.
    """
    terms = solution.terms
    parts = {
        "overhead": -terms.overhead,
        "damage": -terms.damage,
        "redistribution": terms.redistribution,
    }
    chosen_ = np.asarray(who, dtype=np.intp)
    drawn = [*parts.values()] if from_revenue else [terms.revenue, terms.payoff]
    digits = max(digits_of(np.concatenate([column[chosen_] for column in drawn])) - 2, 0)
    rows: list[tuple[str, str, float, float, str]] = []
    for i in who:
        rows += _steps_of(
            solution.game.name_of(i),
            float(terms.revenue[i]),
            {name: float(part[i]) for name, part in parts.items()},
            digits,
            from_revenue,
        )
    return pd.DataFrame(rows, columns=["organization", "step", "start", "end", "label"])


def total_steps(solution: Solution) -> pd.DataFrame:
    """Return the steps of all payoffs together, from zero to the social welfare."""
    terms = solution.terms
    revenue = float(terms.revenue.sum())
    parts = {
        "overhead": -float(terms.overhead.sum()),
        "damage": -float(terms.damage.sum()),
        "redistribution": float(terms.redistribution.sum()),
    }
    digits = max(digits_of([revenue]) - 2, 0)
    rows = _steps_of("all organizations together", revenue, parts, digits, False)
    return pd.DataFrame(rows, columns=["organization", "step", "start", "end", "label"])


def _steps_of(
    name: str, revenue: float, parts: Mapping[str, float], digits: int, from_revenue: bool
) -> list[tuple[str, str, float, float, str]]:
    first, *_, last = STEPS
    level = 0.0 if from_revenue else revenue
    rows = [] if from_revenue else [(name, first, 0.0, revenue, money(revenue, digits))]
    for step, amount in parts.items():
        rows.append((name, step, level, level + amount, signed(amount, digits)))
        level += amount
    if not from_revenue:
        rows.append((name, last, 0.0, level, money(level, digits)))
    return rows


def payments(solution: Solution) -> tuple[pd.DataFrame, bool]:
    """Return who pays whom, largest first, and whether these are all the payments.

    ``payer``, ``receiver``, ``amount``. Beyond :data:`MAX_TRANSFERS_ORGANIZATIONS` there would be
    too many pairs: then those in which the organizations of :func:`chosen` take part.
    """
    game = solution.game
    complete = game.size <= MAX_TRANSFERS_ORGANIZATIONS
    if complete:
        settled = solution.transfers()
    else:
        settled = list(
            dict.fromkeys(transfer for i in chosen(solution) for transfer in solution.transfers(i))
        )
    settled.sort(key=lambda payment: -payment[2])
    rows = [(game.name_of(payer), game.name_of(to), amount) for payer, to, amount in settled]
    return pd.DataFrame(rows, columns=["payer", "receiver", "amount"]), complete


def drawn_payments(paid: pd.DataFrame) -> pd.DataFrame:
    """Return the largest payments, as many as a network of them stays readable."""
    parties: set[str] = set()
    for k, (payer, receiver) in enumerate(zip(paid["payer"], paid["receiver"], strict=True)):
        parties |= {payer, receiver}
        if k == SHOWN_PAYMENTS or len(parties) > SHOWN_ORGANIZATIONS:
            return paid.head(k)
    return paid


def payments_of_sectors(
    solution: Solution, sectors: Sequence[str | None]
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return what all of a sector pay all of another, net, and what each sector gets in all.

    As :func:`payments` and :func:`net_payments`, with sectors for organizations; ``None`` as
    :func:`members_of`, and where a mechanism does not settle pair by pair. Sums over
    pairs, from products of the rule alone.
    """
    found = members_of(sectors)
    if found is None or not solution.game.mechanism.pairwise:
        return None
    names, member = found
    game = solution.game
    received = np.empty((len(names), len(names)))  # by the first from the second
    for k, payers in enumerate(member.astype(float)):
        received[:, k] = member @ game.rule.received_from(game, solution.profile, payers)
    rows = [
        (names[k], names[j], float(received[j, k]))
        for j in range(len(names))
        for k in range(len(names))
        if j != k and received[j, k] > 0.0
    ]
    rows.sort(key=lambda row: -row[2])
    in_all = member @ solution.terms.redistribution
    order = np.argsort(-in_all, kind="stable")
    digits = max(digits_of(in_all) - 3, 0)
    net = pd.DataFrame(
        {
            "organization": [names[k] for k in order],
            "amount": in_all[order],
            "label": [signed(float(amount), digits) for amount in in_all[order]],
        }
    )
    return pd.DataFrame(rows, columns=["payer", "receiver", "amount"]), net


def rule_gains(comparison: Comparison, who: Sequence[int]) -> pd.DataFrame:
    """Return what the chosen gain under each rule: ``organization``, ``rule``, ``gain``."""
    name_of = comparison.optimum.game.name_of
    rows = [
        (name_of(i), outcome.title, float(outcome.gain[i]))
        for i in who
        for outcome in comparison.outcomes[1:]
    ]
    return pd.DataFrame(rows, columns=["organization", "rule", "gain"])


def net_payments(solution: Solution, drawn: pd.DataFrame) -> pd.DataFrame:
    """Return what those who take part in the payments get in all, in order of that.

    ``organization``, ``amount``, ``label``: for :func:`tradefl.charts.payment_network`.
    """
    game, received = solution.game, solution.terms.redistribution
    if game.mechanism.payee is not None:
        received = np.append(received, solution.terms.paid_out)
    taking_part = {*drawn["payer"], *drawn["receiver"]}
    if game.size <= SHOWN_ORGANIZATIONS:
        taking_part = {game.name_of(i) for i in range(received.size)}
    order: npt.NDArray[np.intp] = np.argsort(-received, kind="stable")
    who = [int(i) for i in order if game.name_of(int(i)) in taking_part]
    digits = max(digits_of(received[who]) - 3, 0) if who else 2
    return pd.DataFrame(
        {
            "organization": [game.name_of(i) for i in who],
            "amount": [float(received[i]) for i in who],
            "label": [signed(float(received[i]), digits) for i in who],
        }
    )


def gamma_curve(tuning: Tuning) -> pd.DataFrame:
    """Return welfare at the gammas tried, from a decade below the first that changes anything.

    ``gamma`` > 0 (zero has no place on a logarithmic axis), ``welfare``, ``rational``.
    """
    points = [point for point in tuning.curve if point.incentive_intensity > 0.0]
    before = tuning.without.social_welfare
    effective = [
        point.incentive_intensity
        for point in points
        if abs(point.social_welfare - before) > 1e-9 * abs(before)
    ]
    if effective:
        points = [point for point in points if point.incentive_intensity >= effective[0] / 10.0]
    return pd.DataFrame(
        {
            "gamma": [point.incentive_intensity for point in points],
            "welfare": [point.social_welfare for point in points],
            "rational": [point.individually_rational for point in points],
        }
    )


def training_rounds(document: Mapping[str, Any]) -> pd.DataFrame:
    """Return accuracy and loss by round of a ``tradefl/training/1`` document; round 0 is before."""
    accuracy = [document["initial_accuracy"], *document["accuracy"]]
    loss = [document["initial_loss"], *document["loss"]]
    return pd.DataFrame({"round": range(len(accuracy)), "accuracy": accuracy, "loss": loss})
