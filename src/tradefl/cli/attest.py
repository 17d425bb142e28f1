"""``tradefl attest``: the verifier signs what each organization has contributed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from tradefl.cli.declaring import Argument, Option
from tradefl.cli.options import (
    ContractAddress,
    File,
    FromBlock,
    Keystore,
    Nodes,
    PasswordFile,
    password_prompt,
)
from tradefl.cli.output import (
    note,
    print_json,
    print_table,
    require_distinct,
    require_writable,
    say,
    status,
    warn_lines,
    write_json,
)
from tradefl.consortium import Consortium, load
from tradefl.consortium.files import read_json
from tradefl.errors import InputError
from tradefl.training_document import PAYS, review


def attest(
    file: File,
    document: Annotated[
        Path, Argument(help="A training or solution document.", show_default=False)
    ],
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    contract: ContractAddress = None,
    rpc: Nodes = None,
    chain_id: Annotated[
        int | None,
        Option(
            "--chain-id",
            min=1,
            help="Sign for this chain, with or without a node; refuse any other.",
            show_default=False,
        ),
    ] = None,
    serial: Annotated[
        int,
        Option("--serial", min=0, max=2**64 - 1, help="A higher one replaces an earlier report."),
    ] = 1,
    expiry: Annotated[
        int,
        Option(
            "--expiry",
            min=0,
            max=2**64 - 1,
            help="The last second at which the report may be submitted, since 1970; 0: forever.",
        ),
    ] = 0,
    signer: Annotated[
        list[str] | None,
        Option(
            "--signer",
            help="An account that signs for a verifier that is a contract (EIP-1271); repeat it. "
            "Default: the only one of the key files.",
            show_default=False,
        ),
    ] = None,
    from_block: FromBlock = 0,
    output: Annotated[
        Path | None, Option("--output", "-o", help="Write the signatures here instead.")
    ] = None,
) -> None:
    """Sign every contribution of a document for a settlement's contract (EIP-712).

    For the verifier that the agreement names. Of a training document the outcomes and flags of all
    updates are shown first: they are what the signature vouches for. The signatures go to the
    organizations, which report with tradefl settle --attestations.

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
            serial=serial,
            expiry=expiry,
            accounts=signer or (),
            emit=say if output is not None else warn_lines,
        )
    if output is None:
        print_json(signatures)
    else:
        write_json(signatures, output)
        note(f"{output}: {len(signatures):,} signatures")


def show_review(document: Path, emit: Callable[[str], None]) -> None:
    """Show what became of everybody's updates, which is what the signature vouches for."""
    content = read_json(document)
    if not isinstance(content, Mapping) or not content.get("entries"):
        return  # a solution, or no document: the signer gets a note
    found = review(content, document)
    print_table(
        ["organization", *PAYS, "flags (rounds)"],
        [
            [
                name,
                *(str(outcomes.get(outcome, 0)) for outcome in PAYS),
                ", ".join(f"{kind} ({count})" for kind, count in found.flags[name].items()),
            ]
            for name, outcomes in found.outcomes.items()
        ],
        left=(0, len(PAYS) + 1),
        emit=emit,
    )
    if found.incidents:
        print_table(
            ["round", "organization", "outcome", "what happened"],
            [[str(number), *words] for number, *words in found.incidents],
            left=(1, 2, 3),
            emit=emit,
        )


def signed(
    consortium: Consortium,
    document: Path,
    *,
    keystore: Path | None,
    password_file: Path | None,
    contract: str | None,
    rpc: str | Sequence[str] | None,
    chain_id: int | None = None,
    from_block: int = 0,
    serial: int = 1,
    expiry: int = 0,
    emit: Callable[[str], None] | None = None,
    accounts: Sequence[str] = (),
) -> dict[str, dict[str, Any]]:
    """Return the verifier's attestations of a document's contributions, by organization.

    What became of the updates is printed by ``emit`` before the key is opened. ``accounts`` sign
    for a verifier that is a contract.

    Raises
    ------
    InputError
        Something that a signature binds is missing, or the key is not the verifier's.
    """
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("tradefl attest"):
        from tradefl.settlement.accounts import keystore_accounts, open_keystore, password_from
        from tradefl.settlement.agreement import Agreement
        from tradefl.settlement.attestation import (
            attestations,
            read_attestations,
            require_accepted,
        )
        from tradefl.settlement.chains import RpcChain
        from tradefl.settlement.ethereum import parsed_address
        from tradefl.settlement.profile import read_reports
        from tradefl.settlement.published import published_agreement
        from tradefl.settlement.session import attested_contract
        from tradefl.solvers import solve

    if keystore is None:
        raise InputError.at("--keystore", "is needed: the verifier's key signs")
    section = consortium.settlement
    if not rpc and chain_id is None and (section is None or section.chain_id is None):
        what = "expected it or --chain-id: a signature names the chain, and the file names none"
        raise InputError.at("--rpc", what)
    if contract is not None:
        contract = parsed_address("--contract", contract)
    chain = RpcChain(rpc) if rpc else None
    if chain is not None and chain_id is not None and chain.chain_id != chain_id:
        raise InputError.at(chain.place, f"is chain {chain.chain_id}, expected {chain_id}")
    addresses = None
    if chain is not None:
        chain_id = chain.chain_id
        published = contract and published_agreement(chain, contract, from_block)
        if published and published.names == consortium.settling:
            given = consortium.accounts
            both = zip(given, published.addresses, strict=True)
            addresses = [theirs if mine is None else mine for mine, theirs in both]
        if published:
            expected = Agreement.of(consortium, addresses, chain_id=chain_id).hash
            if published.hash != expected:
                what = f"settles the agreement {published.hash}, the file is {expected}"
                raise InputError.at(contract, what)
    agreement = Agreement.of(consortium, addresses, chain_id=chain_id)
    if not agreement.has_verifier:
        raise InputError.at(
            f"{consortium.source}: settlement.verifier", "is missing: nobody's signature is needed"
        )
    files = keystore_accounts(keystore)
    is_contract = chain is not None and bool(chain.code(agreement.verifier))
    wanted = [parsed_address("--signer", account) for account in accounts]
    if not is_contract:
        if wanted and set(wanted) != {agreement.verifier}:
            what = f"expected the verifier {agreement.verifier}; it is not a contract here"
            if chain is None:
                what = "needs --rpc: whether the verifier is a contract is asked on the chain"
            raise InputError.at("--signer", what)
        wanted = [agreement.verifier]
    elif not wanted:
        if len(files) > 1:
            what = f"{keystore} holds {len(files)} keys; name those that sign for the verifier"
            raise InputError.at("--signer", what)
        wanted = list(files)
    for account in wanted:
        if account not in files:
            who = f"the verifier {account}" if account == agreement.verifier else account
            raise InputError.at(keystore, f"holds no key of {who}")
    contract = attested_contract(agreement, contract, chain)
    reports = read_reports(
        document, agreement, lambda: solve(consortium).profile.cpu_hz.tolist(), note, consortium
    )
    if emit is not None:
        show_review(document, emit)
    word = password_from(password_file, lambda: password_prompt(keystore))
    found = attestations(
        agreement,
        reports,
        chain_id=agreement.chain_id,
        contract=contract,
        signers=open_keystore({account: files[account] for account in wanted}, lambda: word),
        serial=serial,
        expiry=expiry,
    )
    if chain is not None and is_contract:
        made = read_attestations(found, "attestations", agreement.names)
        require_accepted(chain, agreement, contract, reports, made)
    return found
