"""The agreement: every integer, every byte, the hash, and every figure that does not fit."""

import dataclasses
import json
import re
import tomllib
from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pytest
from eth_abi import decode as abi_decode
from eth_abi import encode as abi_encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from tests.consortium.documents import document, save
from tests.settlement.consortia import (
    EXAMPLES,
    MOST,
    ZERO,
    account,
    accounts,
    agreement,
    consortium,
    example,
    judged_bonds,
    linear,
    organization,
    pair,
    random_agreement,
)
from tests.support import examples, seeds

import tradefl
from tradefl.consortium import load
from tradefl.errors import InputError
from tradefl.game import StrategyProfile
from tradefl.settlement import Agreement, Report, gas
from tradefl.settlement.addresses import EMBEDDED_CHAIN_ID, default_factory
from tradefl.settlement.arithmetic import rounded
from tradefl.settlement.rules import LinearTerms, Published
from tradefl.settlement.stand_ins import addresses_or_stand_ins, stand_in, stand_in_key

EXACT = Context(prec=200)
TYPES = [
    "(uint16,uint128,uint64,uint32,uint128,address,address,address,uint32,uint32,uint32,uint32,"
    "uint32,uint128,uint32,uint16,uint32,bytes32)",
    "bytes32[]",
    "bytes32[]",
]


# --- every integer, from the text of the file ----------------------------------------------------


def rho_of(agreed, i, j):
    return linear(agreed).rho(len(agreed), i, j)


def nearest(number, factor=1):
    number = number["mid"] if isinstance(number, dict) else number  # a range: its middle counts
    exact = EXACT.multiply(Decimal(number), Decimal(factor))
    return int(exact.to_integral_value(ROUND_HALF_EVEN, EXACT))


def decimal_rho(document):
    """The upper triangle as the file writes it, in decimals."""
    section, who = document["competition"], document["organization"]
    listed = {frozenset(entry[:2]): entry[2] for entry in section.get("pairs", [])}
    triangle = []
    for i, a in enumerate(who):
        for b in who[i + 1 :]:
            rho = section.get("default", Decimal(0))
            if "within_sector" in section:
                same = a["sector"] == b["sector"]
                rho = section["within_sector" if same else "across_sectors"]
            triangle.append(listed.get(frozenset((a["name"], b["name"])), rho))
    return triangle


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_integer_of_the_examples_is_the_decimal_of_the_file(path):
    document = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    who, mechanism = document["organization"], document["mechanism"]
    agreed = Agreement.of(tradefl.load(path), accounts(len(who)))
    wei = document.get("settlement", {}).get("wei_per_payoff", 10**15)

    assert agreed.wei_per_payoff == wei
    assert agreed.rule.gamma == nearest(mechanism["incentive_intensity"], wei * 10**18)
    assert agreed.rule.lambda_ppb == nearest(mechanism["compute_weight"], 10**9)
    assert agreed.min_data_ppb == nearest(mechanism["min_data_fraction"], 10**9)
    assert agreed.names == tuple(entry["name"] for entry in who)
    assert agreed.data_bits == tuple(nearest(entry["data_bits"]) for entry in who)
    assert agreed.cpu_levels_hz == tuple(
        tuple(nearest(level) for level in entry["cpu_levels_hz"]) for entry in who
    )
    if "segments_file" not in document.get("competition", {}):  # computed, so in no file
        assert agreed.rule.rho_ppb == tuple(nearest(rho, 10**9) for rho in decimal_rho(document))
    assert list(agreed.bonds) == judged_bonds(agreed)
    assert agreed.consortium == document["name"]
    assert (agreed.verifier, agreed.arbiter) == (ZERO, ZERO)


def test_the_interface_s_gamma():
    agreed = Agreement.of(example("paper"), accounts(10))
    assert agreed.rule.gamma == 5_120_000 * 10**18
    assert rho_of(agreed, 0, 1) == rho_of(agreed, 1, 0) == 46_900_000
    assert rho_of(agreed, 8, 9) == 32_600_000
    assert rho_of(agreed, 3, 3) == 0


