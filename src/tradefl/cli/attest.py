"""``tradefl attest``: the verifier signs what each organization has contributed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tradefl.cli.options import (
    ContractAddress,
    File,
    FromBlock,
    Keystore,
    PasswordFile,
    Rpc,
    password_prompt,
)
from tradefl.cli.output import (
    note,
    print_json,
    require_distinct,
    require_writable,
    status,
    write_json,
)
from tradefl.consortium import Consortium, load
from tradefl.errors import InputError


def attest(
    file: File,
    document: Annotated[
        Path, typer.Argument(help="A training or solution document.", show_default=False)
    ],
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    contract: ContractAddress = None,
    rpc: Rpc = None,
    chain_id: Annotated[
        int | None,
        typer.Option(
            "--chain-id",
            min=1,
            help="Sign for this chain without asking a node.",
            show_default=False,
        ),
    ] = None,
    from_block: FromBlock = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the signatures here instead.")
    ] = None,
) -> None:
    """Sign every contribution of a document for a settlement's contract (EIP-712).

    For the verifier that the agreement names. The signatures go to the organizations, which
    report with tradefl settle --attestations.

    Example: tradefl attest consortium.toml training.json --keystore verifier --rpc URL
    --contract 0x... -o attestations.json
    """
    if output is not None:
        require_writable(output)
    require_distinct({"FILE": file, "DOCUMENT": document, "--output": output})
    with status(f"signing {document}"):
        signatures = signed(
            load(file),
            document,
            keystore=keystore,
            password_file=password_file,
            contract=contract,
            rpc=rpc,
            chain_id=chain_id,
            from_block=from_block,
        )
    if output is None:
        print_json(signatures)
    else:
        write_json(signatures, output)
        note(f"{output}: {len(signatures):,} signatures")


def signed(
    consortium: Consortium,
    document: Path,
    *,
    keystore: Path | None,
    password_file: Path | None,
    contract: str | None,
    rpc: str | None,
    chain_id: int | None = None,
    from_block: int = 0,
) -> dict[str, str]:
    """Return the verifier's signatures under a document's contributions, by organization.

    Raises
    ------
    InputError
        Something that a signature binds is missing, or the key is not the verifier's.
    """
    from tradefl.settlement.agreement import settlement_extra

    with settlement_extra("tradefl attest"):
        from tradefl.settlement.agreement import ZERO_ADDRESS, Agreement, parsed_address
        from tradefl.settlement.attestation import attestations
        from tradefl.settlement.chain import RpcChain
        from tradefl.settlement.keys import keystore_accounts, open_keystore, password_from
        from tradefl.settlement.profile import read_reports
        from tradefl.settlement.settle import published_agreement
        from tradefl.solvers import solve

    if keystore is None:
        raise InputError.at("--keystore", "is needed: the folder with the verifier's key")
    if contract is None:
        raise InputError.at("--contract", "is needed: a signature names the contract")
    if (rpc is None) == (chain_id is None):
        raise InputError.at("--rpc", "expected it or --chain-id: a signature names the chain")
    contract = parsed_address("--contract", contract)
    addresses = None
    if rpc is not None:
        chain = RpcChain(rpc)
        chain_id = chain.chain_id
        published = published_agreement(chain, contract, from_block)
        if published is None:
            raise InputError.at(contract, "has not published its agreement yet")
        if published.names == consortium.names:
            addresses = list(published.addresses)
        agreement = Agreement.of(consortium, addresses)
        if agreement.hash != published.hash:
            what = f"settles the agreement {published.hash}, the file is {agreement.hash}"
            raise InputError.at(contract, what)
    else:
        agreement = Agreement.of(consortium)
    if agreement.verifier == ZERO_ADDRESS:
        raise InputError.at(
            f"{consortium.source}: settlement.verifier", "is missing: nobody's signature is needed"
        )
    files = keystore_accounts(keystore)
    if agreement.verifier not in files:
        raise InputError.at(keystore, f"holds no key of the verifier {agreement.verifier}")
    reports = read_reports(
        document, agreement, lambda: solve(consortium).profile.cpu_hz.tolist(), note, consortium
    )
    word = password_from(password_file, lambda: password_prompt(keystore))
    [verifier] = open_keystore({agreement.verifier: files[agreement.verifier]}, lambda: word)
    return attestations(
        agreement, reports, chain_id=int(chain_id or 0), contract=contract, verifier=verifier
    )
