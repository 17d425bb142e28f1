r"""The agreement: a consortium in integers.

``drafting`` makes it of a file, ``encoding`` packs it for the contract and hashes it, and
``agreement_document`` writes and reads it as JSON.

What the contract computes with is here in the very integers that it computes with; what
matters only off the chain (names, the accuracy model, the deadline) is the annex, a JSON text
that the agreement commits to by hash. Private figures (``p_i``, ``eta_i``, the transfer times)
are in neither.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tradefl.errors import InputError
from tradefl.foreign import parse_json
from tradefl.settlement import addresses as derived
from tradefl.settlement import agreement_document, artifacts, encoding
from tradefl.settlement.arithmetic import PPB, rounded
from tradefl.settlement.drafting import drafted
from tradefl.settlement.ethereum import checksum, keccak, settlement_extra
from tradefl.settlement.rules import Member, Report, RuleTerms

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.documents.agreement import AgreementDocument
    from tradefl.game import StrategyProfile
    from tradefl.settlement.gas import Call

ROUND = 0  # of a settlement's address; agreements of this version have one round


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
        The windows: how long each stays open at least.
    closing_blocks
        For how many blocks a window stays open after somebody has closed it.
    dispute_stake_wei
        What each organization deposits on top of its bond where there is an arbiter, and what a
        lost dispute costs, wei.
    organizations_per_block, pairs_per_block
        How the two lists are cut for publication.
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
    closing_blocks: int
    dispute_stake_wei: int
    organizations_per_block: int
    pairs_per_block: int
    annex: bytes

    @classmethod
    def of(
        cls,
        consortium: Consortium,
        addresses: Sequence[str | None] | None = None,
        *,
        chain_id: int | None = None,
    ) -> Agreement:
        """Return the agreement of a consortium.

        Parameters
        ----------
        consortium
            The consortium; its game must be valid.
        addresses
            The organizations' accounts in order; default: those of the file.
        chain_id
            The chain of the settlement where the file names none; default: the embedded chain's.

        Raises
        ------
        InputError
            An address is missing or used twice, the file names another chain, a figure does not fit
            its integer, or no size of blocks fits the limits on gas and bytes.
        """
        return drafted(cls, consortium, addresses, chain_id)

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
        return encoding.decoded(cls, terms, organizations, rule, annex)

    @classmethod
    def from_document(cls, document: Any, place: object = "agreement") -> Agreement:
        """Return the agreement of a ``tradefl/agreement/1`` document, hashed again.

        Parameters
        ----------
        document
            What :meth:`to_dict` returns.
        place
            Where it is from, for messages.

        Raises
        ------
        InputError
            It is not such a document, or its hash is not that of its figures.
        """
        return agreement_document.read(cls, document, place)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def payee(self) -> str | None:
        """Who settles with all and contributes nothing, the last of the names; ``None``: nobody."""
        return self._annex.get("payee") if self.annex else None

    @property
    def players(self) -> int:
        """How many organizations the game has: all who settle but the payee."""
        return len(self) - (self.payee is not None)

    @cached_property
    def _annex(self) -> dict[str, Any]:
        document: dict[str, Any] = parse_json(self.annex, "annex")
        return document

    @property
    def consortium(self) -> str:
        """The consortium's name."""
        return str(self._annex["consortium"])

    @property
    def turn_seconds(self) -> int:
        """How long a turn of a negotiation lasts at most, seconds of chain time."""
        return int(self._annex["turn_seconds"])

    @property
    def turn_blocks(self) -> int:
        """How many blocks a turn stays open after its time; 0 if time alone decides."""
        return int(self._annex.get("turn_blocks", 0))

    @property
    def has_arbiter(self) -> bool:
        """Whether reports can be disputed."""
        return int(self.arbiter, 16) != 0

    @property
    def has_verifier(self) -> bool:
        """Whether a report needs the verifier's signature."""
        return int(self.verifier, 16) != 0

    # --- where its contracts are ------------------------------------------------------------------

    @property
    def chain_id(self) -> int:
        """The chain on which it is settled."""
        return int(self._annex["chain_id"])

    @property
    def factory(self) -> str:
        """The contract that creates the vault and the settlement."""
        return checksum(self._annex["factory"])

    @property
    def series(self) -> str:
        """The salt of the vault's address, ``0x`` and 64 digits."""
        return str(self._annex["series"])

    def require_codes(self) -> None:
        """Refuse an agreement whose contracts this version does not have.

        Raises
        ------
        InputError
            The annex names the code of another version.
        """
        for key, name in (
            ("settlement_code", self.rule.contract),
            ("vault_code", artifacts.VAULT),
        ):
            expected, given = artifacts.code_hash(name), self._annex[key]
            if given != expected:
                raise InputError.at(
                    f"agreement {self.hash}: {key}",
                    f"the agreement names the code {given}, this version has {expected}; use the "
                    "version of tradefl with which the agreement was made, or agree again",
                )

    @cached_property
    def vault_creation_code(self) -> bytes:
        """What creates the vault: bytecode and arguments."""
        return derived.vault_code(artifacts.creation_bytecode(artifacts.VAULT))

    @cached_property
    def vault(self) -> str:
        """The address of the contract that holds the deposits."""
        self.require_codes()
        salt = bytes.fromhex(self.series[2:])
        return derived.create2(self.factory, salt, self.vault_creation_code)

    @cached_property
    def settlement_creation_code(self) -> bytes:
        """What creates the settlement: bytecode and arguments."""
        with settlement_extra("the settlement's code"):
            from eth_abi.abi import encode
        arguments = encode(encoding.CONSTRUCTOR, [self.vault, *self.constructor_arguments])
        return artifacts.creation_bytecode(self.rule.contract) + arguments

    def settlement_salt(self, attempt: int = 0) -> bytes:
        """Return the salt of an attempt's address."""
        return derived.settlement_salt(self.hash, ROUND, attempt)

    def settlement_address(self, attempt: int = 0) -> str:
        """Return the address of the settlement; attempt 1 follows a cancelled attempt 0."""
        salt = self.settlement_salt(attempt)
        return derived.create2(self.factory, salt, self.settlement_creation_code)

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

    @cached_property
    def deposits(self) -> tuple[int, ...]:
        """The least that the vault takes from each organization, wei: bond and dispute stake."""
        stake = self.dispute_stake_wei if self.has_arbiter else 0
        return tuple(bond + stake for bond in self.bonds)

    def score(self, i: int, report: Report) -> int:
        """Return what a report of organization i counts for, in the rule's unit."""
        return self.rule.score(i, self.members[i], report)

    def redistribution(self, reports: Sequence[Report]) -> list[int]:
        """Return ``R_i`` of every organization, wei, Eq. (10)."""
        return self.rule.redistribution([self.score(i, report) for i, report in enumerate(reports)])

    def reports(self, profile: StrategyProfile) -> list[Report]:
        """Return a strategy profile in the contract's integers.

        Raises
        ------
        InputError
            A frequency is not one of the organization's levels, or a share is outside [D_min, 1].
        """
        rows = zip(profile.data_fraction.tolist(), profile.cpu_hz.tolist(), strict=True)
        return self.with_payee([self.report(i, d, f) for i, (d, f) in enumerate(rows)])

    def with_payee(self, reports: Sequence[Report]) -> list[Report]:
        """Return the organizations' reports, and that of the payee: its one bit at its level."""
        if self.payee is None:
            return list(reports)
        return [*reports, Report(data_ppb=PPB, cpu_hz=self.cpu_levels_hz[-1][0])]

    def report(self, i: int, data_fraction: float, cpu_hz: float) -> Report:
        """Return one organization's contribution in the contract's integers; 0 is silence.

        Raises
        ------
        InputError
            The frequency is not one of its levels, or the share is neither 0 nor in [D_min, 1].
        """
        for field, value in (("data_fraction", data_fraction), ("cpu_hz", cpu_hz)):
            if not math.isfinite(value):
                what = f"expected a finite number, got {value}"
                raise InputError.at(f"{self.names[i]}: {field}", what)
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
        return encoding.organization_blocks(self)

    @cached_property
    def pair_blocks(self) -> tuple[bytes, ...]:
        """What the rule knows of each pair, packed, so many pairs to a block."""
        return encoding.pair_blocks(self)

    @cached_property
    def terms(self) -> tuple[Any, ...]:
        """``ITradeFL.Terms``, in its order."""
        return encoding.terms(self)

    @cached_property
    def constructor_arguments(self) -> tuple[tuple[Any, ...], list[bytes], list[bytes]]:
        """What the contract is deployed with after the vault: terms, and the hashes of blocks."""
        return (
            self.terms,
            [keccak(block) for block in self.organization_blocks],
            [keccak(block) for block in self.pair_blocks],
        )

    @cached_property
    def hash(self) -> str:
        """``keccak256(abi.encode(terms, organizationBlocks, pairBlocks))``, ``0x...``."""
        return encoding.agreement_hash(self)

    def document(
        self,
        bounds: Sequence[int] | None = None,
        largest: tuple[Call, Call] | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> AgreementDocument:
        """Return the JSON document ``tradefl/agreement/1``; integers that may be large as text.

        Parameters
        ----------
        bounds
            The quantization bound of each organization, wei; left out by default.
        largest
            The most expensive call and the longest transaction, as
            :func:`tradefl.settlement.gas.largest` returns them; left out by default.
        training
            How updates become a model, what each outcome pays, and whether that is ``signed``;
            left out by default.
        """
        return agreement_document.written(self, bounds, largest, training)

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()
