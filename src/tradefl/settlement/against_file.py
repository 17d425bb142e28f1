r"""A settlement against a file: what the file says that the chain cannot know.

The terms of a contract that has not published its agreement yet, the agreement figure by figure,
what follows from the file's figures, and whether the reports are an equilibrium of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tradefl.game import StrategyProfile
from tradefl.game.equilibrium import certify
from tradefl.incentives.promise import recomputed
from tradefl.settlement.agreed import agreed_game
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.checks import Checks, figures
from tradefl.settlement.contract import Deployment
from tradefl.settlement.encoding import TERMS_FIELDS, plain_terms
from tradefl.settlement.ethereum import checksum, keccak
from tradefl.settlement.rules import Report

if TYPE_CHECKING:
    from tradefl.consortium import Consortium

# Reports are rounded to a ppb, so they are an equilibrium to that precision only.
EQUILIBRIUM_TOLERANCE = 1e-7
SHOWN = 5


def compare_unpublished(
    checks: Checks, deployed: Deployment, chain_id: int, own: str, consortium: Consortium | None
) -> None:
    """Compare what a contract says before its agreement is published: terms and hashes."""
    checks.notes.append("the agreement is not published completely yet")
    if consortium is None:
        return
    source = consortium.source
    if any(address is None for address in consortium.accounts):
        checks.notes.append(
            f"{source} does not name every organization's address, so the hash could not be "
            "compared yet; the terms were"
        )
        # Stand-ins for the missing accounts: they are in the lists, not in the terms.
        filled = [
            f"0x{i + 1:040x}" if address is None else address
            for i, address in enumerate(consortium.accounts)
        ]
        expected = Agreement.of(consortium, filled, chain_id=chain_id)
        hash_is_known = False
    else:
        expected = Agreement.of(consortium, chain_id=chain_id)
        hash_is_known = True
    checks.compare(f"{source}: rule", expected.rule.name, deployed.rule)
    for key, mine, theirs in zip(
        TERMS_FIELDS, plain_terms(expected.terms), plain_terms(deployed.terms), strict=True
    ):
        if key != "annexHash" or hash_is_known:
            checks.compare(f"{source}: {key}", mine, theirs)
    hashes = [keccak(block) for block in expected.pair_blocks]
    checks.compare(f"{source}: hashes of the pairs", hashes, list(deployed.pair_hashes))
    if hash_is_known:
        checks.compare(f"{source}: agreement hash", expected.hash, own)


def compare_agreement(
    checks: Checks, agreement: Agreement, consortium: Consortium, chain_id: int
) -> Agreement | None:
    """Compare the agreement with a file, figure by figure; return the file's agreement.

    ``None`` where the file is of other organizations.
    """
    given = consortium.accounts
    if consortium.settling != agreement.names:
        names = ", ".join(consortium.settling)
        checks.compare("organizations", names, ", ".join(agreement.names))
        return None
    for name, mine, theirs in zip(agreement.names, given, agreement.addresses, strict=True):
        if mine is not None:
            checks.compare(f"{consortium.source}: {name}: address", checksum(mine), theirs)
    without = [name for name, mine in zip(agreement.names, given, strict=True) if mine is None]
    if without:
        checks.notes.append(
            f"{consortium.source} names no address for {len(without)} organization"
            f"{'s' if len(without) > 1 else ''}; the chain's are taken"
        )
    filled = [
        mine if mine is not None else theirs
        for mine, theirs in zip(given, agreement.addresses, strict=True)
    ]
    # An address of the file may be another organization's on the chain.
    apart = len({address.lower() for address in filled}) == len(filled)
    expected = Agreement.of(consortium, filled if apart else agreement.addresses, chain_id=chain_id)
    checks.compare(f"{consortium.source}: rule", expected.rule.name, agreement.rule.name)
    for place, mine, theirs in figures(expected, agreement):
        checks.compare(f"{consortium.source}: {place}", mine, theirs)
    checks.compare(f"{consortium.source}: agreement hash", expected.hash, agreement.hash)
    return expected


def compare_consequences(
    checks: Checks,
    expected: Agreement,
    agreement: Agreement,
    reports: Sequence[Report],
    redistribution: Sequence[int],
) -> None:
    """Compare what follows from the file's figures: what everybody would owe and get."""
    by_file = expected.redistribution(reports)
    for name, mine, theirs in zip(agreement.names, expected.bonds, agreement.bonds, strict=True):
        checks.compare(f"{name}: bond_wei by the file", mine, theirs)
    for name, mine, theirs in zip(agreement.names, by_file, redistribution, strict=True):
        checks.compare(f"{name}: redistribution_wei by the file", mine, theirs)


def compare_promise(checks: Checks, consortium: Consortium) -> None:
    """Work the promise out again from all figures of the file."""
    for check in recomputed(consortium):
        checks.close(f"{consortium.source}: compensation.truthful: {check.place}", check)


def note_equilibrium(
    checks: Checks, by_file: Agreement | None, consortium: Consortium, reports: Sequence[Report]
) -> None:
    """Say whether the reports are an equilibrium of the file, private figures included."""
    if by_file is None or any(report.silent for report in reports):
        return
    game = agreed_game(consortium, by_file)
    own = reports[: by_file.players]
    profile = StrategyProfile(
        np.array([report.data_ppb / 1e9 for report in own]),
        np.array([float(report.cpu_hz) for report in own]),
    )
    certificate = certify(game, profile)
    if not certificate.feasible:
        off = np.flatnonzero(~game.is_feasible(profile))
        who = ", ".join(consortium.names[i] for i in off[:SHOWN])
        who += f" and {off.size - SHOWN:,} more" if off.size > SHOWN else ""
        checks.notes.append(
            f"by the time model of Eq. (2) the reports are not feasible in "
            f"{consortium.source}: those of {who} exceed what the deadline allows, as shares "
            "may that training has measured, because samples are whole"
        )
        return
    worst = int(np.argmax(certificate.regret))
    if not certificate.is_equilibrium(EQUILIBRIUM_TOLERANCE):
        checks.notes.append(
            f"the reports are not an equilibrium of {consortium.source}: "
            f"{consortium.names[worst]} could gain {certificate.max_regret:.6g} by deviating "
            "alone; reports may be measured ones, or a private figure of the file has changed"
        )
