r"""The agreement as a document ``tradefl/agreement/1``: written, and read as others send it.

What is read is hashed again, and every figure that follows from the hash must be the one that the
document shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradefl.errors import InputError, Problem
from tradefl.settlement.annex import read_annex
from tradefl.settlement.drafting import WINDOWS
from tradefl.settlement.ethereum import ZERO_ADDRESS, checksum, settlement_extra
from tradefl.settlement.rules import RULES, LinearTerms

if TYPE_CHECKING:
    from tradefl.documents.agreement import AgreementDocument
    from tradefl.settlement.agreement import Agreement
    from tradefl.settlement.gas import Call

SCHEMA = "tradefl/agreement/1"


def read(of: type[Agreement], document: Any, place: object) -> Agreement:
    """Return the agreement of a document; see :meth:`Agreement.from_document`."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InputError.at(place, f"expected a document of schema {SCHEMA!r}")
    with settlement_extra("an agreement document"):
        from eth_abi.exceptions import EncodingError
    wrong = (ValueError, TypeError, LookupError, AttributeError, OverflowError, EncodingError)
    try:
        agreement = _read(of, document)
        own = agreement.hash
    except InputError as error:  # of the annex: it says where
        raise InputError(
            Problem(f"{place}: {problem.place}", problem.message) for problem in error.problems
        ) from None
    except KeyError as error:
        what = f"is not a {SCHEMA} document of this version: it has no {str(error)[:80]}"
        raise InputError.at(place, what) from None
    except wrong as error:
        what = f"is not a {SCHEMA} document of this version: {type(error).__name__}"
        raise InputError.at(place, f"{what}: {' '.join(str(error).split())[:120]}") from None
    if str(document.get("hash")).lower() != own:
        got = f"{str(document['hash'])[:80]!r}" if "hash" in document else "none"
        raise InputError.at(
            f"{place}: hash",
            f"expected {own}, which is the hash of the document's figures, got {got}; ask its "
            "sender for the unchanged document",
        )
    # They follow from what is hashed, and are what a person reads.
    problems = [
        Problem(
            f"{place}: {where}",
            f"expected {str(expected)[:80]!r}, which the hash stands for, got "
            f"{str(got)[:80]!r}; ask its sender for the unchanged document",
        )
        for where, expected, got in _differing(agreement.to_dict(), document)
    ]
    if problems:
        raise InputError(problems)
    return agreement


def _read(of: type[Agreement], document: Mapping[str, Any]) -> Agreement:
    annex = str(document["annex"]).encode()
    contents = read_annex(annex)
    who = document["organizations"]
    names = tuple(str(organization["name"]) for organization in who)
    if list(names) != contents["organizations"]:
        raise ValueError("the annex names other organizations")
    rule = RULES[str(document["rule"])].from_document(document, names)
    if contents.get("rule", LinearTerms.name) != rule.name:
        raise ValueError("the annex names another rule")
    return of(
        names=names,
        addresses=tuple(checksum(organization["address"]) for organization in who),
        data_bits=tuple(int(organization["data_bits"]) for organization in who),
        cpu_levels_hz=tuple(tuple(map(int, organization["cpu_levels_hz"])) for organization in who),
        rule=rule,
        verifier=checksum(document["verifier"] or ZERO_ADDRESS),
        arbiter=checksum(document["arbiter"] or ZERO_ADDRESS),
        annex=annex,
        **{
            key: int(document[key])
            for key in (
                *WINDOWS,
                "min_data_ppb",
                "wei_per_payoff",
                "closing_blocks",
                "dispute_stake_wei",
                "organizations_per_block",
                "pairs_per_block",
            )
        },
    )


def written(
    agreement: Agreement,
    bounds: Sequence[int] | None,
    largest: tuple[Call, Call] | None,
    training: Mapping[str, Any] | None,
) -> AgreementDocument:
    """Return the document of an agreement; see :meth:`Agreement.document`."""
    from tradefl.documents.agreement import (
        AgreedOrganization,
        AgreedTraining,
        AgreementDocument,
        LargestCall,
        LargestTransaction,
    )

    def own_bound(bound: int) -> dict[str, Any]:
        return {"quantization_bound_wei": str(bound)}

    more: dict[str, Any] = {}
    if largest is not None:
        call, transaction = largest
        more["largest_call"] = LargestCall(call=call.name, gas=call.gas)
        more["largest_transaction"] = LargestTransaction(
            call=transaction.name, size=transaction.size
        )
    if training is not None:
        more["training"] = AgreedTraining(**training)
    return AgreementDocument(
        document="tradefl/agreement/1",
        consortium=agreement.consortium,
        hash=agreement.hash,
        rule=agreement.rule.name,
        min_data_ppb=agreement.min_data_ppb,
        wei_per_payoff=str(agreement.wei_per_payoff),
        verifier=None if agreement.verifier == ZERO_ADDRESS else agreement.verifier,
        arbiter=None if agreement.arbiter == ZERO_ADDRESS else agreement.arbiter,
        join_seconds=agreement.join_seconds,
        report_seconds=agreement.report_seconds,
        dispute_seconds=agreement.dispute_seconds,
        ruling_seconds=agreement.ruling_seconds,
        closing_blocks=agreement.closing_blocks,
        dispute_stake_wei=str(agreement.dispute_stake_wei),
        organizations_per_block=agreement.organizations_per_block,
        pairs_per_block=agreement.pairs_per_block,
        chain_id=agreement.chain_id,
        factory=agreement.factory,
        series=agreement.series,
        vault=agreement.vault,
        settlement=agreement.settlement_address(),
        organizations=[
            AgreedOrganization(
                name=name,
                address=address,
                data_bits=str(s),
                cpu_levels_hz=[str(level) for level in levels],
                bond_wei=str(bond),
                **agreement.rule.member_to_dict(i),
                **({} if bounds is None else own_bound(bounds[i])),
            )
            for i, (name, address, s, levels, bond) in enumerate(
                zip(
                    agreement.names,
                    agreement.addresses,
                    agreement.data_bits,
                    agreement.cpu_levels_hz,
                    agreement.bonds,
                    strict=True,
                )
            )
        ],
        **agreement.rule.to_dict(agreement.names),
        annex=agreement.annex.decode(),
        **more,
    )


def _differing(expected: Any, given: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where a document that somebody sent differs from what its hash stands for.

    A key that it lacks says nothing; those that it has beyond ours are of a later version.
    """
    if isinstance(expected, dict) and isinstance(given, dict):
        for key in expected.keys() & given.keys():
            yield from _differing(expected[key], given[key], f"{place}.{key}" if place else key)
    elif isinstance(expected, list) and isinstance(given, list) and len(expected) == len(given):
        for i, (own, theirs) in enumerate(zip(expected, given, strict=True)):
            yield from _differing(own, theirs, f"{place}.{i}")
    elif expected != given and str(expected).lower() != str(given).lower():
        yield place, expected, given
