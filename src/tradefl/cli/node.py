"""``tradefl node``: one organization's autonomous agent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import click

from tradefl.cli.acting import Access, MaxDeposit, print_signed
from tradefl.cli.declaring import Option
from tradefl.cli.interrupting import INTERRUPTED
from tradefl.cli.options import FromBlock, password_prompt
from tradefl.cli.output import answer, require_writable, say, status, warn
from tradefl.errors import InputError
from tradefl.text import printable


def node(
    organization: Annotated[
        Path,
        Option("--organization", help="The private file (TOML).", show_default=False),
    ],
    agreement: Annotated[
        str | None,
        Option(
            "--agreement",
            help="What you agreed on: the consortium file, an agreement document (.json) or its "
            "hash; default: what the private file names.",
            show_default=False,
        ),
    ] = None,
    *,
    access: Access,
    max_deposit: MaxDeposit = None,
    log: Annotated[
        Path | None,
        Option("--log", help="Append a JSON line for everything that changes. Private."),
    ] = None,
    from_block: FromBlock = 0,
) -> None:
    """Negotiate for one organization until it is over; its private figures stay here.

    It deposits the bond of the agreement that you name, and of no other; it answers with its best
    response in its turns, and submits its contribution. Stopped or killed, the same command goes
    on from the state of the chain.

    Example: tradefl node --organization alpha.toml --agreement consortium.toml
    --rpc http://127.0.0.1:8545 --keystore alpha
    """
    if log is not None:
        require_writable(log)
        if log.exists() and not log.is_file():
            raise InputError.at("--log", f"expected a regular file, got {printable(str(log))}")
    for option, value in (("--rpc", access.rpc), ("--keystore", access.keystore)):
        if not value:
            raise InputError.at(option, "is needed: an agent acts on a chain, with its key")
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("tradefl node"):
        from tradefl.negotiation.node import Watcher, joined

    def tell(text: str) -> None:
        if sys.stderr is not None and not sys.stderr.isatty():
            warn(text)

    who = str(organization)
    try:
        with status(f"joining for {organization}") as show:
            agent = joined(
                organization,
                access.rpc or (),
                keystore=access.keystore,
                watch=Watcher(show, tell, log),
                agreement=agreement,
                contract=access.contract,
                password_file=access.password_file,
                prompt=lambda: password_prompt(access.keystore),
                chain_id=access.chain_id,
                max_deposit=max_deposit,
                caps=access.caps,
                state=access.state,
                first_block=from_block,
                sign=print_signed,
            )
        who = agent.name
        with status(who) as show:
            ended = agent.negotiate(Watcher(show, tell, log))
    except KeyboardInterrupt:
        say(f"{who}: stopped; the same command goes on from the state of the chain")
        raise click.exceptions.Exit(INTERRUPTED) from None
    if not ended:
        answer(f"{who}: cancelled: not everybody joined in time; the deposit is back")
        raise click.exceptions.Exit(1)
