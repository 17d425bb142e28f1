"""``tradefl design``: compensation under which the social optimum is an equilibrium."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import click

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json, OneOf, Seed
from tradefl.cli.output import (
    TABLE_ROWS,
    note,
    print_facts,
    print_json,
    print_table,
    require_distinct,
    require_writable,
    say,
    status,
    yes_no,
)
from tradefl.consortium import load, write
from tradefl.consortium.schema import Settlement
from tradefl.design import RANDOM_STARTS, TARGETS, Design
from tradefl.design import design as design_game
from tradefl.errors import InputError
from tradefl.game.rules import MAX_BREAKPOINTS
from tradefl.incentives.radius import radius_words
from tradefl.statement import decimals, money


def design(
    file: File,
    output: Annotated[
        Path | None,
        Option(
            "--output",
            "-o",
            help="Where to write the consortium under the efficient rule; without it, nowhere.",
        ),
    ] = None,
    target: Annotated[
        str,
        Option(
            "--target",
            help="How the gain is split: equally, in proportion to the payoffs without "
            "compensation, or with the least cash.",
            type=OneOf(TARGETS),
        ),
    ] = "equal-gain",
    robust: Annotated[
        float,
        Option(
            "--robust",
            help="Make schedules so steep that nobody gains by contributing less while "
            "profitability is off by at most this share: 0.2 is 20 %.",
        ),
    ] = 0.0,
    breakpoints: Annotated[
        int,
        Option("--breakpoints", min=4, max=MAX_BREAKPOINTS, help="Of each schedule, at most."),
    ] = MAX_BREAKPOINTS,
    starts: Annotated[
        int, Option("--starts", min=0, help="Random starts of best responses to try.")
    ] = RANDOM_STARTS,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Design the efficient rule: nobody gains by deviating from what is best for all.

    It needs everybody's figures: each schedule is computed from the others' profitability.

    Example: tradefl design examples/drug_discovery.toml -o designed.toml
    """
    if output is not None:
        require_distinct({"FILE": file, "--output": output})
        require_writable(output)
    with status(f"designing {file}") as show:
        consortium = load(file)
        terms = consortium.settlement or Settlement()
        try:
            found = design_game(
                consortium.game,
                target,  # type: ignore[arg-type]  # one of them: the option sees to it
                robust=robust,
                breakpoints=breakpoints,
                wei_per_payoff=terms.wei_per_payoff,
                seed=seed,
                random_starts=starts,
                watch=lambda what: show(f"designing {file}: {what}"),
            )
        except ValueError as error:
            name, _, what = str(error).partition(": ")
            place = {
                "target": "--target",
                "seed": "--seed",
                "robust": "--robust",
                "wei_per_payoff": f"{file}: settlement.wei_per_payoff",
            }
            raise InputError.at(place.get(name, f"{file}: {name}"), what) from None
    for remark in found.optimum.remarks:
        note(remark)
    if as_json:
        print_json(found.to_dict())
    else:
        print_design(found)
    if not found.verified():
        note("the rule is not verified: somebody gains by deviating, or is worse off; not written")
        raise click.exceptions.Exit(1)
    if output is not None:
        write(consortium.designed(found.rule, target), output)
        note(f"wrote {output}; try: tradefl compare {quote(str(output))}")


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


def print_design(found: Design) -> None:
    """Print what everybody gives and gains, and what was verified."""
    game, agreed = found.agreed.game, found.agreed
    digits = min(decimals(agreed.payoffs) - 3, 8)
    say(f"{game.title}: the efficient rule, {found.target}\n")
    columns = (
        found.without.payoffs,
        agreed.payoffs,
        found.gain,
        found.rule.net_constants,
    )
    print_table(
        [
            *("organization", "data d", "without", "CPU GHz"),
            *("payoff without", "payoff", "gain", "redistribution"),
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
        ],
        footer=[
            "sum",
            f"{agreed.profile.data_fraction.sum():.6f}",
            f"{found.without.profile.data_fraction.sum():.6f}",
            "",
            *(money(float(column.sum()), digits) for column in columns),
        ],
        total=game.size,
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
            ("budget imbalance", f"{agreed.certificate.budget_imbalance:.3g}"),
            ("payments", f"{found.cash:,.{digits}f} in all"),
            *range_facts(found, digits),
            ("best responses", f"lead to the optimum from {reached} starts"),
        ]
    )
    for start in found.starts:
        if not start.reached:
            say(f"  not from: {start.name} (welfare {start.social_welfare:,.{digits}f})")