@pytest.mark.parametrize(
    ("value", "factor", "whole"),
    [
        (5.12e-9, 10**18, 5_120_000_000),
        (5.12e-9, 10**33, 5_120_000 * 10**18),  # the double next to it would end in other digits
        (0.1, 10**30, 10**29),
        (1.6, 10**9, 1_600_000_000),
        (0.0333333333, 10**9, 33_333_333),
        (0.0333333335, 10**9, 33_333_334),  # half to even
        (0.0333333345, 10**9, 33_333_334),
        (1.23456789e-3, 10**9, 1_234_568),
        (2.5, 1, 2),
        (3.5, 1, 4),
        (1e22, 1, 10**22),
        (0.0, 10**9, 0),
    ],
)
def test_rounding_is_to_the_nearest_of_the_decimal(value, factor, whole):
    assert rounded(value, factor) == whole


@examples(200)
@given(st.floats(0.0, 1e25), st.sampled_from([1, 10**9, 10**18, 10**33]))
def test_rounding_is_that_of_decimal_arithmetic(value, factor):
    assert rounded(value, factor) == nearest(repr(value), factor)


def test_settlement_section_goes_into_the_terms():
    settlement = {
        "wei_per_payoff": 7,
        "verifier": account(50).lower(),
        "arbiter": account(51).lower(),
        "join_seconds": 1,
        "report_seconds": 2,
        "dispute_seconds": 3,
        "ruling_seconds": 2**32 - 1,
        "closing_blocks": 4,
        "dispute_stake_wei": 5,
        "turn_seconds": 9,
    }
    agreed = Agreement.of(pair(settlement=settlement, incentive_intensity=0.1))
    assert agreed.rule.gamma == 7 * 10**17
    assert agreed.terms[:-1] == (
        2, 7 * 10**17, 1_600_000_000, 10_000_000, 7, ZERO, account(50), account(51),
        1, 2, 3, 2**32 - 1, 4, 5, 0, 2, 1
    )  # fmt: skip
    assert agreed.terms[-1] == keccak(agreed.annex)
    assert agreed.turn_seconds == 9


def test_without_a_settlement_section_its_defaults_hold():
    agreed = Agreement.of(pair())
    assert agreed.wei_per_payoff == 10**15
    windows = ("join_seconds", "report_seconds", "dispute_seconds", "ruling_seconds")
    assert [getattr(agreed, name) for name in windows] == [86_400, 604_800, 86_400, 86_400]
    assert agreed.turn_seconds == 60
    assert (agreed.closing_blocks, agreed.dispute_stake_wei) == (20, 0)
    assert agreed.chain_id == EMBEDDED_CHAIN_ID
    assert agreed.factory == default_factory()


@pytest.mark.parametrize("turn", [0, -1, 1.5, "60", True, None])
def test_published_turns_that_are_no_time_are_refused(turn):
    agreed = Agreement.of(pair())
    annex = json.dumps(json.loads(agreed.annex) | {"turn_seconds": turn}).encode()
    organizations = list(zip(agreed.addresses, agreed.data_bits, agreed.cpu_levels_hz, strict=True))
    with pytest.raises(ValueError, match="turn_seconds"):
        Agreement.decode(agreed.terms, organizations, agreed.rule, annex)


def test_rho_is_that_of_the_game_after_rescaling(tmp_path):
    path = tmp_path / "crowded.toml"
    text = (EXAMPLES[0].parent / "hospitals.toml").read_text("utf-8")
    path.write_text(text.replace("default = 0.002", "default = 0.9\nrescale = true"), "utf-8")
    crowded = tradefl.load(path)
    agreed = Agreement.of(crowded, accounts(6))
    assert crowded.competition_factor < 1.0
    assert rho_of(agreed, 0, 3) == rounded(0.9 * crowded.competition_factor, 10**9) < 900_000_000


def test_addresses_of_the_file_or_given_get_checksum_capitals():
    own = Agreement.of(pair())
    assert own.addresses == (account(0), account(1))
    other = Agreement.of(pair(), [account(5).lower(), "0x" + account(6)[2:].upper()])
    assert other.addresses == (account(5), account(6))
    assert own.hash != other.hash


