"""Fees: what to offer for a transaction, from what blocks ask now and from what may be spent."""

from __future__ import annotations

import dataclasses
from decimal import ROUND_CEILING, Decimal

from tradefl.errors import Parameter
from tradefl.settlement.contract import ChainError

GWEI = 10**9
ETHER = 10**18


class FeeCapError(ChainError):
    """A cap on fees stops a transaction; ``parameter`` is the cap's name."""

    def __init__(self, parameter: str, place: str, message: str) -> None:
        super().__init__(place, message)
        self.parameter = parameter


@dataclasses.dataclass(frozen=True)
class FeeCaps:
    """How much may be spent on fees.

    Attributes
    ----------
    max_fee
        The most that is offered per gas, wei.
    max_priority_fee
        The most that is offered per gas to the maker of the block, wei.
    max_total_fee
        The most that all transactions of one run may cost together, wei.
    """

    max_fee: int = 200 * GWEI
    max_priority_fee: int = 30 * GWEI
    max_total_fee: int = ETHER

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or not 0 <= value < 1 << 128:
                raise ChainError(field.name, f"expected wei from 0 to 2^128, got {value!r}")

    @property
    def sentence(self) -> str:
        """The caps in words, for the person about to sign."""
        return (
            f"at most {gwei(self.max_fee)} gwei per gas, of it {gwei(self.max_priority_fee)} gwei "
            f"as priority fee, and {ether(self.max_total_fee)} ether in this run"
        )


@dataclasses.dataclass(frozen=True)
class Ask:
    """What blocks ask now.

    Attributes
    ----------
    base_fee
        The base fee of the latest block, wei per gas; ``None`` before London.
    suggested
        What the node suggests: the priority fee, or the gas price before London, wei per gas.
    """

    base_fee: int | None
    suggested: int

    @property
    def sentence(self) -> str:
        """What blocks ask, in words."""
        if self.base_fee is None:
            return f"the node suggests {gwei(self.suggested)} gwei per gas"
        tip = f" and a priority fee of {gwei(self.suggested)} gwei" if self.suggested else ""
        return f"blocks ask {gwei(self.base_fee)} gwei per gas{tip}"


@dataclasses.dataclass(frozen=True)
class Offer:
    """What a transaction offers per gas, wei.

    Attributes
    ----------
    most
        ``maxFeePerGas``, or ``gasPrice`` before London.
    priority
        ``maxPriorityFeePerGas``; ``None`` before London.
    """

    most: int
    priority: int | None

    @property
    def fields(self) -> dict[str, int]:
        """The fields of the transaction."""
        if self.priority is None:
            return {"gasPrice": self.most}
        return {"maxFeePerGas": self.most, "maxPriorityFeePerGas": self.priority}

    def raised(self) -> Offer:
        """Return the least offer that every node accepts in place of this one.

        Nodes ask for a tenth more, some for an eighth, of both fees.
        """

        def eighth_more(value: int) -> int:
            return value + -(-value // 8) + 1

        priority = None if self.priority is None else eighth_more(self.priority)
        return Offer(eighth_more(self.most), priority)


def offer(ask: Ask, caps: FeeCaps, *, pay_suggested: bool = False) -> Offer:
    """Return what to offer now.

    Twice the base fee leaves room for six full blocks; only the base fee itself is paid. On a
    chain whose base fee is 0 nothing is offered: most such chains charge nothing, and an account
    that holds exactly its bond can then deposit it. ``pay_suggested`` offers what the node
    suggests there, too, after it refused a transaction without a fee.

    Raises
    ------
    FeeCapError
        The base fee alone is above ``max_fee``.
    """
    if ask.base_fee is None:
        return Offer(min(ask.suggested, caps.max_fee), None)
    if ask.base_fee > caps.max_fee:
        raise FeeCapError(
            "max_fee",
            Parameter("max_fee"),
            f"{ask.sentence}, and at most {gwei(caps.max_fee)} gwei may be offered; wait until "
            "fees fall, or raise `max_fee`",
        )
    free = ask.base_fee == 0 and not pay_suggested
    tip = 0 if free else min(ask.suggested, caps.max_priority_fee)
    tip = min(tip, caps.max_fee)
    return Offer(min(2 * ask.base_fee + tip, caps.max_fee), tip)


def replacement(
    old: Offer, ask: Ask, caps: FeeCaps, *, pay_suggested: bool = True
) -> tuple[Offer | None, str]:
    """Return an offer that replaces a waiting one; ``None`` and the cap that stops it otherwise."""
    least = old.raised()
    if least.most > caps.max_fee:
        return None, "max_fee"
    if least.priority is not None and least.priority > caps.max_priority_fee:
        return None, "max_priority_fee"
    try:
        fresh = offer(ask, caps, pay_suggested=pay_suggested)
    except FeeCapError as error:
        return None, error.parameter
    most = max(least.most, fresh.most)
    priority = None if least.priority is None else max(least.priority, fresh.priority or 0)
    return Offer(max(most, priority or 0), priority), ""


def gwei(wei: int) -> str:
    """Return wei as gwei, with at most nine decimals."""
    return _decimal(wei, 9)


def ether(wei: int) -> str:
    """Return wei as units of the chain's currency, with at most 18 decimals."""
    return _decimal(wei, 18)


def _decimal(wei: int, places: int) -> str:
    whole, rest = divmod(wei, 10**places)
    digits = f"{rest:0{places}d}".rstrip("0")
    return f"{whole:,}.{digits}" if digits else f"{whole:,}"


def wei_of(text: str, unit: int, parameter: str) -> int:
    """Return a decimal number of gwei or of the chain's currency in wei, rounded up.

    Raises
    ------
    ChainError
        The text is not a number from 0 to 2^96 units.
    """
    expected = f"expected a number >= 0, got {text[:40]!r}"
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise ChainError(parameter, expected) from None
    if not value.is_finite() or not 0 <= value < 1 << 60:
        raise ChainError(parameter, expected)
    return int((value * unit).to_integral_value(ROUND_CEILING))
