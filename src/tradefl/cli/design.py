"""``tradefl design``: compensation under which the social optimum is an equilibrium."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import click

from tradefl.cli.declaring import Option
from tradefl.cli.design_words import print_design, print_proof
from tradefl.cli.options import File, Json, OneOf, Seed
from tradefl.cli.output import (
    answer,
    note,
    print_json,
    require_distinct,
    require_writable,
    status,
)
from tradefl.consortium import Consortium, load, write
from tradefl.consortium.schema import Payee, Settlement, suggestion
from tradefl.design import RANDOM_STARTS, STABLE_UP_TO, TARGETS, Design
from tradefl.design import design as design_game
from tradefl.errors import InputError
from tradefl.foreign.names import skeleton
from tradefl.game.rules import MAX_BREAKPOINTS
from tradefl.incentives.promise import agreed_menus, section, written
from tradefl.incentives.truthful import NeedsMoneyError, Proof
from tradefl.incentives.truthful import truthful as truthful_design


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
        str | None,
        Option(
            "--target",
            help="How it is split: so that no coalition wants to leave, by profitability, equal "
            "gains, gains in proportion to the payoffs without compensation, or least cash; "
            f"default: equal-gain if it is stable or above {STABLE_UP_TO} organizations, else "
            "stable.",
            type=OneOf(TARGETS),
        ),
    ] = None,
    robust: Annotated[
        float,
        Option(
            "--robust",
            help="Make schedules so steep that nobody gains by contributing less while "
            "profitability is off by at most this share: 0.2 is 20 %.",
        ),
    ] = 0.0,
    truthful: Annotated[
        float | None,
        Option(
            "--truthful",
            help="Make honesty pay: nobody gains by misreporting within this share of its figure "
            "(0.1 is 10 %). The file's menus count, where it has some. Needs --residual or "
            "--payee.",
        ),
    ] = None,
    residual: Annotated[
        str | None,
        Option(
            "--residual",
            help="With --truthful: the member that is not asked and receives the remainder. Its "
            "figures are audited.",
        ),
    ] = None,
    payee: Annotated[
        str | None,
        Option(
            "--payee",
            help="With --truthful, in place of --residual: the account (0x...) that contributes "
            "nothing, deposits nothing, and receives the remainder.",
            show_default=False,
        ),
    ] = None,
    figure: Annotated[
        list[str] | None,
        Option(
            "--figure",
            help="With --truthful: NAME=FIELD, what an organization reports if not its "
            "profitability: data_cost, capacitance or joining_cost. May be given again.",
        ),
    ] = None,
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
    for flag, given in {"--residual": residual, "--payee": payee, "--figure": figure}.items():
        if given and truthful is None:
            raise InputError.at(flag, "needs --truthful")
    if truthful is not None and residual is None and payee is None:
        what = (
            "needs --residual NAME: a member that is not asked and receives the remainder; or "
            "--payee ADDRESS: an account that contributes nothing, and receives it"
        )
        raise InputError.at("--truthful", what)
    if residual is not None and payee is not None:
        raise InputError.at("--payee", "cannot be combined with --residual: one receives the rest")
    if truthful is not None and target not in (None, "equal-gain"):
        raise InputError.at("--target", "cannot be combined with --truthful, which sets the split")
    if output is not None:
        require_distinct({"FILE": file, "--output": output})
        require_writable(output)
    with status(f"designing {file}") as show:
        consortium, remark = _loaded(file)
        terms = consortium.settlement or Settlement()
        options: dict[str, Any] = {
            "robust": robust,
            "breakpoints": breakpoints,
            "wei_per_payoff": terms.wei_per_payoff,
            "seed": seed,
            "random_starts": starts,
            "watch": lambda what: show(f"designing {file}: {what}"),
        }
        proof, account = None, None
        if payee is not None:
            account = _payee(payee, consortium)
            options["payee"] = account.name
        try:
            if truthful is None:
                chosen: Any = target  # one of them: the option sees to it
                found = design_game(consortium, chosen, **options)
            else:
                found, proof = _truthful(consortium, truthful, residual, figure or [], options)
        except NeedsMoneyError as error:
            refuse(error)
            raise click.exceptions.Exit(1) from None
        except ValueError as error:
            name, _, what = str(error).partition(": ")
            place = {
                "target": "--target",
                "seed": "--seed",
                "robust": "--robust",
                "truthful": "--truthful",
                "residual": "--residual",
                "figure": "--figure",
                "wei_per_payoff": f"{file}: settlement.wei_per_payoff",
            }
            raise InputError.at(place.get(name, f"{file}: {name}"), what) from None
    if remark is not None:
        note(remark)
    for line in found.optimum.remarks:
        note(line)
    if target is None and found.target == "stable":
        note("equal gains are not stable: a coalition would do better on its own; see --target")
    if target is None and proof is None and consortium.game.size > STABLE_UP_TO:
        note(
            f"more than {STABLE_UP_TO} organizations: equal gains were taken without a search for "
            "coalitions that would do better on their own; --target stable searches"
        )
    if as_json:
        document = found.to_dict()
        if proof is not None:
            promise = section(proof, consortium.game, found.rule.payee)
            document["truthful"] = promise.model_dump(exclude_none=True)
            if account is not None:
                document["payee"]["address"] = account.address
        print_json(document)
    else:
        print_design(found)
        if proof is not None:
            print_proof(proof, found)
    if proof is not None and proof.menus.origin == "from reports":
        note(
            "the menus were written around today's figures: honesty pays only once these menus are "
            "agreed and figures are reported afresh"
        )
    if not found.verified():
        answer(
            "no split is stable: whatever is agreed, a coalition would do better on its own; "
            "not written"
            if found.core is not None and found.core.margin < 0.0
            else "the rule is not verified: somebody gains by deviating, or is worse off; "
            "not written"
        )
        raise click.exceptions.Exit(1)
    if output is not None:
        if proof is None:
            write(consortium.designed(found.rule, found.target), output)
        else:
            write(written(consortium, found, proof, account), output)
        note(f"wrote {output}; try: tradefl compare {quote(str(output))}")


def _loaded(file: Path) -> tuple[Consortium, str | None]:
    """Return the consortium of a file, and what to tell if its efficient rule does not fit it."""
    try:
        return load(file), None
    except InputError as error:
        if not all(": compensation." in str(problem) for problem in error.problems):
            raise
    return load(file, ignore_compensation=True), (
        f"the efficient rule in {file} is for other organizations; designed again from the start"
    )


def _payee(text: str, consortium: Consortium) -> Payee:
    """Return the payee of an address: a name that no organization has, and the account."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text) or int(text, 16) == 0:
        what = f"expected 0x and 40 hexadecimal digits, not all zero, got {text[:50]!r}"
        raise InputError.at("--payee", what)
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("--payee"):
        from tradefl.settlement.ethereum import parsed_address

        text = parsed_address("--payee", text)
    for name, address in zip(consortium.names, consortium.organizations.addresses, strict=True):
        if address is not None and address.lower() == text.lower():
            what = f"is the account of {name}; expected one that contributes nothing"
            raise InputError.at("--payee", what)
    taken = set(map(skeleton, consortium.names))
    names = itertools.chain(["payee"], (f"payee {k}" for k in itertools.count(2)))
    free = next(name for name in names if skeleton(name) not in taken)
    return Payee(name=free, address=text)


