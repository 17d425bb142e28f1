"""``tradefl compare``: the rules side by side, and who gains or loses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json, OneOf
from tradefl.cli.output import (
    amounts_in,
    note,
    print_facts,
    print_json,
    print_table,
    require_distinct,
    require_writable,
    say,
    shown_digits,
    status,
)
from tradefl.comparison import MECHANISMS
from tradefl.comparison import compare as compare_rules
from tradefl.consortium import load
from tradefl.consortium.files import atomic_write
from tradefl.design import TARGETS
from tradefl.errors import InputError
from tradefl.mechanisms import BUILT_IN
from tradefl.outcomes import Comparison
from tradefl.statement import money

DRAWN = (".svg", ".png", ".html")
# Beyond so many organizations stability and the other splits take minutes: only when asked for.
AT_ONCE = 60
# The same for each is left to those who ask: nobody proposes it, and no coalition accepts it.
ALL = ",".join(name for name in MECHANISMS if name != "equal")


def compare(
    file: File,
    target: Annotated[
        str | None,
        Option(
            "--target",
            help="Design the efficient rule with this target; default: the file's rule, or "
            "equal-gain where it has none.",
            type=OneOf(TARGETS),
        ),
    ] = None,
    mechanisms: Annotated[
        str | None,
        Option(
            "--mechanisms",
            help="Other mechanisms, separated by commas. Splits of what is earned at the optimum: "
            f"{', '.join(MECHANISMS)}. At their equilibrium: "
            f"{', '.join(name for name in BUILT_IN if name not in MECHANISMS)}, and those of other "
            f"packages; none for none. Default: all splits up to {AT_ONCE} organizations, none "
            "beyond.",
        ),
    ] = None,
    as_json: Json = False,
    chart: Annotated[
        Path | None,
        Option("--chart", help="Draw what each gains under each rule here: .svg, .png or .html."),
    ] = None,
) -> None:
    """Compare no compensation, the paper's gamma, the best gamma, and the efficient rule.

    Example: tradefl compare examples/drug_discovery.toml
    """
    if chart is not None:
        _require_drawable(file, chart)
    with status(f"comparing {file}") as show:
        consortium = load(file)
        small = len(consortium) <= AT_ONCE
        named = (mechanisms if mechanisms is not None else "" if not small else ALL).split(",")
        if mechanisms == "none":
            named = []
        named = [name.strip() for name in named]
        if mechanisms is not None and (not all(named) or len({*named}) < len(named)):
            what = f"expected names separated by commas, each once, or none, got {mechanisms!r}"
            raise InputError.at("--mechanisms", what)
        try:
            found = compare_rules(
                consortium,
                target=target,  # type: ignore[arg-type]  # the option sees to it
                mechanisms=[name for name in named if name],
                test_stability=small or mechanisms not in (None, "none"),
                watch=lambda what: show(f"comparing {file}: {what}"),
            )
        except ValueError as error:
            name, _, what = str(error).partition(": ")
            flags = {"target": "--target", "mechanisms": "--mechanisms"}
            raise InputError.at(flags.get(name, f"{file}: {name}"), what) from None
    for remark in found.remarks:
        note(remark)
    if chart is not None:
        _draw(found, chart)
    if as_json:
        print_json(found.to_dict())
    else:
        print_comparison(found)


def _require_drawable(file: Path, chart: Path) -> None:
    """Refuse a place where no chart can be drawn, before the work is done."""
    if chart.suffix not in DRAWN:
        what = f"expected a name that ends in one of {', '.join(DRAWN)}, got {chart.name!r}"
        raise InputError.at("--chart", what)
    require_distinct({"FILE": file, "--chart": chart})
    require_writable(chart)
    import tradefl.charts  # noqa: F401  says what to install where it is missing


def _draw(found: Comparison, place: Path) -> None:
    from tradefl import charts
    from tradefl.report import frames

    drawn = charts.rule_gains(
        frames.rule_gains(found, frames.chosen(found.optimum)), title=found.optimum.game.title
    )
    content = getattr(charts, place.suffix.removeprefix("."))(drawn)
    drawing = content if isinstance(content, bytes) else content.encode()
    atomic_write(place, drawing, private=True)
    note(f"wrote {place}")


def print_comparison(found: Comparison) -> None:
    """Print a row a rule, then what each organization gains under it."""
    found = found.in_currency()
    game, outcomes = found.optimum.game, found.outcomes
    digits = shown_digits(found.optimum.payoffs, game)
    say(f"{game.title}: rules side by side{amounts_in(game)}\n")
    print_table(
        [
            *("rule", "social welfare", "price of anarchy", "gap closed", "sum of d"),
            *("performance", "payments", "gain", "lose", "below alone", "stable?"),
        ],
        [
            [
                outcome.title,
                f"{outcome.solution.social_welfare:,.{digits}f}",
                "-" if outcome.price_of_anarchy is None else f"{outcome.price_of_anarchy:.6f}",
                "-" if outcome.gap_closed is None else f"{100.0 * outcome.gap_closed:.2f} %",
                f"{outcome.solution.profile.data_fraction.sum():.4f}",
                f"{outcome.solution.terms.performance:.6f}",
                money(outcome.payments, digits),
                f"{outcome.gainers}",
                f"{outcome.losers}",
                f"{outcome.below_alone}",
                outcome.stable or "-",
            ]
            for outcome in outcomes
        ],
    )
    say("What each gains over no compensation\n")
    print_table(
        ["organization", "payoff without", *(outcome.rule for outcome in outcomes[1:])],
        [
            [
                game.name_of(i),
                money(float(outcomes[0].solution.payoffs[i]), digits),
                *(money(float(outcome.gain[i]), digits) for outcome in outcomes[1:]),
            ]
            for i in range(game.size)
        ],
        footer=[
            "sum",
            money(outcomes[0].solution.social_welfare, digits),
            *(money(float(outcome.gain.sum()), digits) for outcome in outcomes[1:]),
        ],
        total=game.size,
    )
    bound = found.optimum.welfare_bound
    print_facts(
        [
            ("social optimum", f"{found.optimum.social_welfare:,.{digits}f}"),
            ("proven bound", f"{bound:,.{digits}f}"),
            *(
                (
                    f"deficit of {outcome.rule}",
                    f"{outcome.deficit:,.{digits}f} from outside, so that all can be paid",
                )
                for outcome in outcomes
                if outcome.deficit > 0.0
            ),
        ]
    )
