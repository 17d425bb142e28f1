"""The shipped contract: whole, small enough for every chain, and the sources' own."""

import hashlib
import re
from pathlib import Path

import pytest

from tradefl.settlement import mirror
from tradefl.settlement.agreement import TERMS, keccak
from tradefl.settlement.contract import Phase, artifact

SOURCES = Path(__file__).parents[2] / "contracts" / "src"
ABI = artifact()["abi"]


def source(name):
    return (SOURCES / f"{name}.sol").read_text("utf-8")


def code(kind):
    text = artifact()[kind]
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def constant(name):
    """The value of a constant, from the text of the sources."""
    found = re.findall(
        rf"uint256 (?:internal|public|private) constant {name} = ([^;]+);",
        source("TradeFL") + source("TradeMath"),
    )
    assert len(found) == 1, name
    (text,) = found
    if bits := re.fullmatch(r"type\(uint(\d+)\)\.max", text):
        return 2 ** int(bits[1]) - 1
    digits, _, power = text.partition("e")
    return int(digits.replace("_", "")) * 10 ** int(power or 0)


def types(parameters):
    """Types as Solidity prints them, without the names."""
    return [parameter["internalType"].rsplit(" ", 1)[-1] for parameter in parameters]


def test_the_hash_is_that_of_the_bytecode():
    assert hashlib.sha256(code("bytecode")).hexdigest() == artifact()["sha256"]


def test_the_code_fits_every_chain():
    assert len(code("deployedBytecode")) < 24_576  # EIP-170
    assert len(code("bytecode")) < 49_152  # EIP-3860, before the arguments
    longest = 32 * (12 + 2 + 2 + 26 + 64)  # terms, offsets, lengths, the hashes at N = 1,024
    assert len(code("bytecode")) + longest < 49_152


def test_the_code_runs_on_chains_before_shanghai():
    assert artifact()["evmVersion"] == "paris"
    push0 = 0x5F
    runtime, k, found = code("deployedBytecode"), 0, False
    while k < len(runtime):
        found |= runtime[k] == push0
        k += 1 + (runtime[k] - 0x5F if 0x60 <= runtime[k] <= 0x7F else 0)
    assert not found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PPB", mirror.PPB),
        ("SCALE", mirror.SCALE),
        ("BLOCK_PAIRS", mirror.BLOCK_PAIRS),
        ("BLOCK_ORGANIZATIONS", mirror.BLOCK_ORGANIZATIONS),
        ("MAX_SIZE", mirror.MAX_SIZE),
        ("MAX_LEVELS", mirror.MAX_LEVELS),
        ("MAX_DEPOSIT", mirror.MAX_DEPOSIT),
    ],
)
def test_the_constants_are_those_of_the_contract(name, value):
    assert constant(name) == value


@pytest.mark.parametrize("kind", ["event", "error"])
def test_every_event_and_error_of_the_interface_is_in_the_abi(kind):
    declared = {
        name: [part.split()[0] for part in arguments.split(",") if part.strip()]
        for name, arguments in re.findall(
            rf"^ {{4}}{kind} (\w+)\(([^)]*)\);", source("ITradeFL"), re.MULTILINE
        )
    }
    assert len(declared) >= 16
    compiled = {entry["name"]: types(entry["inputs"]) for entry in ABI if entry["type"] == kind}
    local = {"Terms": "ITradeFL.Terms", "Phase": "ITradeFL.Phase"}
    for name, arguments in declared.items():
        assert compiled[name] == [local.get(one, one) for one in arguments], name


def test_every_function_of_the_interface_is_in_the_abi():
    declared = re.findall(r"^ {4}function (\w+)\(", source("ITradeFL"), re.MULTILINE)
    assert len(declared) >= 20
    assert set(declared) <= {entry["name"] for entry in ABI if entry["type"] == "function"}


def test_names_of_events_errors_and_functions_are_unique():
    # They are looked up by name: an overload would hide another.
    for kind in ("event", "error", "function"):
        names = [entry["name"] for entry in ABI if entry["type"] == kind]
        assert len(names) == len(set(names))


def test_selectors_and_topics_are_unique():
    from tradefl.settlement import contract

    errors = [contract._selector(entry) for entry in ABI if entry["type"] == "error"]
    assert len(errors) == len(set(errors))


def test_the_terms_are_encoded_as_the_constructor_takes_them():
    (constructor,) = (entry for entry in ABI if entry["type"] == "constructor")
    terms, *blocks = constructor["inputs"]
    assert "(" + ",".join(one["type"] for one in terms["components"]) + ")" == TERMS
    assert [one["type"] for one in blocks] == ["bytes32[]", "bytes32[]"]


def test_the_phases_are_those_of_the_contract():
    (body,) = re.findall(r"enum Phase \{([^}]*)\}", source("ITradeFL"))
    declared = [name.strip().upper() for name in body.split(",")]
    assert [phase.name for phase in Phase] == declared
    assert [int(phase) for phase in Phase] == list(range(len(declared)))


def test_keccak_is_that_of_ethereum():
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak(b"").hex() == empty
