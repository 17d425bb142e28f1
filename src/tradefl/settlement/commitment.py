"""What a deposit signs, in words and amounts that a person knows, before it is sent."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from decimal import Decimal

from tradefl.errors import InputError, Parameter
from tradefl.settlement import gas
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import Chain
from tradefl.settlement.contract import ChainError, Phase
from tradefl.settlement.session import Money, located
from tradefl.settlement.state import read_phase
from tradefl.statement import exactly

DIGITS = 6  # at least so many of an amount that is shown


def commitment(
    chain: Chain, agreement: Agreement, accounts: Sequence[str], money: Money | None = None
) -> list[tuple[str, str]]:
    """Return what a first deposit commits to, as labels and texts; every amount has its unit.

    Parameters
    ----------
    chain, agreement, accounts
        The chain, the agreement, and the accounts that deposit.
    money
        What a unit of payoff is worth, where that is known.

    Raises
    ------
    ChainError
        The largest call does not fit into a block of the chain.
    """
    limit = chain.block_gas_limit()
    call, longest = gas.largest(agreement)
    if call.gas > limit:
        raise ChainError(
            chain.place,
            f"a block holds {limit:,} gas, and {call.name} may need {call.gas:,}: once the "
            "deposits are in, they would be locked. Nothing was deposited; agree with "
            f"settlement.block_gas_limit = {limit}",
        )
    names = dict(zip(agreement.addresses, agreement.names, strict=True))
    deposits = dict(zip(agreement.addresses, agreement.deposits, strict=True))
    bonds = dict(zip(agreement.addresses, agreement.bonds, strict=True))
    stake = agreement.dispute_stake_wei if agreement.has_arbiter else 0
    facts = [("agreement", agreement.hash)]
    for account in accounts:
        parts = f"bond {_worth(bonds[account], agreement, money)}"
        parts += f", dispute stake {_worth(stake, agreement, money)}" if stake else ""
        facts.append((f"deposit of {names[account]}", f"{deposits[account]:,} wei: {parts}"))
    windows = (
        f"join {agreement.join_seconds:,} s from the first deposit, report "
        f"{agreement.report_seconds:,} s"
    )
    if agreement.has_arbiter:
        windows += (
            f", dispute {agreement.dispute_seconds:,} s, ruling {agreement.ruling_seconds:,} s"
        )
    return [
        *facts,
        ("rule", agreement.rule.name),
        (
            "exchange rate",
            f"{agreement.wei_per_payoff:,} wei for one unit of payoff"
            + ("" if money is None else f", which is {_in_currency(Decimal(1), money)}"),
        ),
        ("verifier", agreement.verifier if agreement.has_verifier else "none"),
        ("arbiter", agreement.arbiter if agreement.has_arbiter else "none"),
        ("windows", f"{windows}; each and {agreement.closing_blocks:,} blocks more"),
        ("vault", f"{agreement.vault} on chain {agreement.chain_id}"),
        *([] if chain.spending is None else [("fees", chain.spending)]),
        (
            "largest call",
            f"{call.name}, up to {call.gas:,} gas (a block holds {limit:,}); "
            f"{longest.size:,} bytes at most",
        ),
    ]


def _worth(wei: int, agreement: Agreement, money: Money | None) -> str:
    """Return an amount in wei, in units of payoff, and in the file's currency if it names one."""
    with decimal.localcontext(prec=80):
        payoff = Decimal(wei) / Decimal(agreement.wei_per_payoff)
    text = f"{plain(payoff)} units of payoff"
    text += "" if money is None else f", {_in_currency(payoff, money)}"
    return f"{wei:,} wei ({text})"


def _in_currency(payoff: Decimal, money: Money) -> str:
    with decimal.localcontext(prec=80):
        amount = payoff * exactly(money.payoff_unit)
    return f"{plain(amount, cents=2)} {money.currency}"


def plain(value: Decimal, cents: int = 0) -> str:
    """Return an amount with six digits that count, at least; never with an exponent.

    >>> plain(Decimal("1234567.891")), plain(Decimal("0.0000123")), plain(Decimal(5), cents=2)
    ('1,234,568', '0.0000123', '5.00')
    """
    if value == 0:
        return f"{0:.{cents}f}"
    text = f"{value:,.{max(cents, DIGITS - 1 - value.adjusted(), 0)}f}"
    if "." not in text:
        return text
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(cents, "0")
    return f"{whole}.{fraction}" if fraction else whole


def first_deposits(
    chain: Chain,
    agreement: Agreement,
    accounts: Sequence[str],
    max_deposit: int | None = None,
    money: Money | None = None,
) -> list[tuple[str, str]]:
    """Return what these accounts' first deposits commit to; nothing if all have deposited.

    Raises
    ------
    InputError
        A deposit is above ``max_deposit``, wei, or the largest call fits no block.
    """
    waiting = undeposited(chain, agreement, accounts)
    if not waiting:
        return []
    require_deposit_within(agreement, waiting, max_deposit)
    return commitment(chain, agreement, waiting, money)


def undeposited(chain: Chain, agreement: Agreement, accounts: Sequence[str]) -> list[str]:
    """Return those of these organizations' accounts that have not deposited yet."""
    where = located(chain, agreement, accounts)
    if not where.exists:
        return list(accounts)
    places = {account: agreement.addresses.index(account) for account in accounts}
    if read_phase(chain, where.contract) == Phase.DRAFTING:
        return list(accounts)
    return [
        account
        for account, i in places.items()
        if not chain.read(where.contract, "organization", i)["joined"]
    ]


def require_deposit_within(agreement: Agreement, accounts: Sequence[str], most: int | None) -> None:
    """Refuse a deposit above what the user allows.

    Parameters
    ----------
    agreement
        The pinned agreement.
    accounts
        Who deposits.
    most
        ``max_deposit``, wei for each organization; ``None``: bond and dispute stake.

    Raises
    ------
    InputError
        A deposit would be larger.
    """
    for name, account, deposit in zip(
        agreement.names, agreement.addresses, agreement.deposits, strict=True
    ):
        if account in accounts and most is not None and deposit > most:
            raise InputError.at(
                Parameter("max_deposit"),
                f"{name} would deposit {deposit:,} wei (bond and dispute stake), and the most is "
                f"{most:,}; nothing was signed. Raise it, or agree on other terms",
            )
