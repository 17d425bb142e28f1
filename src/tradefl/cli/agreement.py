"""``tradefl agreement``: the consortium in the contract's integers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json
from tradefl.cli.output import note, print_facts, print_json, print_table, progress, say
from tradefl.consortium import load
from tradefl.errors import InputError
from tradefl.statement import money
from tradefl.training_document import PAYS, training_terms

if TYPE_CHECKING:
    from tradefl.settlement import Agreement
    from tradefl.settlement.locking import Locking


def agreement(
    file: File,
    chain_id: Annotated[
        int | None,
        Option(
            "--chain-id", min=1, help="The chain, where the file names none.", show_default=False
        ),
    ] = None,
    interest_rate: Annotated[
        float,
        Option(
            "--interest-rate",
            help="A year's interest on what a bond locks, as a fraction; files with a currency.",
        ),
    ] = 0.05,
    as_json: Json = False,
) -> None:
    """Print what the contract will compute with: integers, hash, bonds, addresses, largest call.

    Example: tradefl agreement examples/drug_discovery.toml
    """
    from tradefl.settlement import Agreement, gas, quantization_bounds
    from tradefl.settlement.locking import locking
    from tradefl.settlement.stand_ins import addresses_or_stand_ins

    with progress(f"reading {file}"):
        consortium = load(file)
        addresses = consortium.accounts
        filled = addresses_or_stand_ins(addresses)
        signed = Agreement.of(consortium, filled, chain_id=chain_id)
        bounds = quantization_bounds(consortium, signed)
        call, longest = gas.largest(signed)
        training = {**training_terms(consortium), "signed": consortium.training is not None}
        document = signed.document(bounds, (call, longest), training).to_dict()
    if None in addresses:
        note(
            f"{file} names no address for {addresses.count(None):,} of {len(addresses):,} "
            "organizations: stand-ins take their place, and the hash with them"
        )
    section = consortium.settlement
    if chain_id is None and (section is None or section.chain_id is None):
        note(
            f"{file} names no settlement.chain_id: that of the embedded chain takes its place, and "
            "the hash with it; --chain-id names another"
        )
    if not 0.0 <= interest_rate < float("inf"):
        raise InputError.at("--interest-rate", f"expected a number >= 0, got {interest_rate!r}")
    locked = locking(signed, interest_rate)
    code, unit = consortium.currency, consortium.payoff_unit
    if code is not None:
        document |= {
            "currency": code,
            "payoff_unit": unit,
            "locked_seconds": locked.seconds,
            "interest_rate": interest_rate,
            "bond_costs": dict(zip(signed.names, locked.costs, strict=True)),
        }
    if as_json:
        print_json(document)
        return
    say(f"{signed.consortium}: the agreement in integers\n")
    if code is not None:
        _print_bonds(signed, locked, code, unit)
    print_table(
        ["organization", "address", "s (bit)", "F (Hz)", "bond (wei)", "quantization (wei)"],
        [
            [
                name,
                address,
                f"{s:,}",
                " ".join(str(level) for level in levels),
                f"{bond:,}",
                f"<= {bound:,}",
            ]
            for name, address, s, levels, bond, bound in zip(
                signed.names,
                signed.addresses,
                signed.data_bits,
                signed.cpu_levels_hz,
                signed.bonds,
                bounds,
                strict=True,
            )
        ],
        left=(0, 1, 3),
    )
    heading, symbol, pairs = signed.rule.pairs(signed.names)
    say(heading)
    print_table(
        ["organization", "organization", symbol],
        [[payer, other, f"{whole:,}"] for payer, other, whole in pairs],
        left=(0, 1),
    )
    print_facts(
        [
            ("hash", signed.hash),
            ("rule", signed.rule.name),
            *signed.rule.facts(),
            ("D_min", f"{signed.min_data_ppb:,} ppb"),
            ("exchange rate", f"{signed.wei_per_payoff:,} wei for one unit of payoff"),
            ("verifier", document["verifier"] or "none: reports are taken as they come"),
            ("arbiter", document["arbiter"] or "none: reports are final"),
            (
                "windows",
                f"join {signed.join_seconds:,} s, report {signed.report_seconds:,} s, "
                f"dispute {signed.dispute_seconds:,} s, ruling {signed.ruling_seconds:,} s; each "
                f"and {signed.closing_blocks:,} blocks more",
            ),
            ("dispute stake", f"{signed.dispute_stake_wei:,} wei on top of each bond"),
            ("chain", f"{signed.chain_id}"),
            ("factory", signed.factory),
            ("vault", f"{signed.vault} (series {signed.series})"),
            ("contract", signed.settlement_address()),
            (
                "largest call",
                f"{call.name}, up to {call.gas:,} gas; {longest.size:,} bytes at most "
                f"({longest.name})",
            ),
            *_training(document["training"]),
            *([] if signed.payee is None else [("payee", f"{signed.payee}: {PAYEE}")]),
            *_honesty(signed),
            ("negotiation", f"turns of {signed.turn_seconds:,} s at most"),
            ("annex", f"{len(signed.annex):,} bytes: {_published(signed.annex)}"),
        ]
    )


PAYEE = "contributes nothing, deposits no bond, and receives what the organizations leave"


# What a part of the annex publishes; a part without words here is named by its key.
PUBLISHED = {
    "organizations": "names",
    "accuracy": "accuracy model",
    "deadline_seconds": "deadline",
    "energy": "energy constants",
    "overhead_weight": "price of energy",
    "turn_seconds": "turns",
    "series": "addresses",
    "training": "training terms",
}
UNSAID = {"schema", "turn_blocks", "factory", "settlement_code", "vault_code", "chain_id"}


def _published(annex: bytes) -> str:
    """Return what everybody can read in the annex on the chain."""
    parts = [name for name in json.loads(annex) if name not in UNSAID]
    return "everybody reads " + ", ".join(
        PUBLISHED.get(name, name.replace("_", " ")) for name in parts
    )


def _honesty(signed: Agreement) -> list[tuple[str, str]]:
    """Return which figures a promise of honesty covers, and which are audited, as facts."""
    from tradefl.incentives.promise import words
    from tradefl.settlement.annex import promise_of, read_annex

    promise = promise_of(read_annex(signed.annex))
    if promise is None:
        return []
    first, *rest = words(promise, signed.payee)
    return [("honesty", first), *(("", sentence) for sentence in rest)]


def _training(terms: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how updates become a model, and what each outcome of an update pays, as facts."""
    parts = [str(terms["aggregation"])]
    if terms["aggregation"] == "fedprox":
        parts.append(f"proximal weight {terms['proximal_mu']:g}")
    if terms["clip_norm"]:
        parts.append(f"steps of at most {terms['clip_norm']:g}")
    if terms["assumed_hostile"] is not None:
        parts.append(f"{terms['assumed_hostile']:,} assumed hostile")
    if terms["unpaid_flags"]:
        parts.append(f"updates that are certainly {' or '.join(terms['unpaid_flags'])} pay nothing")
    signed = "in the annex" if terms["signed"] else "the default; the file has no [training]"
    worth = {pays: [name for name in PAYS if PAYS[name] == pays] for pays in PAYS.values()}
    return [
        ("training", f"{', '.join(parts)} ({signed})"),
        (
            "an update pays",
            "; ".join(f"{', '.join(names)}: {pays}" for pays, names in worth.items()),
        ),
    ]


def _print_bonds(signed: Agreement, locked: Locking, code: str, unit: float) -> None:
    """Print what each bond locks in money, for how long, and what that costs."""
    days = locked.seconds / 86_400
    say(
        f"What the bonds lock, for {days:,.3g} days at most, and what that costs at "
        f"{100.0 * locked.interest_rate:g} % a year"
    )
    payoffs = [bond / signed.wei_per_payoff for bond in signed.bonds]
    print_table(
        ["organization", f"bond ({code})", f"interest ({code})", "bond (wei)"],
        [
            [name, money(payoff * unit, 2), money(cost * unit, 2), f"{bond:,}"]
            for name, payoff, cost, bond in zip(
                signed.names, payoffs, locked.costs, signed.bonds, strict=True
            )
        ],
        footer=[
            "sum",
            money(sum(payoffs) * unit, 2),
            money(sum(locked.costs) * unit, 2),
            f"{sum(signed.bonds):,}",
        ],
    )
