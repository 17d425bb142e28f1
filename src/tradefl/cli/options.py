"""Arguments and options that several commands share."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
from click.core import ParameterSource

from tradefl.cli.declaring import Argument, Option
from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError
from tradefl.solvers import METHODS
from tradefl.text import printable

if TYPE_CHECKING:
    from tradefl.settlement.chains.fees import FeeCaps


class OneOf(click.Choice):  # type: ignore[type-arg]  # not generic before click 8.2
    """One of some words; for a mistyped one, the word that was perhaps meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word, or fail with the closest one."""
        try:
            return str(super().convert(value, param, ctx))
        except click.BadParameter as error:
            error.message += suggestion(str(value), [str(choice) for choice in self.choices])
            raise


File = Annotated[Path, Argument(help="The consortium file (TOML).", show_default=False)]
Method = Annotated[
    str,
    Option("--method", "-m", help="The solver.", type=OneOf(METHODS)),
]
Json = Annotated[bool, Option("--json", help="Print one JSON document on stdout.")]
NoTune = Annotated[
    bool,
    Option("--no-tune", help="Leave the curve of welfare over gamma out of the report."),
]
RPC_VARIABLE = "TRADEFL_RPC"
# The address of a node may hold a key: arguments are for every user of a machine to read, variables
# and files are not.
Nodes = Annotated[
    list[str] | None,
    Option(
        "--rpc",
        envvar=RPC_VARIABLE,
        show_envvar=False,
        help="An Ethereum JSON-RPC node: http(s)://..., host:port, an IPC path, or @FILE "
        "with one of them. Given several times, all nodes must give the same answers. Default: "
        "$TRADEFL_RPC, which may name several with spaces between.",
    ),
]


def from_variable(parameter: str) -> bool:
    """Tell whether a parameter of the present command is from its variable, not an argument."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is ParameterSource.ENVIRONMENT


Workers = Annotated[
    int | None,
    Option("--workers", min=1, max=1024, help="Processes; default: this one alone."),
]
RayCluster = Annotated[
    str | None,
    Option("--ray", help="Work on this Ray cluster: HOST:PORT, auto; local: start one here."),
]
ChainId = Annotated[
    int | None,
    Option("--chain-id", min=1, help="The chain's id; any other chain is refused."),
]
MaxFee = Annotated[
    str | None,
    Option("--max-fee", help="The most to offer per gas, gwei; default: 200."),
]
MaxPriorityFee = Annotated[
    str | None,
    Option("--max-priority-fee", help="The most to offer as priority fee, gwei; default: 30."),
]
MaxTotalFee = Annotated[
    str | None,
    Option(
        "--max-total-fee",
        help="The most to spend on fees in this run, in the chain's currency; default: 1.",
    ),
]
StateFolder = Annotated[
    Path | None,
    Option(
        "--state",
        help="The folder where signed transactions are recorded; default: the user's state folder.",
    ),
]
Organizations = Annotated[
    list[str] | None,
    Option("--organization", help="Who acts: a name, several times, or all."),
]
FromBlock = Annotated[
    int, Option("--from-block", min=0, help="The first block to search for the contract.")
]


def _address(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        raise click.BadParameter(f"expected 0x and 40 hexadecimal digits, got {value!r}.")
    return value


ContractAddress = Annotated[
    str | None,
    Option("--contract", help="The settlement's address on the chain.", callback=_address),
]


def fee_caps(
    max_fee: str | None, max_priority_fee: str | None, max_total_fee: str | None
) -> FeeCaps:
    """Return the caps on fees of a command's options; the defaults where one is missing.

    Raises
    ------
    InputError
        A value is not a number, or the priority fee exceeds the fee.
    """
    from tradefl.settlement.chains.fees import ETHER, GWEI, FeeCaps, wei_of

    default = FeeCaps()
    fee = default.max_fee if max_fee is None else wei_of(max_fee, GWEI, "--max-fee")
    if max_priority_fee is None:
        priority = min(default.max_priority_fee, fee)
    else:
        priority = wei_of(max_priority_fee, GWEI, "--max-priority-fee")
        if priority > fee:
            what = f"expected at most --max-fee, {fee / GWEI:g} gwei, got {max_priority_fee}"
            raise InputError.at("--max-priority-fee", what)
    total = default.max_total_fee
    if max_total_fee is not None:
        total = wei_of(max_total_fee, ETHER, "--max-total-fee")
    return FeeCaps(max_fee=fee, max_priority_fee=priority, max_total_fee=total)


Keystore = Annotated[
    Path | None,
    Option("--keystore", help="A folder of encrypted key files, one an organization."),
]
PasswordFile = Annotated[
    Path | None,
    Option(
        "--password-file",
        help="The key files' password; default: $TRADEFL_KEYSTORE_PASSWORD, or a prompt.",
    ),
]


NOBODY_TO_ASK = "a password is needed: --password-file, $TRADEFL_KEYSTORE_PASSWORD or a terminal"


def password_prompt(keystore: Path | None) -> str:
    """Ask for the password of key files.

    Raises
    ------
    InputError
        Nobody is there to ask.
    """
    if (
        sys.stdin is None or not sys.stdin.isatty()
    ):  # getpass would read it from a pipe, with a warning
        raise InputError.at("--keystore", NOBODY_TO_ASK)
    try:
        question = f"Password of the key files in {printable(keystore)}"
        return str(click.prompt(question, hide_input=True, err=True))
    except click.Abort as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise  # nobody wants to be asked
        raise InputError.at("--keystore", NOBODY_TO_ASK) from None


# --- of what trains ------------------------------------------------------------------------------

DataDir = Annotated[
    Path | None,
    Option("--data-dir", help="The folder of the data: npz files or folders of images."),
]
Seed = Annotated[int, Option("--seed", help="Of all that is drawn.")]
Device = Annotated[
    str, Option("--device", help="cpu, cuda, cuda:1, ...; auto: a GPU when there is one.")
]