# --- bytes ---------------------------------------------------------------------------------------


def packed_organizations(agreed):
    blocks, entries = [], []
    for who, s, levels in zip(
        agreed.addresses, agreed.data_bits, agreed.cpu_levels_hz, strict=True
    ):
        words = [f"{int(who, 16):040x}", f"{s:016x}", f"{len(levels):02x}"]
        entries.append("".join(words + [f"{level:016x}" for level in levels]))
    while entries:
        blocks.append(bytes.fromhex("".join(entries[: agreed.organizations_per_block])))
        entries = entries[agreed.organizations_per_block :]
    return blocks


def packed_competition(agreed):
    n = len(agreed)
    text = "".join(f"{rho_of(agreed, i, j):08x}" for i in range(n) for j in range(i + 1, n))
    size = 8 * agreed.pairs_per_block
    return [bytes.fromhex(text[k : k + size]) for k in range(0, len(text), size)]


def independent_hash(agreed):
    terms = (
        len(agreed), agreed.rule.gamma, agreed.rule.lambda_ppb,
        agreed.min_data_ppb, agreed.wei_per_payoff,
        ZERO, agreed.verifier, agreed.arbiter, agreed.join_seconds, agreed.report_seconds,
        agreed.dispute_seconds, agreed.ruling_seconds, agreed.closing_blocks,
        agreed.dispute_stake_wei, 0, agreed.organizations_per_block, agreed.pairs_per_block,
        keccak(agreed.annex),
    )  # fmt: skip
    blocks = [list(map(keccak, packed_organizations(agreed)))]
    blocks.append(list(map(keccak, packed_competition(agreed))))
    return "0x" + keccak(abi_encode(TYPES, [terms, *blocks])).hex()


def unpacked_organizations(block):
    entries = []
    while block:
        count = block[28]
        levels = [int.from_bytes(block[29 + 8 * k : 37 + 8 * k]) for k in range(count)]
        entries.append(("0x" + block[:20].hex(), int.from_bytes(block[20:28]), levels))
        block = block[29 + 8 * count :]
    return entries


def test_canonical_bytes_by_hand():
    rho = [1, 2**24, 10**9]
    agreed = agreement([1, 256, 2**64 - 1], [[1], [2, 3], [2**64 - 1]], rho, lambda_ppb=0)
    assert agreed.pair_blocks == (bytes.fromhex("00000001010000003b9aca00"),)
    (block,) = agreed.organization_blocks
    assert block.hex() == (
        "00000000000000000000000000000000a0000000" "0000000000000001" "01" "0000000000000001"
        "00000000000000000000000000000000a0000001" "0000000000000100" "02" "0000000000000002"
        "0000000000000003"
        "00000000000000000000000000000000a0000002" "ffffffffffffffff" "01" "ffffffffffffffff"
    )  # fmt: skip


@examples(25)
@given(seeds(), st.integers(2, 130))
def test_bytes_and_hash_are_those_of_an_independent_encoder(seed, size):
    agreed = random_agreement(np.random.default_rng(seed), size)
    assert list(agreed.organization_blocks) == packed_organizations(agreed)
    assert list(agreed.pair_blocks) == packed_competition(agreed)
    assert agreed.hash == independent_hash(agreed)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_hash_of_the_examples_is_that_of_an_independent_encoder(path):
    loaded = tradefl.load(path)
    agreed = Agreement.of(loaded, accounts(len(loaded)))
    assert agreed.hash == independent_hash(agreed)


@pytest.mark.parametrize(
    ("size", "listings", "blocks"),
    [(2, 1, 1), (40, 1, 1), (41, 2, 1), (80, 2, 1), (81, 3, 1), (91, 3, 1), (92, 3, 2)],
)
def test_blocks_break_where_the_contract_breaks_them(size, listings, blocks):
    agreed = random_agreement(np.random.default_rng(size), size)
    assert len(agreed.organization_blocks) == listings
    assert len(agreed.pair_blocks) == blocks
    pairs = size * (size - 1) // 2
    assert sum(map(len, agreed.pair_blocks)) == 4 * pairs
    assert len(agreed.pair_blocks[0]) == 4 * min(pairs, 4096)