def _truthful(
    consortium: Consortium,
    width: float,
    residual: str | None,
    figures: list[str],
    options: dict[str, Any],
) -> tuple[Design, Proof]:
    """Design a truthful rule with the names and figures of the command line."""
    names = list(consortium.names)

    def index(flag: str, name: str) -> int:
        if name not in names:
            what = f"no organization {name!r} in {consortium.source}{suggestion(name, names)}"
            raise InputError.at(flag, what)
        return names.index(name)

    claimant = None if residual is None else index("--residual", residual)
    fields: dict[int, str] = {}
    for entry in figures:
        name, equals, field = entry.rpartition("=")
        if not equals:
            raise InputError.at("--figure", f"expected NAME=FIELD, got {entry!r}")
        fields[index("--figure", name)] = field
    menus = agreed_menus(consortium, claimant)
    if menus is not None and fields:
        what = f"{consortium.source} has menus, which say what is reported; leave --figure out"
        raise InputError.at("--figure", what)
    return truthful_design(
        consortium.game, claimant, width=width, fields=fields, menus=menus, **options
    )


def refuse(error: NeedsMoneyError) -> None:
    """Say that a range would need outside money, and which does not."""
    answer(f"refused: {error}; nothing is written")
    if error.widest is not None:
        # Rounded down: a wider range may need money.
        digits = 3 - math.floor(math.log10(error.widest))
        widest = math.floor(error.widest * 10.0**digits) / 10.0**digits
        answer(f"the widest range found that needs none: --truthful {widest:.4g}")
    else:
        answer("no narrower range was found that needs none")
