"""The sections of proof: the certificate in plain words, and what another gamma would do."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradefl import charts
from tradefl.incentives.radius import radius
from tradefl.report import frames
from tradefl.report.blocks import (
    Block,
    Column,
    Fact,
    Facts,
    Figure,
    Listing,
    Section,
    Table,
    Text,
    amounts,
    counted,
    digits_of,
)
from tradefl.report.rule_words import words_of
from tradefl.solvers import Solution
from tradefl.solvers.solution import REGRET_TOLERANCE
from tradefl.statement import money
from tradefl.tuning import Tuning

# The budget balances if what is left is rounding of the terms that were added.
BALANCE_TOLERANCE = 1e-12
# Rows of the table of gammas, and how many losers are named.
CURVE_ROWS = 25
NAMED = 5
STATUS = {
    "optimal": "Proven: no outcome has a higher potential U, Eq. (18).",
    "equilibrium": "Stable: nobody gains by changing its own contribution alone.",
    "feasible": "Not stable: everybody keeps the rules, but somebody would gain by changing alone.",
    "iteration_limit": "Not finished: the method stopped at its limit. Do not sign this.",
    "infeasible": "Against the rules: somebody breaks the deadline or another limit.",
}


def status_words(solution: Solution) -> str:
    """Return what the status of a solution means."""
    words = STATUS[solution.status]
    if solution.status == "optimal":
        stable = solution.certificate.is_equilibrium(REGRET_TOLERANCE)
        words += (
            " Nobody gains by changing its own contribution alone."
            if stable
            else " The largest regret says how much somebody could still gain by changing alone."
        )
    return words


def opening_words(solution: Solution) -> str:
    """Return the first sentence of the page: whether the contributions hold, without a symbol.

    A contribution that nobody would change alone does not hold where its organization would
    rather not join at all.
    """
    stable = solution.certificate.is_equilibrium(REGRET_TOLERANCE)
    if not stable or solution.status not in ("optimal", "equilibrium"):
        return status_words(solution)
    leaving, size = int(solution.below_alone.size), solution.game.size
    if not leaving:
        return "These contributions hold: nobody gains by contributing more or less than this."
    who = "each of them" if leaving == size else f"{leaving:,} of {size:,}"
    return (
        f"These contributions do not hold: {who} would rather train alone. Among those that take "
        "part nobody gains by contributing more or less than this."
    )


def certificate_section(solution: Solution) -> Section:
    """Return the certificate: what was checked, what came out, and what that means."""
    certificate, game = solution.certificate, solution.game
    blocks: list[Block] = [
        Text(status_words(solution), strong=solution.status in ("iteration_limit", "infeasible")),
        Text(
            "The checks below do not trust the solver that found the contributions. They start "
            "again from the payoff, Eq. (11), and look through everything that each organization "
            "could do instead."
        ),
        Table(
            "certificate",
            "What was checked, and what it means for a partner",
            (
                Column("check", text=True),
                Column("equation", text=True),
                Column("result", text=True),
                Column("number"),
                Column("what it means", text=True),
            ),
            _checks(solution),
        ),
        Text(range_text(solution)),
    ]
    remarks = [*solution.remarks]
    worst = int(certificate.regret.argmax())
    if not certificate.is_equilibrium(REGRET_TOLERANCE):
        remarks.append(
            f"{game.name_of(worst)} would gain most by changing alone: "
            f"{amounts([certificate.max_regret])[0]}."
        )
    if remarks:
        blocks.append(Listing(remarks))
    return Section("certificate", "Can it be trusted? The certificate", blocks)


def range_text(solution: Solution) -> str:
    """Return how wrong profitability may be before somebody leaves the contribution."""
    game = solution.game
    if not game.mechanism.pairwise:
        return (
            "How wrong may the figures be? That is not worked out for a mechanism without a "
            "contract."
        )
    found = radius(game, solution.profile)
    start = (
        "How wrong may the figures be? The certificate takes everybody's profitability as given. "
    )
    if found.interior.size:
        named = ", ".join(game.name_of(int(i)) for i in found.interior[:NAMED])
        more = found.interior.size - NAMED
        return start + (
            f"The best answer of {named}{f' and {more:,} more' if more > 0 else ''} is interior: "
            "any error in its figures moves it a little. tradefl design with --robust makes "
            "schedules that hold for a range."
        )
    who = game.name_of(found.weakest)
    if found.share >= 1.0:
        return start + "It holds for any profitability up to twice what the file says."
    return start + (
        f"It holds as long as nobody's is off by more than {found.share:.2%}; beyond that {who} "
        "is the first that may gain by contributing something else."
    )


def _checks(solution: Solution) -> list[tuple[str, str, str, str, str]]:
    certificate, payoff = solution.certificate, solution.payoffs
    lowest = int(payoff.argmin())
    stable = certificate.is_equilibrium(REGRET_TOLERANCE)
    losers = int((payoff < 0.0).sum())
    gross = float(
        solution.game.mechanism.gross_redistribution(solution.game, solution.profile).sum()
    )
    balanced = certificate.budget_imbalance <= BALANCE_TOLERANCE * gross
    gap = (
        None
        if solution.upper_bound is None
        else max(solution.upper_bound - solution.potential, 0.0)
    )
    return [
        (
            "the rules are kept",
            "Eq. (13)",
            "yes" if certificate.feasible else "no",
            "",
            "Everybody contributes at least D_min, at one of its CPU levels, before the deadline.",
        ),
        (
            "no regret (Nash equilibrium)",
            "Eq. (12)",
            "yes" if stable else "no",
            f"{certificate.max_regret:.3g}",
            "The most that any organization could gain by contributing something else while the "
            "others stay. Near zero means: your best answer to the others is what this report "
            "says, so you have no reason to break the agreement. What remains is rounding if it "
            f"is below {REGRET_TOLERANCE:g} of the size of the payoff's terms.",
        ),
        (
            "the highest potential",
            "Eq. (18)",
            "not proven" if gap is None else "yes" if solution.status == "optimal" else "no",
            "" if gap is None else f"{gap:.3g}",
            "U rises whenever anybody improves its payoff alone, so where it is highest nobody "
            "wants to move. It says which of several stable outcomes this is; another may have "
            "a higher welfare. "
            + (
                "This method proves no bound on it."
                if gap is None
                else "The number is how far U is from a bound that nothing can exceed."
            ),
        ),
        (
            "budget balance",
            "Eq. (10)",
            "yes" if balanced else "no",
            f"{certificate.budget_imbalance:.3g}",
            "The sum of all payments received less all payments made. Zero up to rounding means: "
            "the agreement pays for itself, and nobody outside has to add or gets money.",
        ),
        (
            "better than alone",
            "",
            "yes" if solution.better_than_alone else "no",
            amounts([float(solution.gain_over_alone.min())])[0],
            "The least that anybody gains over training a model on its own data only: that of "
            + solution.game.name_of(int(np.argmin(solution.gain_over_alone)))
            + ". An organization that stays out can do that, so this is what it weighs.",
        ),
        (
            "individual rationality",
            "Definition 3",
            "yes" if certificate.individually_rational else "no",
            amounts([float(payoff[lowest])])[0],
            "The lowest payoff, that of "
            + solution.game.name_of(lowest)
            + (
                ". It is not negative: nobody is worse off than without any model."
                if certificate.individually_rational
                else f". {counted(losers, 'organization')} would lose by taking part and should "
                "not sign; a smaller gamma may help (see below)."
            ),
        ),
    ]


def gamma_section(tuning: Tuning, solution: Solution) -> Section:
    """Return how welfare changes with gamma, and which gamma serves the consortium best."""
    own, best = solution.game.incentive_intensity, tuning.best
    alone = tuning.participation == "alone"
    largest = tuning.largest_individually_rational
    everywhere = largest == float("inf")
    rule = solution.game.mechanism
    facts = (
        [] if not rule.uses_gamma else [Fact("gamma now", f"{own:g}", "Eq. (9)", "payoff per bit")]
    )
    blocks: list[Block] = [
        Text(
            "gamma is the price of a bit. A higher one rewards contributing more, which makes "
            "the model better; beyond some point the energy costs more than the model gains, and "
            "those who cannot contribute much pay ever more. Below, the equilibrium is "
            f"computed again for {len(tuning.curve):,} values of gamma with the method "
            f"{tuning.without.method}." + words_of(rule).without_gamma
        )
    ]
    marks = [("gamma now", own)] if own > 0.0 and rule.uses_gamma else []
    if best is None:
        blocks.append(
            Text(
                "At each gamma that was tried, some organization would earn more alone."
                if alone
                else "None of the gammas tried keeps every payoff non-negative.",
                strong=True,
            )
        )
    else:
        at_best = best.game.incentive_intensity
        facts += [
            Fact(
                "gamma*, the best",
                f"{at_best:.6g}",
                "Eq. (9)",
                "the highest welfare of those at which nobody would earn more alone"
                if alone
                else "the highest welfare of those at which nobody's payoff is negative",
            ),
            Fact("social welfare at gamma*", amounts([best.social_welfare])[0], "Eq. (11)"),
        ]
        if at_best > 0.0:
            marks.append(("gamma*, the best", at_best))
    facts += [
        Fact(
            "social welfare without payments",
            amounts([tuning.without.social_welfare])[0],
            "Eq. (11)",
            "at gamma = 0",
        ),
        Fact(
            "largest gamma at which no payoff is negative",
            "none" if largest is None else "all that were tried" if everywhere else f"{largest:g}",
            "Definition 3",
        ),
    ]
    blocks.append(Facts(facts))
    curve = frames.gamma_curve(tuning)
    if not len(curve):
        blocks.append(Text("Nobody competes, so gamma has no effect."))
        return Section("gamma", "What another gamma would do", blocks)
    top = curve.loc[curve["welfare"].idxmax()]
    blocks += [
        Figure(
            "gamma-curve",
            charts.inline_svg(
                charts.gamma_curve(
                    curve,
                    pd.DataFrame(marks, columns=["mark", "gamma"]),
                    negative="somebody's payoff is negative",
                ),
                name="gamma-curve",
                label="Social welfare against gamma",
                description=f"A curve over gamma from {curve['gamma'].iloc[0]:.2g} to "
                f"{curve['gamma'].iloc[-1]:.2g}. It is highest at {float(top['gamma']):.4g} with "
                f"{amounts([float(top['welfare'])])[0]}; at the right end it is "
                f"{amounts([float(curve['welfare'].iloc[-1])])[0]}. "
                + "; ".join(f"{name}: {gamma:.4g}" for name, gamma in marks)
                + ".",
            ),
            "Social welfare, Eq. (11), at the equilibrium of each gamma, Eq. (9). At "
            "gammas below those drawn nothing changes any more.",
        ),
        _curve_table(tuning, curve),
    ]
    if best is not None and tuning.gain is not None:
        blocks.append(Text(_who_gains(tuning, best)))
    return Section("gamma", "What another gamma would do", blocks)


def _curve_table(tuning: Tuning, drawn: pd.DataFrame) -> Table:
    """Return the curve at gamma = 0, at gamma* and at gammas evenly spaced where it is drawn."""
    gammas = drawn["gamma"].to_numpy()
    wanted = np.geomspace(gammas[0], gammas[-1], CURVE_ROWS)
    kept = {0.0, *(float(gammas[np.abs(np.log(gammas / gamma)).argmin()]) for gamma in wanted)}
    if tuning.best is not None:
        kept.add(tuning.best.game.incentive_intensity)
    rows = [point for point in tuning.curve if point.incentive_intensity in kept]
    digits = digits_of(point.social_welfare for point in rows)
    return Table(
        "gammas",
        f"The equilibrium at {len(rows)} of {len(tuning.curve):,} values of gamma",
        (
            Column("gamma", "Eq. (9)"),
            Column("social welfare", "Eq. (11)"),
            Column("performance P", "Eq. (4)"),
            Column("damage, all together", "Eq. (7)"),
            Column("sum of d", "Eq. (13)"),
            Column("nobody's payoff negative", "Definition 3", text=True),
        ),
        [
            (
                f"{point.incentive_intensity:.6g}",
                money(point.social_welfare, digits),
                f"{point.performance:.6f}",
                amounts([point.damage])[0],
                f"{point.total_data_fraction:.4f}",
                "yes" if point.individually_rational else "no",
            )
            for point in rows
        ],
        folded=True,
    )


def _who_gains(tuning: Tuning, best: Solution) -> str:
    """Return who is worse off at gamma* than without payments: welfare is a sum, not a promise."""
    gain = tuning.gain
    if gain is None:
        return ""
    before = abs(tuning.without.payoffs)
    losers = [int(i) for i in gain.argsort(kind="stable") if gain[i] < -1e-12 * before[i]]
    start = (
        f"Against gamma = 0, {best.game.size - len(losers):,} of "
        f"{counted(best.game.size, 'organization')} are at least as well off at gamma*."
    )
    if not losers:
        return start
    named = "; ".join(f"{best.game.name_of(i)} {amounts([gain[i]])[0]}" for i in losers[:NAMED])
    more = f"; and {len(losers) - NAMED:,} more" if len(losers) > NAMED else ""
    return f"{start} Worse off, although the sum is higher: {named}{more}."