@examples(25)
@given(seeds(), st.integers(2, 130))
def test_what_a_contract_publishes_is_the_agreement_again(seed, size):
    agreed = random_agreement(np.random.default_rng(seed), size)
    encoded = abi_encode(TYPES, agreed.constructor_arguments)
    terms, listings, competition = abi_decode(TYPES, encoded)
    assert list(listings) == [keccak(block) for block in agreed.organization_blocks]
    assert list(competition) == [keccak(block) for block in agreed.pair_blocks]
    entries = [
        entry for block in agreed.organization_blocks for entry in unpacked_organizations(block)
    ]
    rule = LinearTerms.published(Published(terms, agreed.pair_blocks, {}))
    again = Agreement.decode(terms, entries, rule, agreed.annex)
    assert again == agreed
    assert again.hash == agreed.hash
    assert again.bonds == agreed.bonds
    assert all(type(rho) is int for rho in again.rule.rho_ppb)


def test_decoding_refuses_a_wrong_number_of_organizations():
    agreed = agreement([1, 2], [[1], [1]], [0])
    entries = [(who, 1, [1]) for who in agreed.addresses]
    with pytest.raises(ValueError, match="1 accounts and 2 names for 2"):
        Agreement.decode(agreed.terms, entries[:1], agreed.rule, agreed.annex)


def test_golden_hash():
    # If this changes, parties with different versions of TradeFL cannot settle with each other.
    agreed = Agreement.of(example("hospitals"), accounts(6), chain_id=1)
    codes = dict.fromkeys(("settlement_code", "vault_code"), "0x" + 64 * "0")
    fixed = {"factory": account(77), "series": "0x" + 64 * "1"} | codes
    annex = json.dumps(json.loads(agreed.annex) | fixed, sort_keys=True, separators=(",", ":"))
    fixed_code = dataclasses.replace(agreed, annex=annex.encode())
    assert fixed_code.hash == "0x97cd3036e871cc03b0a6d3c9cf3518cb05901ecd5f58104a2810249ed4701acd"


def test_the_hash_covers_every_term():
    base = {"data_bits": [5, 6], "cpu_levels_hz": [[1, 2], [3]], "rho_ppb": [7]}
    changes = [
        {"data_bits": [5, 7]}, {"cpu_levels_hz": [[1, 3], [3]]}, {"cpu_levels_hz": [[1], [3]]},
        {"rho_ppb": [8]}, {"gamma": 1}, {"lambda_ppb": 1}, {"min_data_ppb": 1},
        {"wei_per_payoff": 1}, {"verifier": account(7)}, {"arbiter": account(7)},
        {"join_seconds": 1}, {"report_seconds": 1}, {"dispute_seconds": 1}, {"ruling_seconds": 1},
        {"closing_blocks": 1}, {"dispute_stake_wei": 1}, {"organizations_per_block": 39},
        {"pairs_per_block": 4095},
        {"annex": b'{"consortium":"other","organizations":["a","b"]}'},
        {"addresses": [account(1), account(0)]},
    ]  # fmt: skip
    hashes = [agreement(**base).hash] + [agreement(**(base | change)).hash for change in changes]
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch("0x[0-9a-f]{64}", digest) for digest in hashes)


# --- the annex and the JSON ----------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_annex_is_canonical_and_holds_no_private_figure(path):
    loaded = tradefl.load(path)
    annex = Agreement.of(loaded, accounts(len(loaded))).annex
    document = json.loads(annex)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert annex == canonical.encode()
    assert document["organizations"] == list(loaded.names)
    assert document["samples"] == loaded.organizations.samples.tolist()
    assert document["deadline_seconds"] == loaded.mechanism.deadline_seconds
    private = ("profitability", "cycles", "download_seconds", "upload_seconds", "points_file")
    assert not any(word in annex.decode() for word in private)


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from leaves(entry)
    else:
        yield value


