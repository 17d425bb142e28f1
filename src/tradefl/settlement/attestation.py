"""Attestations: the verifier's signature under what an organization has contributed (EIP-712)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import KeySigner
from tradefl.settlement.terms import Report


def attestations(
    agreement: Agreement,
    reports: Sequence[Report],
    *,
    chain_id: int,
    contract: str,
    verifier: KeySigner,
) -> dict[str, str]:
    """Return the verifier's signatures by organization, as ``--attestations`` reads them.

    Who contributed nothing reports nothing, so there is nothing to sign.
    """
    return {
        name: "0x" + attestation(chain_id, contract, verifier, account, report).hex()
        for name, account, report in zip(agreement.names, agreement.addresses, reports, strict=True)
        if not report.silent
    }


def attestation(
    chain_id: int, contract: str, verifier: KeySigner, account: str, report: Report
) -> bytes:
    """Return the verifier's EIP-712 signature under what an account contributed, 65 bytes."""
    signed = verifier.key.sign_typed_data(*_typed_data(chain_id, contract, account, report))
    return bytes(signed.signature)


def attested_by(
    chain_id: int, contract: str, account: str, report: Report, signature: bytes
) -> str | None:
    """Return who signed what an account contributed; ``None``: the signature is malformed."""
    message = encode_typed_data(*_typed_data(chain_id, contract, account, report))
    try:
        return str(Account.recover_message(message, signature=signature))
    except (ValueError, BadSignature, ValidationError):
        return None


def _typed_data(
    chain_id: int, contract: str, account: str, report: Report
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
        ]
    }
    message = {"organization": account, "dataPpb": report.data_ppb, "cpuHz": report.cpu_hz}
    return domain, types, message
