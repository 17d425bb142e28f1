r"""The agreement: a consortium in integers, its canonical bytes, and its hash.

What the contract computes with is here in the very integers that it computes with; what
matters only off the chain (names, the accuracy model, the deadline) is the annex, a JSON text
that the agreement commits to by hash. Private figures (``p_i``, ``eta_i``, the transfer times)
are in neither.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tradefl.consortium.schema import Settlement
from tradefl.errors import InputError, MissingExtraError, Problem
from tradefl.game import EfficientRule, InvalidScheduleError, Schedule
from tradefl.settlement import mirror
from tradefl.settlement.mirror import PPB
from tradefl.settlement.terms import EfficientTerms, LinearTerms, Member, Report, RuleTerms

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.game import StrategyProfile

SCHEMA = "tradefl/agreement/1"
ZERO_ADDRESS = "0x" + 40 * "0"
GAMMA_SCALE = 10**18
UINT32, UINT64, UINT96, UINT128 = 2**32, 2**64, 2**96, 2**128
# The types of ITradeFL.Terms, in its order.
TERMS = "(uint16,uint128,uint64,uint32,uint128,address,address,uint32,uint32,uint32,uint32,bytes32)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """What the organizations sign, in integers.

    Attributes
    ----------
    names
        Who takes part, in order; they are part of the annex.
    addresses
        Their accounts, ``0x`` and 40 digits each, with checksum capitals.
    data_bits
        ``s_i``, bit.
    cpu_levels_hz
        ``F_i``, Hz, ascending.
    rule
        What the rule of payments needs, in integers.
    min_data_ppb
        ``D_min``, ppb.
    wei_per_payoff
        The exchange rate, wei for one unit of payoff.
    verifier, arbiter
        Accounts, or the zero address for none.
    join_seconds, report_seconds, dispute_seconds, ruling_seconds
        The windows.
    annex
        Canonical JSON of the terms that matter off the chain.
    """

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    data_bits: tuple[int, ...]
    cpu_levels_hz: tuple[tuple[int, ...], ...]
    rule: RuleTerms
    min_data_ppb: int
    wei_per_payoff: int
    verifier: str
    arbiter: str
    join_seconds: int
    report_seconds: int
    dispute_seconds: int
    ruling_seconds: int
    annex: bytes

    @classmethod
    def of(cls, consortium: Consortium, addresses: Sequence[str | None] | None = None) -> Agreement:
        """Return the agreement of a consortium.

        Parameters
        ----------
        consortium
            The consortium; its game must be valid.
        addresses
            The organizations' accounts in order; default: those of the file.

        Raises
        ------
        InputError
            An address is missing or stands twice, or a figure does not fit its integer.
        """
        return _Quantized(consortium).agreement(addresses)

    @classmethod
    def decode(
        cls,
        terms: Sequence[Any],
        organizations: Sequence[tuple[str, int, Sequence[int]]],
        rule: RuleTerms,
        annex: bytes,
    ) -> Agreement:
        """Return the agreement that a contract published.

        Parameters
        ----------
        terms
            ``ITradeFL.Terms``, in its order.
        organizations
            The account, the data size and the levels of each.
        rule
            What the rule of that contract needs, decoded.
        annex
            The bytes of the annex.

        Raises
        ------
        ValueError, TypeError, KeyError
            The annex is not one of this version, or of another rule.
        """
        size, _, _, min_data_ppb, wei_per_payoff, verifier, arbiter, *seconds, _ = terms
        document = json.loads(annex)
        names = document["organizations"]
        if not all(isinstance(one, str) for one in (*names, document["consortium"])):
            raise ValueError("annex: expected names")
        turn = document["turn_seconds"]
        if type(turn) is not int or turn < 1:
            raise ValueError(f"annex: expected turn_seconds >= 1, got {turn!r}")
        if document.get("rule", LinearTerms.name) != rule.name:
            raise ValueError(f"annex: expected the rule {rule.name}, got {document['rule']!r}")
        if not size == len(organizations) == len(names):
            raise ValueError(f"{len(organizations)} accounts and {len(names)} names for {size}")
        return cls(
            names=tuple(names),
            addresses=tuple(checksum(address) for address, _, _ in organizations),
            data_bits=tuple(s for _, s, _ in organizations),
            cpu_levels_hz=tuple(tuple(levels) for *_, levels in organizations),
            rule=rule,
            min_data_ppb=min_data_ppb,
            wei_per_payoff=wei_per_payoff,
            verifier=checksum(verifier),
            arbiter=checksum(arbiter),
            join_seconds=seconds[0],
            report_seconds=seconds[1],
            dispute_seconds=seconds[2],
            ruling_seconds=seconds[3],
            annex=annex,
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def consortium(self) -> str:
        """The consortium's name."""
        return str(json.loads(self.annex)["consortium"])

    @property
    def turn_seconds(self) -> int:
        """How long a turn of a negotiation lasts at most, seconds of chain time."""
        return int(json.loads(self.annex)["turn_seconds"])

    # --- what the contract derives ---------------------------------------------------------------

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The organizations, as far as their scores depend on them."""
        return tuple(map(Member, self.data_bits, self.cpu_levels_hz))

    @cached_property
    def caps(self) -> tuple[int, ...]:
        """The highest score of each organization, in the rule's unit."""
        return tuple(self.rule.cap(i, member) for i, member in enumerate(self.members))

    @cached_property
    def bonds(self) -> tuple[int, ...]:
        """The least deposit of each organization, wei: the most that it could owe."""
        return tuple(self.rule.bonds(self.members))

    def score(self, i: int, report: Report) -> int:
        """Return what a report of organization i counts for, in the rule's unit."""
        return self.rule.score(i, self.members[i], report)

    def redistribution(self, reports: Sequence[Report]) -> list[int]:
        """Return ``R_i`` of every organization, wei, Eq. (10)."""
        return self.rule.redistribution([self.score(i, one) for i, one in enumerate(reports)])

    def reports(self, profile: StrategyProfile) -> list[Report]:
        """Return a strategy profile in the contract's integers.

        Raises
        ------
        InputError
            A frequency is none of the organization's levels, or a share not in [D_min, 1].
        """
        rows = zip(profile.data_fraction.tolist(), profile.cpu_hz.tolist(), strict=True)
        return [self.report(i, d, f) for i, (d, f) in enumerate(rows)]

    def report(self, i: int, data_fraction: float, cpu_hz: float) -> Report:
        """Return one organization's contribution in the contract's integers; 0 is silence.

        Raises
        ------
        InputError
            The frequency is none of its levels, or the share neither 0 nor in [D_min, 1].
        """
        if data_fraction == 0.0:
            return Report(data_ppb=0, cpu_hz=0)
        report = Report(
            data_ppb=self.rule.share(i, Fraction(repr(float(data_fraction))) * PPB),
            cpu_hz=rounded(cpu_hz),
        )
        if not self.min_data_ppb <= report.data_ppb <= PPB:
            least = self.min_data_ppb / PPB
            raise InputError.at(
                f"{self.names[i]}: data_fraction",
                f"expected a number in [{least:g}, 1], or 0 for nothing, got {data_fraction:g}",
            )
        if report.cpu_hz not in self.cpu_levels_hz[i]:
            levels = ", ".join(f"{level:g}" for level in self.cpu_levels_hz[i])
            raise InputError.at(
                f"{self.names[i]}: cpu_hz", f"expected one of {levels}, got {cpu_hz:g}"
            )
        return report

    # --- canonical bytes -------------------------------------------------------------------------

    @cached_property
    def organization_blocks(self) -> tuple[bytes, ...]:
        """The list of organizations, packed, so many to a block."""
        entries = [
            bytes.fromhex(address[2:])
            + s.to_bytes(8, "big")
            + bytes([len(levels)])
            + b"".join(level.to_bytes(8, "big") for level in levels)
            + self.rule.entry(i)
            for i, (address, s, levels) in enumerate(
                zip(self.addresses, self.data_bits, self.cpu_levels_hz, strict=True)
            )
        ]
        size = self.rule.block_organizations
        return tuple(
            b"".join(entries[start : start + size]) for start in range(0, len(entries), size)
        )

    @property
    def pair_blocks(self) -> tuple[bytes, ...]:
        """What the rule knows of each pair, packed, so many pairs to a block."""
        return self.rule.pair_blocks

    @cached_property
    def terms(self) -> tuple[Any, ...]:
        """``ITradeFL.Terms``, in its order."""
        return (
            len(self),
            *self.rule.coefficients,
            self.min_data_ppb,
            self.wei_per_payoff,
            self.verifier,
            self.arbiter,
            self.join_seconds,
            self.report_seconds,
            self.dispute_seconds,
            self.ruling_seconds,
            keccak(self.annex),
        )

    @cached_property
    def constructor_arguments(self) -> tuple[tuple[Any, ...], list[bytes], list[bytes]]:
        """What the contract is deployed with: the terms, and the hash of every block."""
        return (
            self.terms,
            [keccak(block) for block in self.organization_blocks],
            [keccak(block) for block in self.pair_blocks],
        )

    @cached_property
    def hash(self) -> str:
        """``keccak256(abi.encode(terms, organizationBlocks, pairBlocks))``.

        Under the efficient rule the word ``efficient`` stands before the terms, so that no two
        rules share a hash.
        """
        with settlement_extra("the agreement's hash"):
            from eth_abi.abi import encode
        types, values = zip(*self.rule.hashed, strict=True) if self.rule.hashed else ((), ())
        encoded = encode(
            [*types, TERMS, "bytes32[]", "bytes32[]"], [*values, *self.constructor_arguments]
        )
        return "0x" + keccak(encoded).hex()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document ``tradefl/agreement/1``; integers that may be large as text."""
        return {
            "schema": SCHEMA,
            "consortium": self.consortium,
            "hash": self.hash,
            "rule": self.rule.name,
            "min_data_ppb": self.min_data_ppb,
            "wei_per_payoff": str(self.wei_per_payoff),
            "verifier": None if self.verifier == ZERO_ADDRESS else self.verifier,
            "arbiter": None if self.arbiter == ZERO_ADDRESS else self.arbiter,
            "join_seconds": self.join_seconds,
            "report_seconds": self.report_seconds,
            "dispute_seconds": self.dispute_seconds,
            "ruling_seconds": self.ruling_seconds,
            "organizations": [
                {
                    "name": name,
                    "address": address,
                    "data_bits": str(s),
                    "cpu_levels_hz": [str(level) for level in levels],
                    "bond_wei": str(bond),
                    **self.rule.member_to_dict(i),
                }
                for i, (name, address, s, levels, bond) in enumerate(
                    zip(
                        self.names,
                        self.addresses,
                        self.data_bits,
                        self.cpu_levels_hz,
                        self.bonds,
                        strict=True,
                    )
                )
            ],
            **self.rule.to_dict(self.names),
            "annex": self.annex.decode(),
        }


@lru_cache(maxsize=1 << 16)
def rounded(value: float, factor: int = 1) -> int:
    """Return ``value * factor`` rounded to the nearest integer, ties to even.

    The value is the decimal number that the file shows, not the binary double next to it: 5.12e-9
    times 10^18 is 5120000000.
    """
    return round(Fraction(repr(float(value))) * factor)


def keccak(data: bytes) -> bytes:
    """Return the Keccak-256 hash, as Ethereum computes it."""
    with settlement_extra("Keccak-256"):
        from eth_utils.crypto import keccak as keccak256
    return keccak256(data)


class settlement_extra:  # noqa: N801  it reads as a verb
    """Tell the user what to install where an import of the settlement extra fails."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        """Enter the imports."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Turn a missing module into the line that installs it."""
        if isinstance(error, ImportError):
            raise MissingExtraError(self.what, "settlement") from None