@examples(20)
@given(seeds(), st.integers(2, 12))
def test_the_json_holds_large_integers_as_text(seed, size):
    agreed = random_agreement(np.random.default_rng(seed), size)
    document = json.loads(json.dumps(agreed.to_dict()))
    assert all(leave < 2**53 for leave in leaves(document) if isinstance(leave, int))
    assert document["schema"] == "tradefl/agreement/1"
    assert document["hash"] == agreed.hash
    assert document["rule"] == "linear"
    assert document["wei_per_payoff"] == str(agreed.wei_per_payoff)
    for name in ("gamma", "lambda_ppb"):
        assert document[name] == str(getattr(agreed.rule, name))
    assert [int(entry["data_bits"]) for entry in document["organizations"]] == list(
        agreed.data_bits
    )
    assert [int(entry["bond_wei"]) for entry in document["organizations"]] == list(agreed.bonds)
    assert [entry["address"] for entry in document["organizations"]] == list(agreed.addresses)
    assert [tuple(map(int, entry["cpu_levels_hz"])) for entry in document["organizations"]] == list(
        agreed.cpu_levels_hz
    )
    listed = {(a, b): rho for a, b, rho in document["rho_ppb"]}
    for i, a in enumerate(agreed.names):
        for j in range(i + 1, size):
            assert listed.get((a, agreed.names[j]), 0) == rho_of(agreed, i, j)


def test_the_json_of_an_agreement_by_hand():
    agreed = agreement([20 * 10**9, 10**9], [[10**9], [10**9]], [60_000_000], arbiter=account(9))
    assert agreed.to_dict() == {
        "schema": "tradefl/agreement/1",
        "consortium": "integers",
        "hash": agreed.hash,
        "rule": "linear",
        "gamma": "5120000000000000000000000",
        "lambda_ppb": "1600000000",
        "min_data_ppb": 10_000_000,
        "wei_per_payoff": "1000000000000000",
        "verifier": None,
        "arbiter": account(9),
        "join_seconds": 1000,
        "report_seconds": 1000,
        "dispute_seconds": 1000,
        "ruling_seconds": 1000,
        "closing_blocks": 2,
        "dispute_stake_wei": "0",
        "organizations_per_block": 40,
        "pairs_per_block": 4096,
        "chain_id": EMBEDDED_CHAIN_ID,
        "factory": default_factory(),
        "series": "0x" + 64 * "5",
        "vault": agreed.vault,
        "settlement": agreed.settlement_address(),
        "organizations": [
            # 5.12e-9 * 0.06 * 2.6e9 payoff, and 5.12e-9 * 0.06 * 2.16e10.
            {
                "name": "o1",
                "address": account(0),
                "data_bits": "20000000000",
                "cpu_levels_hz": ["1000000000"],
                "bond_wei": "798720000000000",
            },
            {
                "name": "o2",
                "address": account(1),
                "data_bits": "1000000000",
                "cpu_levels_hz": ["1000000000"],
                "bond_wei": "6635520000000000",
            },
        ],
        "rho_ppb": [["o1", "o2", 60_000_000]],
        "annex": agreed.annex.decode(),
    }


def test_pairs_that_do_not_compete_are_left_out_of_the_json():
    agreed = agreement([1, 1, 1], [[1]] * 3, [0, 5, 0])
    assert agreed.to_dict()["rho_ppb"] == [["o1", "o3", 5]]


# --- what does not fit ---------------------------------------------------------------------------


def problems(built, addresses=None):
    with pytest.raises(InputError) as caught:
        Agreement.of(built, addresses)
    return [str(problem) for problem in caught.value.problems]


def alpha(**changes):
    """Alpha and Beta, where the changes are Alpha's."""
    first = organization("Alpha", **({"address": account(0)} | changes))
    return [first, organization("Beta", address=account(1))]


@pytest.mark.parametrize("address", [None, ZERO])
def test_an_organization_without_an_account(address):
    assert problems(pair(), [account(0), address]) == [
        "built.toml: Beta: address: expected an account for the settlement"
    ]


