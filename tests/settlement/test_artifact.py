"""The shipped contract: whole, small enough for every chain, and the sources' own."""

import hashlib
import re
from pathlib import Path

import pytest

from tradefl.settlement import arithmetic
from tradefl.settlement import rules as settlement_rules
from tradefl.settlement.contract import Phase, artifact
from tradefl.settlement.encoding import TERMS
from tradefl.settlement.ethereum import keccak
from tradefl.settlement.rules import EfficientTerms, LinearTerms

SOURCES = Path(__file__).parents[2] / "contracts" / "src"


def source(name):
    return (SOURCES / f"{name}.sol").read_text("utf-8")


def code(kind, rule):
    text = artifact(rule)[kind]
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def constant(name, *files):
    """The value of a constant, from the text of the sources."""
    found = re.findall(
        rf"uint256 (?:internal|public|private) constant {name} = ([^;]+);",
        "".join(map(source, files)),
    )
    assert len(found) == 1, name
    (text,) = found
    if shift := re.fullmatch(r"1 << (\d+)", text):
        return 1 << int(shift[1])
    if bits := re.fullmatch(r"type\(uint(\d+)\)\.max", text):
        return 2 ** int(bits[1]) - 1
    digits, _, power = text.partition("e")
    return int(digits.replace("_", "")) * 10 ** int(power or 0)


def entries(rule, kind):
    return {entry["name"]: entry for entry in artifact(rule)["abi"] if entry["type"] == kind}


def types(parameters):
    """Types as Solidity prints them, without the names."""
    return [parameter["internalType"].rsplit(" ", 1)[-1] for parameter in parameters]


RULES = pytest.mark.parametrize("rule", settlement_rules.RULES)


@RULES
def test_the_hash_is_that_of_the_bytecode(rule):
    assert hashlib.sha256(code("bytecode", rule)).hexdigest() == artifact(rule)["sha256"]


@RULES
def test_the_code_fits_every_chain(rule):
    assert len(code("deployedBytecode", rule)) < 24_576  # EIP-170
    assert len(code("bytecode", rule)) < 49_152  # EIP-3860, before the arguments
    longest = 32 * (19 + 2 + 2 + 86 + 256)  # vault, terms, offsets, lengths, the hashes
    assert len(code("bytecode", rule)) + longest < 49_152


@RULES
def test_the_code_runs_on_chains_before_shanghai(rule):
    assert artifact(rule)["evmVersion"] == "paris"
    push0 = 0x5F
    runtime, k, found = code("deployedBytecode", rule), 0, False
    while k < len(runtime):
        found |= runtime[k] == push0
        k += 1 + (runtime[k] - 0x5F if 0x60 <= runtime[k] <= 0x7F else 0)
    assert not found


@pytest.mark.parametrize(
    ("name", "file", "value"),
    [
        ("PPB", "TradeMath", arithmetic.PPB),
        ("SCALE", "TradeMath", arithmetic.SCALE),
        ("PAIR_BYTES", "TradeMath", LinearTerms.pair_bytes),
        ("PAIR_BYTES", "ScheduleMath", EfficientTerms.pair_bytes),
        ("MAX_BREAKPOINTS", "ScheduleMath", arithmetic.MAX_BREAKPOINTS),
        ("LIMIT", "ScheduleMath", arithmetic.LIMIT),
        ("MAX_SIZE", "Settlement", arithmetic.MAX_SIZE),
        ("_MAX_PAIR_BLOCKS", "Settlement", arithmetic.MAX_PAIR_BLOCKS),
        ("MAX_LEVELS", "Settlement", arithmetic.MAX_LEVELS),
        ("MAX_DEPOSIT", "Settlement", arithmetic.MAX_DEPOSIT),
    ],
)
def test_the_constants_are_those_of_the_contract(name, file, value):
    assert constant(name, file) == value


@RULES
@pytest.mark.parametrize("kind", ["event", "error"])
def test_every_event_and_error_of_the_interface_is_in_the_abi(kind, rule):
    declared = {
        name: [part.split()[0] for part in arguments.split(",") if part.strip()]
        for name, arguments in re.findall(
            rf"^ {{4}}{kind} (\w+)\(([^)]*)\);", source("ITradeFL"), re.MULTILINE
        )
    }
    assert len(declared) >= 16
    compiled = {name: types(entry["inputs"]) for name, entry in entries(rule, kind).items()}
    local = {"Terms": "ITradeFL.Terms", "Phase": "ITradeFL.Phase"}
    for name, arguments in declared.items():
        assert compiled[name] == [local.get(argument, argument) for argument in arguments], name


@RULES
def test_every_function_of_the_interface_is_in_the_abi(rule):
    declared = re.findall(r"^ {4}function (\w+)\(", source("ITradeFL"), re.MULTILINE)
    assert len(declared) >= 20
    assert set(declared) <= entries(rule, "function").keys()


@RULES
def test_names_of_events_errors_and_functions_are_unique(rule):
    # They are looked up by name: an overload would hide another.
    for kind in ("event", "error", "function"):
        names = [entry["name"] for entry in artifact(rule)["abi"] if entry["type"] == kind]
        assert len(names) == len(set(names))


@RULES
def test_selectors_and_topics_are_unique(rule):
    from tradefl.settlement import contract

    errors = [contract._selector(entry) for entry in entries(rule, "error").values()]
    assert len(errors) == len(set(errors))


@RULES
def test_the_terms_are_encoded_as_the_constructor_takes_them(rule):
    (constructor,) = (entry for entry in artifact(rule)["abi"] if entry["type"] == "constructor")
    vault, terms, *blocks = constructor["inputs"]
    assert vault["type"] == "address"
    assert "(" + ",".join(component["type"] for component in terms["components"]) + ")" == TERMS
    assert [block["type"] for block in blocks] == ["bytes32[]", "bytes32[]"]


def test_the_phases_are_those_of_the_contract():
    (body,) = re.findall(r"enum Phase \{([^}]*)\}", source("ITradeFL"))
    declared = [name.strip().upper() for name in body.split(",")]
    assert [phase.name for phase in Phase] == declared
    assert [int(phase) for phase in Phase] == list(range(len(declared)))


def test_keccak_is_that_of_ethereum():
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak(b"").hex() == empty


def test_what_both_contracts_have_is_the_same_in_both():
    # Calls, events and errors are looked up by name, whichever contract it is.
    linear, efficient = (
        {(entry["type"], entry.get("name")): entry for entry in artifact(rule)["abi"]}
        for rule in ("linear", "efficient")
    )
    assert linear.keys() <= efficient.keys()
    assert all(efficient[key] == entry for key, entry in linear.items())
    own = {name for _, name in efficient.keys() - linear.keys()}
    assert own == {"schedule", "ScheduleListed"}
