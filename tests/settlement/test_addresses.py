"""Addresses that follow from the agreement: known answers, and the contracts' own."""

import json

import numpy as np
import pytest
from eth_utils import keccak, to_checksum_address
from tests.settlement.consortia import account, agreement, pair
from tests.settlement.revm import Revm
from tests.settlement.test_efficient import efficient_agreement

from tradefl.errors import InputError
from tradefl.settlement import Agreement, addresses, artifacts

# EIP-1014: address, salt, init code, result.
VECTORS = [
    ("0x" + 40 * "0", 64 * "0", "00", "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38"),
    (
        "0xdeadbeef00000000000000000000000000000000",
        64 * "0",
        "00",
        "0xB928f69Bb1D91Cd65274e3c79d8986362984fDA3",
    ),
    (
        "0xdeadbeef00000000000000000000000000000000",
        "000000000000000000000000feed000000000000000000000000000000000000",
        "00",
        "0xD04116cDd17beBE565EB2422F2497E06cC1C9833",
    ),
    (
        "0x00000000000000000000000000000000deadbeef",
        "00000000000000000000000000000000000000000000000000000000cafebabe",
        "deadbeef",
        "0x60f3f640a8508fC6a86d45DF051962668E1e8AC7",
    ),
    ("0x" + 40 * "0", 64 * "0", "", "0xE33C0C7F7df4809055C3ebA6c09CFe4BaF1BD9e0"),
]


@pytest.mark.parametrize(("factory", "salt", "code", "expected"), VECTORS)
def test_create2_gives_the_addresses_of_eip_1014(factory, salt, code, expected):
    assert addresses.create2(factory, bytes.fromhex(salt), bytes.fromhex(code)) == expected


def test_a_salt_has_32_bytes():
    with pytest.raises(ValueError, match="expected 32 bytes, got 31"):
        addresses.create2(account(1), bytes(31), b"")


@pytest.mark.parametrize(
    ("nonce", "expected"),
    [
        (0, "0xcd234A471b72ba2F1Ccf0A70FCABA648a5eeCD8d"),
        (1, "0x343c43A37D37dfF08AE8C4A11544c718AbB4fCF8"),
        (2, "0xf778B86FA74E846c4f0a1fBd1335FE81c00a0C91"),
    ],
)
def test_create_gives_the_addresses_of_a_known_account(nonce, expected):
    sender = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert addresses.create(sender, nonce) == expected


def test_the_default_factory_is_the_first_contract_of_a_key_that_everybody_knows():
    code = artifacts.creation_bytecode("Factory")
    assert addresses.factory_deployer_key() == keccak(b"TradeFL factory deployer " + keccak(code))
    assert addresses.default_factory() == addresses.create(addresses.factory_deployer(), 0)


def test_the_series_is_the_hash_of_chain_factory_names_and_accounts():
    agreed = Agreement.of(pair(), chain_id=9)
    text = json.dumps([9, agreed.factory, ["Alpha", "Beta"], [account(0), account(1)]])
    assert agreed.series == "0x" + keccak(text.replace(", ", ",").encode()).hex()
    own = Agreement.of(pair(settlement={"series": "0x" + 64 * "A", "chain_id": 9}))
    assert own.series == "0x" + 64 * "a"
    assert own.vault != agreed.vault


def test_what_is_agreed_decides_where_it_is():
    first = Agreement.of(pair(), chain_id=9)
    assert first.chain_id == 9
    assert json.loads(first.annex)["settlement_code"] == artifacts.code_hash("TradeFL")
    places = {first.settlement_address(), first.settlement_address(1), first.vault}
    for other in (
        Agreement.of(pair(), chain_id=10),
        Agreement.of(pair(settlement={"factory": account(5)}), chain_id=9),
        Agreement.of(pair(incentive_intensity=1e-9), chain_id=9),
    ):
        assert other.settlement_address() not in places
        places.add(other.settlement_address())
    assert len(places) == 6


@pytest.mark.parametrize("rule", ["linear", "efficient"])
def test_the_factory_deploys_where_the_agreement_says(rule):
    if rule == "linear":
        agreed = agreement([10**9] * 3, [[10**9]] * 3, [5, 6, 7])
    else:
        agreed = efficient_agreement(np.random.default_rng(5), 3)
    chain = Revm(agreed)  # compares the factory's answers with the addresses
    assert to_checksum_address(chain.view("vault")) == agreed.vault


def test_an_agreement_with_the_code_of_another_version_is_refused():
    agreed = agreement([1, 2], [[1], [1]], [0])
    annex = json.loads(agreed.annex) | {"vault_code": "0x" + 64 * "1"}
    other = agreement([1, 2], [[1], [1]], [0], annex=json.dumps(annex).encode())
    with pytest.raises(InputError, match="vault_code: the agreement names the code 0x1111"):
        other.settlement_address()


# --- the document, read and hashed again ---------------------------------------------------------


@pytest.mark.parametrize("rule", ["linear", "efficient"])
def test_a_document_is_the_agreement_again(rule):
    rng = np.random.default_rng(6)
    agreed = efficient_agreement(rng, 4) if rule == "efficient" else Agreement.of(pair())
    document = json.loads(json.dumps(agreed.to_dict()))
    assert Agreement.from_document(document) == agreed


@pytest.mark.parametrize(
    "change",
    [
        {"wei_per_payoff": "5000000000000000000"},
        {"verifier": account(9)},
        {"join_seconds": 1},
        {"rho_ppb": []},
        {"hash": "0x" + 64 * "1"},
        {"hash": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_document_has_another_hash(change):
    document = Agreement.of(pair()).to_dict() | change
    with pytest.raises(InputError, match=r"^agreement\.json: hash: expected 0x"):
        Agreement.from_document(document, "agreement.json")


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "tradefl/solution/1"},
        {"annex": "{"},
        {"annex": "[]"},
        {"organizations": []},
        {"organizations": None},
        {"rule": "magic"},
        {"wei_per_payoff": "many"},
        {"wei_per_payoff": str(2**128)},
        {"rho_ppb": [["Alpha", "Nobody", 1]]},
        {"rho_ppb": [["Beta", "Alpha", 1]]},
        {"closing_blocks": [1]},
    ],
    ids=str,
)
def test_what_is_no_document_is_refused(change):
    document = Agreement.of(pair()).to_dict() | change
    with pytest.raises(InputError, match=r"^a\.json: "):
        Agreement.from_document(document, "a.json")
    for other in ([], None, "x", 1):
        with pytest.raises(InputError, match="expected a document of schema"):
            Agreement.from_document(other, "a.json")


@pytest.mark.parametrize("key", ["chain_id", "factory", "series", "settlement_code", "vault_code"])
@pytest.mark.parametrize("value", [None, "", -1, "0x12", True, [], "0x" + 41 * "1"])
def test_an_annex_that_does_not_say_where_is_refused(key, value):
    agreed = Agreement.of(pair())
    annex = json.dumps(json.loads(agreed.annex) | {key: value})
    with pytest.raises(InputError, match=f"a.json: annex: {key}: expected"):
        Agreement.from_document(agreed.to_dict() | {"annex": annex}, "a.json")
