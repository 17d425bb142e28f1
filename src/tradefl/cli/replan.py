"""``tradefl replan``: what a change of members or figures does to everybody."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

from tradefl.cli.declaring import Argument, Option
from tradefl.cli.options import Json, OneOf
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
    yes_no,
)
from tradefl.consortium import Consortium, load, write
from tradefl.design import TARGETS
from tradefl.errors import InputError
from tradefl.replan import Replan
from tradefl.replan import replan as replan_consortia
from tradefl.statement import money


def replan(
    old: Annotated[Path, Argument(help="The consortium file as agreed.")],
    new: Annotated[Path, Argument(help="The consortium file as it would be.")],
    output: Annotated[
        Path | None,
        Option(
            "--output",
            "-o",
            help="Where to write the new consortium under the efficient rule; without it, nowhere.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        Option(
            "--target",
            help="How the new design splits; default: as for design.",
            type=OneOf(TARGETS),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say who joined, left or changed, and who would have to be paid to agree.

    Example: tradefl replan old.toml new.toml -o designed.toml
    """
    if output is not None:
        require_distinct({"OLD": old, "NEW": new, "--output": output})
        require_writable(output)
    with status(f"from {old} to {new}") as show:
        before, after = load(old), _without_rule(new)
        try:
            found = replan_consortia(
                before,
                after,
                target,  # type: ignore[arg-type]  # one of them: the option sees to it
                watch=lambda what: show(f"from {old} to {new}: {what}"),
            )
        except ValueError as error:
            name, _, what = str(error).partition(": ")
            places = {"target": "--target", "new": str(new)}
            raise InputError.at(places.get(name, f"{new}: {name}"), what) from None
    if as_json:
        print_json(found.to_dict())
    else:
        print_replan(found)
    if output is not None:
        write(after.designed(found.designed.rule, found.designed.target), output)
        note(f"wrote {output}; try: tradefl stability {quote(str(output))}")


def _without_rule(file: Path) -> Consortium:
    """Return the new consortium; an efficient rule in it may still be that of the old members."""
    return load(file, ignore_compensation=True)


def print_replan(found: Replan) -> None:
    """Print who joined, left or changed, with payoffs before and after."""
    found = found.in_currency()
    changes, game = found.changes, found.designed.agreed.game
    digits = shown_digits([change.after for change in changes], game)
    say(
        f"from {found.old.name} to {found.new.name}: the efficient rule, {found.designed.target}"
        f"{amounts_in(game)}\n"
    )
    print_table(
        ["organization", "what", "before", "after", "gain", "to agree"],
        [
            [
                change.name,
                change.kind + (f": {', '.join(change.figures)}" if change.figures else ""),
                *(
                    money(amount, digits)
                    for amount in (
                        *(change.before, change.after),
                        *(change.after - change.before, change.to_agree),
                    )
                ),
            ]
            for change in changes
        ],
        left=(0, 1),
    )
    print_facts(
        [
            ("to be paid", f"{found.to_pay:,.{digits}f} to those that would be worse off"),
            ("gained", f"{found.surplus:,.{digits}f} by the others"),
            ("affordable", f"{yes_no(found.affordable)}: from what the others gain"),
        ]
    )
    say("Before: under the old file's rule; who joined, alone. After: designed; who left, alone.")