def test_organizations_without_addresses_are_all_named():
    found = problems(example("hospitals"))
    assert len(found) == 6
    assert all(
        re.fullmatch(r".*hospitals\.toml: .*: address: expected an account.*", log_)
        for log_ in found
    )
    assert ": Children's Hospital: address" in found[4]


@pytest.mark.parametrize("change", [str.lower, lambda entry: "0x" + entry[2:].upper(), str])
def test_an_account_that_stands_twice(change):
    assert problems(pair(), [account(11), change(account(11))]) == [
        "built.toml: Beta: address: already used by Alpha"
    ]


@pytest.mark.parametrize("size", [1, 1025])
def test_a_number_of_organizations_that_no_contract_takes(size):
    built = consortium([organization(f"o{i}") for i in range(size)], 0.0)
    (found,) = problems(built, accounts(size))
    assert found == (
        "built.toml: organization: expected 2 to 1,024 organizations for a settlement, "
        f"got {size:,}"
    )


def test_as_many_organizations_as_a_contract_takes():
    built = consortium([organization(f"o{i}") for i in range(1024)], 0.0)
    agreed = Agreement.of(built, accounts(1024))
    assert len(agreed.organization_blocks) == 8
    assert len(agreed.pair_blocks) == 71
    call, longest = gas.largest(agreed)
    assert call.gas <= 16_777_216
    assert longest.size <= 30_000


def test_a_number_of_levels_that_no_contract_takes():
    levels = [1e9 + k for k in range(33)]
    assert problems(consortium(alpha(cpu_levels_hz=levels))) == [
        "built.toml: Alpha: cpu_levels_hz: expected at most 32 levels for a settlement, got 33"
    ]
    assert len(Agreement.of(consortium(alpha(cpu_levels_hz=levels[:32]))).cpu_levels_hz[0]) == 32


def test_levels_that_are_one_after_rounding():
    assert problems(consortium(alpha(cpu_levels_hz=[1e9, 1e9 + 0.25]))) == [
        "built.toml: Alpha: cpu_levels_hz: two levels are the same number of hertz"
    ]


@pytest.mark.parametrize(
    ("changes", "place", "limit"),
    [
        ({"data_bits": 0.4}, "Alpha: data_bits", "1 to 1.845e+19, got 0.4, that is 0"),
        ({"data_bits": 0.5}, "Alpha: data_bits", "1 to 1.845e+19, got 0.5, that is 0"),
        ({"data_bits": 2.0**64}, "Alpha: data_bits", "1 to 1.845e+19, got 1.84467e+19"),
        ({"cpu_levels_hz": [0.3, 1e9]}, "Alpha: cpu_levels_hz", "1 to 1.845e+19, got 0.3"),
        ({"cpu_levels_hz": [1e9, 2e19]}, "Alpha: cpu_levels_hz", "1 to 1.845e+19, got 2e+19"),
    ],
)
def test_figures_of_an_organization_that_do_not_fit(changes, place, limit):
    (found,) = problems(consortium(alpha(**changes)))
    assert found.startswith(f"built.toml: {place}: expected a whole number of {limit}")


@pytest.mark.parametrize(
    ("mechanism", "settlement", "place", "limit"),
    [
        (
            {"incentive_intensity": 1e6},
            {},
            "mechanism.incentive_intensity",
            "0 to 3.403e+38, got 1e+06 (times 1e+33), that is 1e+39",
        ),
        (
            {},
            {"wei_per_payoff": 10**30},
            "mechanism.incentive_intensity",
            "0 to 3.403e+38, got 5.12e-09 (times 1e+48), that is 5.12e+39",
        ),
        (
            {"compute_weight": 2e10},
            {},
            "mechanism.compute_weight",
            "0 to 1.845e+19, got 2e+10 (times 1e+09), that is 2e+19",
        ),
        (
            {"min_data_fraction": 4e-10},
            {},
            "mechanism.min_data_fraction",
            "1 to 1e+09, got 4e-10 (times 1e+09), that is 0",
        ),
        (
            {"incentive_intensity": 0.0},
            {"wei_per_payoff": 2**128},
            "settlement.wei_per_payoff",
            f"1 to 3.403e+38, got {2**128:,}",
        ),
        *(
            ({}, {name: 2**32}, f"settlement.{name}", "1 to 4.295e+09, got 4,294,967,296")
            for name in ("join_seconds", "report_seconds", "dispute_seconds", "ruling_seconds")
        ),
    ],
)
def test_terms_that_do_not_fit(mechanism, settlement, place, limit):
    found = problems(pair(settlement=settlement, **mechanism))
    assert found == [f"built.toml: {place}: expected a whole number of {limit}"]


