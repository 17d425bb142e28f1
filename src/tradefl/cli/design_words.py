"""The efficient rule in words and tables, as `tradefl design` prints it."""

from __future__ import annotations

from tradefl.cli.output import (
    TABLE_ROWS,
    amounts_in,
    print_facts,
    print_table,
    say,
    shown_digits,
    yes_no,
)
from tradefl.cli.solve import better_than_alone
from tradefl.design import Design
from tradefl.game.money import unit_of
from tradefl.incentives.radius import radius_words
from tradefl.incentives.truthful import Proof, exact_steps
from tradefl.stability.words import share
from tradefl.statement import money


def print_proof(proof: Proof, found: Design) -> None:
    """Print what may be reported, what honesty earns, and what was tried."""
    unit, found = unit_of(found.agreed.game), found.in_currency()
    game, menus = found.agreed.game, proof.menus
    digits = shown_digits(found.agreed.payoffs, game)
    if menus.claimant is None:
        left = found.agreed.terms.paid_out
        who = f"all are asked; {game.rule.payee} receives what is left, {left:,.{digits}f}"
    else:
        who = f"{game.name_of(menus.claimant)} is not asked and receives the remainder"
    say(f"\nHonesty pays: {who}\n")
    print_table(
        ["organization", "reports", "menu from", "to", "points", "rent", "rebate"],
        [
            [
                game.name_of(i),
                f"{menus.fields[i]} = {menus.reports[i]:,.6g}",
                f"{menus.points[i].min():,.6g}",
                f"{menus.points[i].max():,.6g}",
                f"{menus.points[i].size}",
                money(float(proof.rents[i]) * unit, digits),
                money(float(proof.rebates[i]) * unit, digits),
            ]
            for i in menus.asked
        ],
        left=(0, 1),
    )
    welfare, surplus = found.agreed.social_welfare, proof.surplus * unit
    exact = [i for i in menus.asked if exact_steps(game, menus.fields[i], i)]
    print_facts(
        [
            ("surplus", f"{surplus:,.{digits}f}, {surplus / welfare:.3%} of welfare"),
            *(
                [
                    (
                        "",
                        "there is no gain to share: without compensation everybody already "
                        "contributes what is best for all",
                    )
                ]
                if proof.nothing_to_share
                else []
            ),
            (
                "least surplus",
                f"{proof.least_surplus * unit:,.{digits}f} at {proof.profiles_tried:,} profiles of "
                "reports that were tried: no outside money",
            ),
            (
                "holds",
                "ex post: if the others are honest, no report from the menu gains, whatever the "
                "true figures in the menus"
                + ("; for costs also after any contribution of your own" if exact else ""),
            ),
            ("does not cover", "figures that are not reported, and organizations that collude"),
            *([("ironed", f"{len(proof.ironed)} menu points dropped")] if proof.ironed else []),
        ]
    )


def range_facts(found: Design, digits: int) -> list[tuple[str, str]]:
    """Return how wrong the figures may be, and what the bonds must cover."""
    facts = [("self-enforcing", radius_words(found.radius, found.agreed.game))]
    if found.robust > 0.0:
        more = found.bonds.sum() - found.usual_bonds.sum()
        facts += [
            (
                f"  robust to {found.robust:.4g}",
                f"{yes_no(found.obeys)}: nobody gains by contributing less while profitability is "
                f"off by at most {found.robust:.4g} of itself",
            ),
            (
                "bonds",
                f"{found.bonds.sum():,.{digits}f} in all, {more:,.{digits}f} of it for the range",
            ),
        ]
    else:
        facts.append(("bonds", f"{found.bonds.sum():,.{digits}f} in all"))
    return facts


def _margin_facts(found: Design, digits: int) -> list[tuple[str, str]]:
    """Return by how much every coalition would lose by leaving, with the target stable."""
    if found.core is None:
        return []
    margin, total = found.core.margin, found.agreed.social_welfare
    proof = "proven" if found.core.certified else "not proven"
    if found.core.proven is not None and found.core.proven > 0.0:
        proof = f"of that {found.core.proven:,.{digits}f} is proven"
    return [
        (
            "margin",
            f"{margin:,.{digits}f} ({share(margin, total)}): every coalition would lose at "
            f"least that much by leaving; {proof}",
        )
    ]


def print_design(found: Design) -> None:
    """Print what everybody gives and gains, and what was verified."""
    found = found.in_currency()
    game, agreed = found.agreed.game, found.agreed
    digits = shown_digits(agreed.payoffs, game)
    say(f"{game.title}: the efficient rule, {found.target}{amounts_in(game)}\n")
    columns = (
        found.without.payoffs,
        agreed.payoffs,
        found.gain,
        agreed.gain_over_alone,
        found.rule.net_constants,
    )
    left = float(agreed.terms.paid_out)
    paid = money(left, digits)
    payee = [[game.rule.payee, "", "", "", "", paid, paid, "", paid]] if game.rule.payee else []
    print_table(
        [
            *("organization", "data d", "without", "CPU GHz"),
            *("payoff without", "payoff", "gain", "over alone", "redistribution"),
        ],
        [
            [
                game.name_of(i),
                f"{agreed.profile.data_fraction[i]:.6f}",
                f"{found.without.profile.data_fraction[i]:.6f}",
                f"{agreed.profile.cpu_hz[i] / 1e9:.4g}",
                *(money(float(column[i]), digits) for column in columns),
            ]
            for i in range(min(game.size, TABLE_ROWS))
        ]
        + payee,
        footer=[
            "sum",
            f"{agreed.profile.data_fraction.sum():.6f}",
            f"{found.without.profile.data_fraction.sum():.6f}",
            "",
            *(
                money(float(column.sum()) + more, digits)
                for column, more in zip(columns, (0.0, left, left, 0.0, left), strict=True)
            ),
        ],
        total=game.size + len(payee),
    )
    scale = agreed.certificate.payoff_scale
    bound = found.optimum.welfare_bound
    reached = f"{found.reached} of {len(found.starts)}"
    anarchy = found.price_of_anarchy
    print_facts(
        [
            (
                "social welfare",
                f"{agreed.social_welfare:,.{digits}f} (proven: at most {bound:,.{digits}f})",
            ),
            ("  without compensation", f"{found.without.social_welfare:,.{digits}f}"),
            ("price of anarchy", "-" if anarchy is None else f"{anarchy:.6f}"),
            (
                "max regret",
                f"{(found.exact_regret / scale).max():.3g} of the payoff's terms with the exact "
                "schedules",
            ),
            (
                "  as settled",
                f"{(found.settled_regret / scale).max():.3g} with straight pieces, to the wei",
            ),
            ("better than alone", better_than_alone(agreed)),
            *_margin_facts(found, digits),
            ("budget imbalance", f"{agreed.certificate.budget_imbalance:.3g}"),
            ("payments", f"{found.cash:,.{digits}f} in all"),
            *range_facts(found, digits),
            ("best responses", f"lead to the optimum from {reached} starts"),
        ]
    )
    for start in found.starts:
        if not start.reached:
            say(f"  not from: {start.name} (welfare {start.social_welfare:,.{digits}f})")