def checksum(address: str) -> str:
    """Return an address with the capitals that guard it against typing errors (EIP-55)."""
    with settlement_extra("an address"):
        from eth_utils.address import to_checksum_address
    return str(to_checksum_address(address))


def _size(whole: int, digits: int = 6) -> str:
    """Return an integer as it may stand in a message: short, whatever its size."""
    small = abs(whole) < 10**300
    return f"{whole:.{digits}g}" if small else f"about 10^{math.log10(abs(whole)):.0f}"


def parsed_address(place: str, address: str) -> str:
    """Return an address that somebody typed, with checksum capitals.

    Raises
    ------
    InputError
        It has capitals, and they do not fit its digits.
    """
    account = checksum(address)
    digits = address[2:]
    if address != account and digits not in (digits.lower(), digits.upper()):
        what = "its capitals do not fit its digits (EIP-55), so one of them is a typing error"
        raise InputError.at(place, f"{what}: {address}")
    return account


class _Quantized:
    """A consortium on the way to integers; collects what does not fit."""

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        self.problems: list[Problem] = []

    def integer(self, place: str, value: float, factor: int, least: int, limit: int) -> int:
        """Return a figure times a factor, rounded; a problem if it leaves its range."""
        scale = "" if factor == 1 else f" (times {_size(factor, 3)})"
        whole = rounded(value, factor)
        return self.whole(place, whole, least, limit, f"{value:g}{scale}, that is {_size(whole)}")

    def whole(self, place: str, whole: int, least: int, limit: int, given: str = "") -> int:
        """Return an integer; a problem if it leaves its range."""
        if not least <= whole < limit:
            what = f"expected a whole number of {least} to {limit - 1:.4g}"
            self.problem(place, f"{what}, got {given or f'{whole:,}'}")
        return whole

    def problem(self, place: str, message: str) -> None:
        self.problems.append(Problem(f"{self.consortium.source}: {place}", message))

    def agreement(self, addresses: Sequence[str | None] | None) -> Agreement:
        consortium = self.consortium
        who, mechanism = consortium.organizations, consortium.mechanism
        section = consortium.settlement or Settlement()
        n = len(consortium)
        if not 2 <= n <= mirror.MAX_SIZE:
            self.problem(
                "organization",
                f"expected 2 to {mirror.MAX_SIZE:,} organizations for a settlement, got {n:,}",
            )
            raise InputError(self.problems)
        accounts = self._addresses(who.addresses if addresses is None else addresses)
        rule = self._rule(section.wei_per_payoff)
        agreement = Agreement(
            names=consortium.names,
            addresses=accounts,
            data_bits=tuple(
                self.integer(f"{name}: data_bits", float(s), 1, 1, UINT64)
                for name, s in zip(consortium.names, who.data_bits, strict=True)
            ),
            cpu_levels_hz=tuple(self._levels(i) for i in range(n)),
            rule=rule,
            min_data_ppb=self.integer(
                "mechanism.min_data_fraction", mechanism.min_data_fraction, PPB, 1, PPB + 1
            ),
            wei_per_payoff=self.whole(
                "settlement.wei_per_payoff", section.wei_per_payoff, 1, UINT128
            ),
            verifier=self._account("settlement.verifier", section.verifier or ZERO_ADDRESS),
            arbiter=self._account("settlement.arbiter", section.arbiter or ZERO_ADDRESS),
            **{
                key: self.whole(f"settlement.{key}", getattr(section, key), 1, UINT32)
                for key in ("join_seconds", "report_seconds", "dispute_seconds", "ruling_seconds")
            },
            annex=annex(consortium, rule),
        )
        if not self.problems:
            self._ranges(agreement)
        if self.problems:
            raise InputError(self.problems)
        return agreement

    def _addresses(self, addresses: Sequence[str | None]) -> tuple[str, ...]:
        seen: dict[str, str] = {}
        accounts = []
        for name, address in zip(self.consortium.names, addresses, strict=True):
            if address is None or int(address, 16) == 0:
                self.problem(f"{name}: address", "expected an account for the settlement")
                continue
            account = self._account(f"{name}: address", address)
            if account in seen:
                self.problem(f"{name}: address", f"is that of {seen[account]} too")
            seen[account] = name
            accounts.append(account)
        return tuple(accounts)

    def _account(self, place: str, address: str) -> str:
        try:
            return parsed_address(f"{self.consortium.source}: {place}", address)
        except InputError as error:
            self.problems += error.problems
            return checksum(address)

    def _levels(self, i: int) -> tuple[int, ...]:
        name = self.consortium.names[i]
        given = self.consortium.organizations.levels(i)
        levels = [self.integer(f"{name}: cpu_levels_hz", f, 1, 1, UINT64) for f in given]
        if any(above <= below for below, above in pairwise(levels)):
            self.problem(f"{name}: cpu_levels_hz", "two levels are the same number of hertz")
        if len(levels) > mirror.MAX_LEVELS:
            what = f"expected at most {mirror.MAX_LEVELS} levels for a settlement"
            self.problem(f"{name}: cpu_levels_hz", f"{what}, got {len(levels)}")
        return tuple(levels)

    def _rule(self, wei_per_payoff: int) -> RuleTerms:
        rule = self.consortium.game.rule
        if isinstance(rule, EfficientRule):
            return self._efficient(rule, wei_per_payoff)
        mechanism = self.consortium.mechanism
        return LinearTerms(
            gamma=self.integer(
                "mechanism.incentive_intensity",
                mechanism.incentive_intensity,
                wei_per_payoff * GAMMA_SCALE,
                0,
                UINT128,
            ),
            lambda_ppb=self.integer(
                "mechanism.compute_weight", mechanism.compute_weight, PPB, 0, UINT64
            ),
            rho_ppb=self._rho(),
        )

    def _rho(self) -> tuple[int, ...]:
        triangle: list[int] = []
        for row in upper_rows(self.consortium):
            triangle += map_unique(lambda rho: rounded(rho, PPB), row)
        return tuple(triangle)

    def _efficient(self, rule: EfficientRule, wei_per_payoff: int) -> EfficientTerms:
        constants: list[int] = []
        for i in range(rule.size):
            row = rule.constants_row(i)[i + 1 :]
            constants += map_unique(lambda k: rounded(k, wei_per_payoff), row)
        terms = EfficientTerms(
            schedules=tuple(
                tuple(
                    (rounded(share, PPB), rounded(value, wei_per_payoff))
                    for share, value in zip(one.shares.tolist(), one.values.tolist(), strict=True)
                )
                for one in rule.schedules
            ),
            constants=tuple(constants),
        )
        limit = "in magnitude, got %s; a smaller settlement.wei_per_payoff helps"
        for name, points in zip(self.consortium.names, terms.schedules, strict=True):
            place = f"compensation.schedules.{name}"
            largest = max(abs(value) for _, value in points)
            if largest >= mirror.LIMIT:
                what = f"expected less than 2^95 wei {limit}"
                self.problem(place, what % f"{_size(largest)}")
            elif (problem := unsuitable(points, wei_per_payoff)) is not None:
                self.problem(place, f"{problem}: a larger settlement.wei_per_payoff helps")
        largest = max(map(abs, constants))
        if largest >= mirror.LIMIT:
            what = f"expected less than 2^95 wei between any two {limit}"
            self.problem("compensation.constants", what % f"{_size(largest)}")
        return terms

    def _ranges(self, agreement: Agreement) -> None:
        for name, cap, bond in zip(agreement.names, agreement.caps, agreement.bonds, strict=True):
            if isinstance(agreement.rule, LinearTerms) and cap >= UINT96:
                self.problem(
                    name,
                    f"its largest contribution, s + lambda f, is {cap / PPB:.3g} bit; "
                    f"the contract counts up to {UINT96 / PPB:.3g}",
                )
            if bond > mirror.MAX_DEPOSIT:
                self.problem(
                    name,
                    f"its bond is {bond:,} wei, and the contract takes at most "
                    f"{mirror.MAX_DEPOSIT:,}; a smaller settlement.wei_per_payoff helps",
                )


