r"""Drafting: a consortium file becomes an agreement, or the list of the figures that do not fit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tradefl.consortium.schema import Settlement
from tradefl.errors import InputError, Problem
from tradefl.settlement import arithmetic, gas
from tradefl.settlement.addresses import EMBEDDED_CHAIN_ID, default_factory, default_series
from tradefl.settlement.annex import SCHEMA
from tradefl.settlement.arithmetic import PPB, UINT32, UINT64, UINT128, rounded, size_of
from tradefl.settlement.artifacts import VAULT, code_hash
from tradefl.settlement.ethereum import ZERO_ADDRESS, checksum, parsed_address
from tradefl.settlement.rules import RULES, RuleTerms
from tradefl.training_document import training_terms

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.settlement.agreement import Agreement

# The windows of an agreement, as the file names them.
WINDOWS = ("join_seconds", "report_seconds", "dispute_seconds", "ruling_seconds")


def drafted(
    of: type[Agreement],
    consortium: Consortium,
    addresses: Sequence[str | None] | None,
    chain_id: int | None,
) -> Agreement:
    """Return the agreement of a consortium; see :meth:`Agreement.of`."""
    return _Quantized(consortium).agreement(of, addresses, chain_id)


class _Quantized:
    """A consortium on the way to integers; collects what does not fit."""

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        self.problems: list[Problem] = []

    def integer(self, place: str, value: float, factor: int, least: int, limit: int) -> int:
        """Return a figure times a factor, rounded; a problem if it leaves its range."""
        scale = "" if factor == 1 else f" (times {size_of(factor, 3)})"
        whole = rounded(value, factor)
        return self.whole(place, whole, least, limit, f"{value:g}{scale}, that is {size_of(whole)}")

    def whole(self, place: str, whole: int, least: int, limit: int, given: str = "") -> int:
        """Return an integer; a problem if it leaves its range."""
        if not least <= whole < limit:
            what = f"expected a whole number of {least} to {limit - 1:.4g}"
            self.problem(place, f"{what}, got {given or f'{whole:,}'}")
        return whole

    def problem(self, place: str, message: str) -> None:
        self.problems.append(Problem(f"{self.consortium.source}: {place}", message))

    def agreement(
        self, of: type[Agreement], addresses: Sequence[str | None] | None, chain_id: int | None
    ) -> Agreement:
        consortium = self.consortium
        who, mechanism = consortium.organizations, consortium.mechanism
        section = consortium.settlement or Settlement()
        n, paid = len(consortium), consortium.payee is not None
        if not 2 <= n <= arithmetic.MAX_SIZE:
            self.problem(
                "organization",
                f"expected 2 to {arithmetic.MAX_SIZE:,} organizations for a settlement, got {n:,}",
            )
            raise InputError(self.problems)
        accounts = self._addresses(consortium.accounts if addresses is None else addresses)
        rule = self._rule(section.wei_per_payoff)
        if not section.arbiter and section.dispute_stake_wei:
            self.problem(
                "settlement.dispute_stake_wei",
                f"expected 0 without settlement.arbiter, got {section.dispute_stake_wei:,}; "
                "without an arbiter nothing can be disputed",
            )
        agreement = of(
            names=consortium.settling,
            addresses=accounts,
            # A payee holds one bit at one level: the contract takes nobody who has nothing.
            data_bits=(
                *(
                    self.integer(f"{name}: data_bits", float(s), 1, 1, UINT64)
                    for name, s in zip(consortium.names, who.data_bits, strict=True)
                ),
                *[1] * paid,
            ),
            cpu_levels_hz=(*map(self._levels, range(n)), *[(1,)] * paid),
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
                for key in (*WINDOWS, "closing_blocks")
            },
            dispute_stake_wei=self.whole(
                "settlement.dispute_stake_wei",
                section.dispute_stake_wei,
                0,
                arithmetic.MAX_DEPOSIT + 1,
            ),
            organizations_per_block=1,
            pairs_per_block=1,
            annex=b"",
        )
        chain_id = self._chain_id(section, chain_id)
        if not self.problems:
            self._ranges(agreement)
        if self.problems:
            raise InputError(self.problems)
        agreement = dataclasses.replace(
            agreement, annex=annex(consortium, rule, accounts, chain_id)
        )
        return self._cut(agreement, section)

    def _chain_id(self, section: Settlement, chain_id: int | None) -> int:
        """Return the chain of the settlement: that of the file, or of the node."""
        if section.factory is not None:
            self._account("settlement.factory", section.factory)
            if int(section.factory, 16) == 0:
                self.problem("settlement.factory", "expected a contract, got the zero address")
        named = section.chain_id
        if named is not None and chain_id is not None and named != chain_id:
            self.problem("settlement.chain_id", f"the file is for chain {named}, not {chain_id}")
        return named or chain_id or EMBEDDED_CHAIN_ID

    def _cut(self, agreement: Agreement, section: Settlement) -> Agreement:
        """Return the agreement with its lists cut into blocks that fit the limits."""
        limits = gas.Limits(section.block_gas_limit, section.max_transaction_bytes)
        agreement = gas.cut(agreement, limits)
        for call in gas.calls(agreement):
            if call.gas > limits.gas:
                self.problem(
                    "settlement.block_gas_limit",
                    f"{call.name} of {len(agreement):,} organizations needs up to {call.gas:,} "
                    f"gas, and the limit is {limits.gas:,}; raise the limit as far as the chain's "
                    "blocks allow, or settle with fewer organizations",
                )
            if call.size > limits.size:
                self.problem(
                    "settlement.max_transaction_bytes",
                    f"{call.name} of {len(agreement):,} organizations needs up to {call.size:,} "
                    f"bytes, and the limit is {limits.size:,}; raise it if your nodes accept such "
                    "transactions (recent ones accept 131,072 bytes)",
                )
        if self.problems:
            raise InputError(self.problems)
        return agreement

    def _addresses(self, addresses: Sequence[str | None]) -> tuple[str, ...]:
        seen: dict[str, str] = {}
        accounts = []
        for name, address in zip(self.consortium.settling, addresses, strict=True):
            if address is None or int(address, 16) == 0:
                self.problem(f"{name}: address", "expected an account for the settlement")
                continue
            account = self._account(f"{name}: address", address)
            if account in seen:
                self.problem(f"{name}: address", f"already used by {seen[account]}")
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
        if len(levels) > arithmetic.MAX_LEVELS:
            what = f"expected at most {arithmetic.MAX_LEVELS} levels for a settlement"
            self.problem(f"{name}: cpu_levels_hz", f"{what}, got {len(levels)}")
        return tuple(levels)

    def _rule(self, wei_per_payoff: int) -> RuleTerms:
        rule = self.consortium.game.rule
        return RULES[rule.name].drafted(rule, self, wei_per_payoff)

    def _ranges(self, agreement: Agreement) -> None:
        for name, cap, bond in zip(agreement.names, agreement.caps, agreement.bonds, strict=True):
            if cap >= agreement.rule.score_limit:
                self.problem(name, agreement.rule.excess(cap))
            if bond + agreement.dispute_stake_wei > arithmetic.MAX_DEPOSIT:
                self.problem(
                    name,
                    f"its bond is {bond:,} wei, and the contract takes at most "
                    f"{arithmetic.MAX_DEPOSIT:,}, dispute stake included; a smaller "
                    "settlement.wei_per_payoff helps",
                )


def annex(consortium: Consortium, rule: RuleTerms, accounts: Sequence[str], chain_id: int) -> bytes:
    """Return the terms that matter off the chain, as JSON with sorted keys and no blanks.

    Public, so that an agent that has nothing but the chain can compute its best response;
    what is private (``p_i``, ``eta_i``, the transfer times, ``data_cost_i``, ``joining_cost_i``,
    an organization's own capacitance) is left out. It also names the chain, the factory and the
    code of the contracts, from which their addresses follow.
    """
    section = consortium.settlement or Settlement()
    accuracy = consortium.accuracy.model_dump(exclude={"points_file"})
    if consortium.points is not None:
        accuracy["points"] = consortium.points.tolist()
    mechanism = consortium.mechanism
    factory = default_factory() if section.factory is None else checksum(section.factory)
    own_series = default_series(chain_id, factory, consortium.settling, accounts)
    document = {
        "schema": SCHEMA,
        "consortium": consortium.name,
        "organizations": list(consortium.settling),
        "samples": consortium.organizations.samples.tolist(),
        "accuracy": accuracy,
        "deadline_seconds": mechanism.deadline_seconds,
        "overhead_weight": mechanism.overhead_weight,
        "energy": consortium.energy.model_dump(),
        "turn_seconds": section.turn_seconds,
        "turn_blocks": section.turn_blocks_agreed,
        "chain_id": chain_id,
        "factory": factory,
        "settlement_code": code_hash(rule.contract),
        "vault_code": code_hash(VAULT),
        "series": section.series.lower() if section.series else own_series,
        **rule.annex(consortium),
    }
    if consortium.payee is not None:
        document["payee"] = consortium.payee.name
    quality = consortium.organizations.quality
    if np.any(quality != 1.0):
        document["quality"] = quality.tolist()
    if consortium.training is not None:  # what everybody signs of how updates become a model
        document["training"] = training_terms(consortium)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
