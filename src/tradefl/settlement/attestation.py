"""Attestations: the verifier's signature under what an organization has contributed (EIP-712)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from tradefl.consortium.schema import shown, suggestion
from tradefl.documents.attestations import AttestationEntry, AttestationsDocument
from tradefl.documents.base import parsed
from tradefl.errors import InputError, Parameter, Problem
from tradefl.foreign import read_json
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import Chain, KeySigner
from tradefl.settlement.contract import ChainError, RevertedError
from tradefl.settlement.ethereum import keccak
from tradefl.settlement.rules import Report

# isValidSignature(bytes32,bytes): its selector, and what it returns where it accepts.
ACCEPTED = "1626ba7e"


@dataclasses.dataclass(frozen=True)
class Attestation:
    """What a report is submitted with where there is a verifier.

    Attributes
    ----------
    signature
        The verifier's, EIP-712; what a verifier that is a contract accepts (EIP-1271).
    serial
        Its place among the attestations of the organization: a higher one replaces a report.
    expiry
        The last second at which it may be submitted, since 1970; 0: forever.
    """

    signature: bytes
    serial: int = 1
    expiry: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return AttestationEntry(
            signature=f"0x{self.signature.hex()}", serial=self.serial, expiry=self.expiry
        ).to_dict()


def attestations(
    agreement: Agreement,
    reports: Sequence[Report],
    *,
    chain_id: int,
    contract: str,
    signers: Sequence[KeySigner],
    serial: int = 1,
    expiry: int = 0,
) -> dict[str, dict[str, Any]]:
    """Return the verifier's attestations by organization, as a settlement reads them.

    An organization that contributed nothing reports nothing, so there is nothing to sign. The
    signatures of several signers follow each other in the order of their accounts, as contracts
    with several owners (Safe) read them.
    """
    ordered = sorted(signers, key=lambda signer: int(signer.address, 16))
    return {
        name: Attestation(
            b"".join(
                attestation(chain_id, contract, signer, account, report, serial, expiry)
                for signer in ordered
            ),
            serial,
            expiry,
        ).to_dict()
        for name, account, report in zip(agreement.names, agreement.addresses, reports, strict=True)
        if not report.silent
    }


def read_attestations(document: Any, place: object, names: Sequence[str]) -> dict[str, Attestation]:
    """Return the attestations of a JSON document by organization.

    Raises
    ------
    InputError
        It is not one, or it names an organization that is not in the consortium.
    """
    if not isinstance(document, dict):
        expected = '{"organization": {"signature": "0x...", "serial": 1, "expiry": 0}, ...}'
        raise InputError.at(place, f"expected {expected}, got {shown(document)}")
    unknown = [
        Problem(str(place), f"no organization {shown(name)} in the consortium{hint}")
        for name in document
        if name not in names
        for hint in [suggestion(str(name), names)]
    ]
    if unknown:
        raise InputError(unknown)
    given = parsed(document, AttestationsDocument, place).root
    return {
        name: Attestation(bytes.fromhex(entry.signature[2:]), entry.serial, entry.expiry)
        for name, entry in given.items()
    }


def attestation(
    chain_id: int,
    contract: str,
    verifier: KeySigner,
    account: str,
    report: Report,
    serial: int = 1,
    expiry: int = 0,
) -> bytes:
    """Return the verifier's EIP-712 signature under what an account contributed, 65 bytes."""
    typed = _typed_data(chain_id, contract, account, report, serial, expiry)
    return bytes(verifier.key.sign_typed_data(*typed).signature)


def attested_by(
    chain_id: int,
    contract: str,
    account: str,
    report: Report,
    signature: bytes,
    serial: int = 1,
    expiry: int = 0,
) -> str | None:
    """Return who signed what an account contributed; ``None``: the signature is malformed."""
    typed = _typed_data(chain_id, contract, account, report, serial, expiry)
    message = encode_typed_data(*typed)
    try:
        return str(Account.recover_message(message, signature=signature))
    except (ValueError, BadSignature, ValidationError):
        return None


def require_accepted(
    chain: Chain,
    agreement: Agreement,
    contract: str,
    reports: Sequence[Report],
    given: dict[str, Attestation],
) -> None:
    """Refuse attestations that a verifier which is a contract would not accept (EIP-1271).

    The contract is asked now; when a report is submitted, the settlement asks it again.

    Raises
    ------
    ChainError
        It does not accept one, reverts, or is no such contract.
    """
    for name, account, report in zip(agreement.names, agreement.addresses, reports, strict=True):
        if name not in given:
            continue
        one = given[name]
        typed = _typed_data(chain.chain_id, contract, account, report, one.serial, one.expiry)
        message = encode_typed_data(*typed)
        digest = keccak(b"\x19" + message.version + message.header + message.body)
        data = bytes.fromhex(ACCEPTED) + encode(["bytes32", "bytes"], [digest, one.signature])
        try:
            answer = chain.asked(agreement.verifier, data, "isValidSignature")
        except RevertedError:
            answer = b""
        if answer[:32] != bytes.fromhex(ACCEPTED).ljust(32, b"\0"):
            raise ChainError(
                agreement.verifier,
                f"the verifier, a contract, does not accept the signature for {name!r} (EIP-1271); "
                "sign with the accounts that it asks for",
            )


def _typed_data(
    chain_id: int, contract: str, account: str, report: Report, serial: int, expiry: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    # Of both rules: the contract is part of it, so nothing signed for one holds for another.
    domain = {
        "name": "TradeFL",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": contract,
    }
    types = {
        "Contribution": [
            {"name": "organization", "type": "address"},
            {"name": "dataPpb", "type": "uint32"},
            {"name": "cpuHz", "type": "uint64"},
            {"name": "serial", "type": "uint64"},
            {"name": "expiry", "type": "uint64"},
        ]
    }
    message = {
        "organization": account,
        "dataPpb": report.data_ppb,
        "cpuHz": report.cpu_hz,
        "serial": serial,
        "expiry": expiry,
    }
    return domain, types, message


def attestations_from(
    source: str | PathLike[str] | Mapping[str, Any], agreement: Agreement
) -> tuple[Callable[[str, Report], Attestation], dict[str, int]]:
    """Return a function that looks up an account's attestation, and the serial numbers by account.

    Parameters
    ----------
    source
        The verifier's document, or its path.
    agreement
        The agreement whose names the document uses.

    Raises
    ------
    InputError
        As :func:`read_attestations`; the function, where an account has no signature.
    """
    place: object = Parameter("attestations")
    if isinstance(source, Mapping):
        document: Any = dict(source)
    else:
        place = Path(source)
        document = read_json(place)
    given = read_attestations(document, place, agreement.names)
    addresses = dict(zip(agreement.names, agreement.addresses, strict=True))
    by_account = {addresses[name]: attested for name, attested in given.items()}

    def attest(account: str, _: Report) -> Attestation:
        if account not in by_account:
            name = agreement.names[agreement.addresses.index(account)]
            raise InputError.at(place, f"holds no signature for {name!r}")
        return by_account[account]

    return attest, {account: attested.serial for account, attested in by_account.items()}