def upper_rows(consortium: Consortium) -> Iterable[np.ndarray[Any, np.dtype[np.float64]]]:
    """Yield ``rho_ij`` for ``j > i``, one dense row an organization, after any rescaling."""
    game = consortium.game
    for i in range(game.size):
        row = np.zeros(game.size)
        competitors, rho = game.competition.row(i)
        row[competitors] = rho
        yield row[i + 1 :]


def map_unique(
    convert: Callable[[float], int], values: np.ndarray[Any, np.dtype[np.float64]]
) -> list[int]:
    """Return ``convert`` of every value, called once for each distinct one."""
    distinct, where = np.unique(values, return_inverse=True)
    converted = [convert(value) for value in distinct.tolist()]
    return [converted[k] for k in where.tolist()]


def unsuitable(points: mirror.Schedule, wei_per_payoff: int) -> str | None:
    """Return why a schedule in wei is none of the game's; ``None`` if it is one.

    The contract checks that it does not fall. That it is concave, up to rounding, is checked here.
    """
    if not mirror.is_schedule(points):
        return "in wei it is none that the contract takes"
    shares, values = zip(*points, strict=True)
    try:
        Schedule(
            np.array([share / PPB for share in shares]),
            np.array([float(Fraction(value, wei_per_payoff)) for value in values]),
        )
    except InvalidScheduleError as error:
        return f"rounded to wei: {error}"
    return None


def annex(consortium: Consortium, rule: RuleTerms) -> bytes:
    """Return the terms that matter off the chain, as JSON with sorted keys and no blanks.

    Public, so that an agent that has nothing but the chain can compute its best response;
    what is private (``p_i``, ``eta_i``, the transfer times) is left out.
    """
    accuracy = consortium.accuracy.model_dump(exclude={"points_file"})
    if consortium.points is not None:
        accuracy["points"] = consortium.points.tolist()
    mechanism = consortium.mechanism
    document = {
        "schema": "tradefl/annex/1",
        "consortium": consortium.name,
        "organizations": list(consortium.names),
        "samples": consortium.organizations.samples.tolist(),
        "accuracy": accuracy,
        "deadline_seconds": mechanism.deadline_seconds,
        "overhead_weight": mechanism.overhead_weight,
        "energy": consortium.energy.model_dump(),
        "turn_seconds": (consortium.settlement or Settlement()).turn_seconds,
        **rule.annex(),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