def test_the_largest_terms_that_fit():
    windows = ("join_seconds", "report_seconds", "dispute_seconds", "ruling_seconds")
    settlement = {"wei_per_payoff": 2**128 - 1} | dict.fromkeys(windows, 2**32 - 1)
    agreed = Agreement.of(pair(settlement=settlement, incentive_intensity=1e-18))
    assert agreed.rule.gamma == agreed.wei_per_payoff == 2**128 - 1
    assert agreed.ruling_seconds == 2**32 - 1
    assert agreed.hash == independent_hash(agreed)


def test_a_contribution_that_the_contract_cannot_count():
    built = consortium(
        alpha(data_bits=1.8e19, cpu_levels_hz=[1e9, 4e9]),
        compute_weight=1.8e10,
        incentive_intensity=0.0,
    )
    assert problems(built) == [
        "built.toml: Alpha: its largest contribution, s + lambda f, is 9e+19 bit; "
        "the contract counts up to 7.92e+19"
    ]


def test_a_bond_that_the_contract_does_not_take():
    terms = {"incentive_intensity": 3e-9, "settlement": {"wei_per_payoff": 10**29}}
    (found,) = problems(consortium(alpha(data_bits=5e14), **terms))
    # Beta's bond is what it would owe Alpha: 3e20 wei a bit, rho 0.05, 5e14 bit and 3.2e9.
    bond = 3 * 10**20 * (5 * 10**14 + 32 * 10**8) // 20
    assert bond > MOST
    assert found == (
        f"built.toml: Beta: its bond is {bond:,} wei, and the contract takes at most {MOST:,}, "
        "dispute stake included; a smaller settlement.wei_per_payoff helps"
    )


def test_everything_that_does_not_fit_is_told_at_once():
    built = consortium(
        [organization("Alpha", data_bits=0.1), organization("Beta", cpu_levels_hz=[1.0, 1.2])],
        settlement={"join_seconds": 2**40},
        incentive_intensity=1e9,
    )
    found = problems(built)
    for words in (
        "Alpha: address", "Beta: address", "Alpha: data_bits", "Beta: cpu_levels_hz",
        "mechanism.incentive_intensity", "settlement.join_seconds",
    ):  # fmt: skip
        assert sum(words in log_ for log_ in found) == 1, words
    assert len(found) == 6
    assert all(log_.startswith("built.toml: ") for log_ in found)


@pytest.mark.parametrize(
    ("mechanism", "settlement", "place"),
    [
        pytest.param({}, {"wei_per_payoff": 10**300}, "settlement.wei_per_payoff"),
        pytest.param({"incentive_intensity": 1e276}, {}, "mechanism.incentive_intensity"),
        ({}, {"join_seconds": 10**400}, "settlement.join_seconds"),
    ],
)
def test_figures_beyond_any_double_are_told_too(mechanism, settlement, place):
    found = problems(pair(settlement=settlement, **mechanism))
    assert any(f": {place}: expected a whole number" in log_ for log_ in found)


# --- reports -------------------------------------------------------------------------------------


@pytest.fixture
def awkward():
    """D_min of 10 digits, levels and sizes with fractions."""
    return Agreement.of(
        consortium(
            alpha(data_bits=20_000_000_000.7, cpu_levels_hz=[1_333_333_333.33, 2e9]),
            min_data_fraction=0.0333333333,
        )
    )


