"""Every document that a command prints follows its schema, and its model reads it unchanged."""

from __future__ import annotations

import json

import jsonschema
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save

import tradefl
from tradefl.documents.base import parsed
from tradefl.documents.schemas import DOCUMENTS, json_schemas
from tradefl.documents.solution import SolvedOrganization
from tradefl.errors import InputError
from tradefl.settlement.attestation import read_attestations

SCHEMAS = json_schemas()
MODELS = {kind.NAME: kind for kind in DOCUMENTS}


def follows(printed):
    """Check a document against its schema, and that writing it again changes no byte."""
    name = printed["schema"]
    jsonschema.validate(printed, SCHEMAS[name.removeprefix("tradefl/").replace("/", "-")])
    again = parsed(printed, MODELS[name], "document").to_dict()
    assert json.dumps(again) == json.dumps(printed)


@pytest.fixture
def file(tmp_path):
    return save(tmp_path, document())


@pytest.mark.parametrize(
    "arguments",
    [
        ["solve"],
        ["explain"],
        ["explain", "--wei"],
        ["check"],
        ["tune"],
        ["compare"],
        ["incentives", "--points", "2"],
        ["design", "--truthful", "0.1", "--residual", "Alpha", "--starts", "0"],
        ["agreement"],
        ["settle"],
        ["audit"],
    ],
    ids=" ".join,
)
def test_a_command_prints_what_its_schema_says(file, arguments):
    command, *options = arguments
    ran = run(command, file, *options, "--json")
    assert ran.code == 0, ran.err
    follows(ran.json)


def test_draws_of_ranges_follow_their_schema(tmp_path):
    low_mid_high = {"low": 1200.0, "mid": 1500.0, "high": 1900.0}
    path = save(tmp_path, document({"organization.0.profitability": low_mid_high}))
    for options in ([], ["--redesign"]):
        ran = run("sensitivity", path, "--draws", 5, *options, "--json")
        assert ran.code == 0, ran.err
        follows(ran.json)


def test_the_efficient_rule_has_keys_of_its_own(file, tmp_path):
    designed = tmp_path / "designed.toml"
    ran = run("design", file, "--output", designed, "--json")
    assert ran.code == 0, ran.err
    follows(ran.json)
    for command, *options in (["agreement"], ["explain", "--wei"]):
        ran = run(command, designed, *options, "--json")
        assert ran.code == 0, ran.err
        follows(ran.json)


def test_the_schemas_are_schemas():
    for name, schema in SCHEMAS.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"{name}.json"


def test_schemas_require_what_is_always_there():
    solution = SCHEMAS["solution-1"]
    assert {"schema", "consortium", "organizations", "transfers"} <= set(solution["required"])
    # Only where --wei was given.
    assert "wei" not in SCHEMAS["statement-1"]["$defs"]["OneStatement"]["required"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"potential": "1.5"}, "file.json: potential: expected a number, got '1.5'"),
        ({"potential": float("nan")}, "file.json: potential: expected a finite number, got nan"),
        ({"schema": "tradefl/tune/1"}, "file.json: schema: expected 'tradefl/solution/1'"),
        ({"organizations": [{"name": "Alpha"}]}, "file.json: organizations[0].cpu_hz: is missing"),
    ],
)
def test_an_error_says_where(file, change, place):
    solved = tradefl.solve(tradefl.load(file)).to_dict()
    with pytest.raises(InputError) as error:
        parsed(solved | change, MODELS["tradefl/solution/1"], "file.json")
    assert place in str(error.value)


SIGNED = {"signature": "0xab", "serial": 1, "expiry": 0}


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ([], ["file.json: expected {"]),
        ({"Alhpa": SIGNED}, ["file.json: no organization 'Alhpa' in the consortium"]),
        ({"Alpha": 1}, ["file.json: Alpha: expected a table, got 1"]),
        ({"Alpha": {}}, [f"file.json: Alpha.{key}: is missing" for key in SIGNED]),
        ({"Alpha": SIGNED | {"signature": "0x1"}}, ["Alpha.signature: expected 0x and two hexa"]),
        ({"Alpha": SIGNED | {"serial": 2**64}}, ["Alpha.serial: expected a number < 1.84467e+19"]),
        ({"Alpha": SIGNED | {"expiry": -1}}, ["Alpha.expiry: expected a number >= 0, got -1"]),
        ({"Alpha": SIGNED | {"serial": "1"}}, ["Alpha.serial: expected a whole number, got '1'"]),
        ({"Alpha": SIGNED | {"serial": True}}, ["Alpha.serial: expected a whole number, got true"]),
    ],
)
def test_attestations_are_read_by_their_model(content, messages):
    with pytest.raises(InputError) as error:
        read_attestations(content, "file.json", ["Alpha", "Beta"])
    found = [str(problem) for problem in error.value.problems]
    assert len(found) == len(messages)
    for line, message in zip(found, messages, strict=True):
        assert message in line


def test_attestations_are_written_as_they_are_read():
    attested = read_attestations({"Alpha": SIGNED | {"later": 1}}, "file.json", ["Alpha"])
    assert attested["Alpha"].to_dict() == SIGNED
    jsonschema.validate({"Alpha": attested["Alpha"].to_dict()}, SCHEMAS["attestations"])


def test_what_can_be_settled_follows_the_schema_of_contributions(file):
    solved = tradefl.solve(tradefl.load(file)).to_dict()
    jsonschema.validate(solved, SCHEMAS["contributions"])
    by_hand = {"organizations": [{"name": "Alpha", "data_fraction": "1", "cpu_hz": 1e9}]}
    jsonschema.validate(by_hand, SCHEMAS["contributions"])
    by_hand["organizations"][0]["data_fraction"] = -1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(by_hand, SCHEMAS["contributions"])


def test_keys_of_a_later_version_are_ignored(file):
    solved = tradefl.solve(tradefl.load(file)).to_dict()
    again = parsed(solved | {"later": 1}, MODELS["tradefl/solution/1"], "file.json")
    assert again.to_dict() == solved


def test_a_column_without_a_key_is_not_lost():
    with pytest.raises(TypeError, match="SolvedOrganization has no key bonus"):
        SolvedOrganization.of(name="Alpha", bonus=1.0)
