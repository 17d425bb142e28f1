"""``tradefl agreement``: the consortium in the contract's integers."""

from __future__ import annotations

from tradefl.cli.options import File, Json
from tradefl.cli.output import note, print_facts, print_json, print_table, progress, say
from tradefl.consortium import load


def agreement(file: File, as_json: Json = False) -> None:
    """Print what the contract will compute with: integers, hash, bonds, quantization error.

    Example: tradefl agreement examples/drug_discovery.toml
    """
    from tradefl.settlement import Agreement, quantization_bounds
    from tradefl.settlement.stand_ins import addresses_or_stand_ins

    with progress(f"reading {file}"):
        consortium = load(file)
        addresses = consortium.organizations.addresses
        signed = Agreement.of(consortium, addresses_or_stand_ins(addresses))
        bounds = quantization_bounds(consortium, signed)
        document = signed.to_dict()
    if None in addresses:
        note(
            f"{file} names no address for {addresses.count(None):,} of {len(consortium):,} "
            "organizations: stand-ins take their place, and the hash with them"
        )
    for entry, bound in zip(document["organizations"], bounds, strict=True):
        entry["quantization_bound_wei"] = str(bound)
    if as_json:
        print_json(document)
        return
    say(f"{signed.consortium}: the agreement in integers\n")
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
        left=(0, 1),
    )
    heading, symbol, pairs = signed.rule.pairs(signed.names)
    say(heading)
    print_table(
        ["organization", "organization", symbol],
        [[one, other, f"{whole:,}"] for one, other, whole in pairs],
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
            ("arbiter", document["arbiter"] or "none: reports stand"),
            (
                "windows",
                f"join {signed.join_seconds:,} s, report {signed.report_seconds:,} s, "
                f"dispute {signed.dispute_seconds:,} s, ruling {signed.ruling_seconds:,} s",
            ),
            ("negotiation", f"turns of {signed.turn_seconds:,} s at most"),
            ("annex", f"{len(signed.annex):,} bytes: names, samples, accuracy model, deadline"),
        ]
    )
