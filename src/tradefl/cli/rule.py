"""``tradefl rule``: the arbiter settles a dispute."""

from __future__ import annotations

import math
from typing import Annotated

import click

from tradefl.cli.acting import Access, existing_settlement, place_of
from tradefl.cli.declaring import Option
from tradefl.cli.options import File
from tradefl.cli.output import say
from tradefl.errors import InputError


def rule(
    file: File,
    report: Annotated[str, Option("--report", help="Whose report, by name.", show_default=False)],
    uphold: Annotated[bool, Option("--uphold", help="Confirm the report.")] = False,
    strike: Annotated[bool, Option("--strike", help="The report counts as silence.")] = False,
    data: Annotated[
        float | None,
        Option(
            "--data",
            help="The share of its data from now on.",
            type=click.FloatRange(0.0, 1.0),
            show_default=False,
        ),
    ] = None,
    hz: Annotated[
        float | None,
        Option(
            "--hz",
            help="Its CPU frequency from now on, Hz.",
            type=click.FloatRange(0.0, 1e19, min_open=True),
            show_default=False,
        ),
    ] = None,
    *,
    access: Access,
) -> None:
    """Rule on a disputed report, as the arbiter: uphold it, strike it, or correct it.

    Example: tradefl rule consortium.toml --report Beta --data 0.25 --hz 2e9 --rpc URL
    --keystore arbiter
    """
    corrected = data is not None or hz is not None
    if uphold + strike + corrected != 1 or (corrected and (data is None or hz is None)):
        what = "expected exactly one of --uphold, --strike, or --data with --hz"
        raise InputError.at("--uphold", what)
    for option, value in (("--data", data), ("--hz", hz)):
        if value is not None and math.isnan(value):  # it is within every range
            raise InputError.at(option, "expected a number, got nan")
    settlement, _ = existing_settlement(file, access, (), arbiter=True)
    from tradefl.settlement.disputes import rule as ruled
    from tradefl.settlement.rules import Report

    agreement = settlement.agreement
    account = place_of(agreement, "--report", report)
    ruling = None if uphold else Report(data_ppb=0, cpu_hz=0)
    if data is not None and hz is not None:
        if data == 0.0:
            raise InputError.at("--data", "expected a share above 0; --strike strikes the report")
        ruling = agreement.report(agreement.names.index(report), data, hz)
    receipt, counts = ruled(settlement, account, ruling)
    say(
        f"the report of {report} is now d = {counts.data_ppb:,} ppb, f = {counts.cpu_hz:,} Hz: "
        f"{receipt.hash}"
    )