@pytest.mark.parametrize(
    ("fraction", "ppb"),
    [
        (0.0333333333, 33_333_333),  # D_min itself
        (0.033333333, 33_333_333),
        (0.12345678949, 123_456_789),
        (0.1234567885, 123_456_788),  # half to even
        (0.1234567895, 123_456_790),
        (1.0, 10**9),
        (0.9999999999, 10**9),
    ],
)
def test_a_share_becomes_parts_per_billion(awkward, fraction, ppb):
    assert awkward.report(0, fraction, 1_333_333_333.33) == Report(
        data_ppb=ppb, cpu_hz=1_333_333_333
    )


@pytest.mark.parametrize("fraction", [0.0333333324, 0.01, 1e-12, -0.5, 1.1])
def test_a_share_that_is_not_feasible(awkward, fraction):
    with pytest.raises(InputError, match=r"^Alpha: data_fraction: expected a number in \[0\.03333"):
        awkward.report(0, fraction, 2e9)


@pytest.mark.parametrize("cpu_hz", [1.5e9, 0.0, 1e9, -2e9])
def test_a_frequency_that_is_no_level(awkward, cpu_hz):
    message = r"^Alpha: cpu_hz: expected one of 1\.33333e\+09, 2e\+09, got "
    with pytest.raises(InputError, match=message):
        awkward.report(0, 0.5, cpu_hz)


def test_nothing_is_silence_whatever_the_frequency(awkward):
    silent = awkward.report(0, 0.0, 17.0)
    assert silent == Report(data_ppb=0, cpu_hz=0)
    assert silent.silent
    assert not awkward.report(0, 1.0, 2e9).silent
    assert awkward.score(0, silent) == 0


def test_a_profile_becomes_reports(awkward):
    profile = StrategyProfile([0.5, 0.25], [1_333_333_333.33, 1e9])
    assert awkward.reports(profile) == [
        Report(data_ppb=500_000_000, cpu_hz=1_333_333_333),
        Report(data_ppb=250_000_000, cpu_hz=10**9),
    ]
    with pytest.raises(InputError, match="Beta: cpu_hz"):
        awkward.reports(StrategyProfile([0.5, 0.25], [2e9, 3e9]))


# --- stand-ins -----------------------------------------------------------------------------------


def test_stand_ins_are_for_those_without_an_address():
    given_ = [None, account(3), None]
    assert addresses_or_stand_ins(given_) == [stand_in(0), account(3), stand_in(2)]
    assert len({stand_in(i) for i in range(50)}) == 50
    from eth_account import Account

    assert stand_in(4) == Account.from_key(stand_in_key(4)).address
    assert stand_in(0) == "0x0c47c901DDA4D308FF77511caB325c1bbf57Dc48"


def test_a_negotiation_leaves_blocks_in_which_to_contribute(tmp_path):
    """After an outage the window may be closed in the block that ends the last turn's time."""
    for closing, turn, expected in ((20, None, 3), (3, None, 2), (1, None, 0), (5, 4, 4)):
        terms = {"chain_id": 1, "closing_blocks": closing}
        terms |= {} if turn is None else {"turn_blocks": turn}
        path = save(tmp_path, document({"settlement": terms}))
        agreed = Agreement.of(load(path), accounts(3))
        assert agreed.turn_blocks == expected < agreed.closing_blocks
    for terms in ({"closing_blocks": 5, "turn_blocks": 5}, {"turn_blocks": 20}):
        path = save(tmp_path, document({"settlement": {"chain_id": 1} | terms}))
        with pytest.raises(InputError) as error:
            load(path)
        (problem,) = error.value.problems
        assert str(problem.place).endswith("settlement.turn_blocks")
        assert "expected fewer than closing_blocks" in problem.message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_contribution_that_is_no_number(awkward, value):
    for figures, field in (((value, 1e9), "data_fraction"), ((0.5, value), "cpu_hz")):
        with pytest.raises(InputError, match=rf"{field}: expected a finite number"):
            awkward.report(0, *figures)
