"""An annex is whatever its author wrote: it is read within limits, or refused in one line."""

import json

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.settlement.consortia import annex

import tradefl
from tradefl.errors import InputError
from tradefl.settlement import Agreement
from tradefl.settlement.agreed import public_terms
from tradefl.settlement.annex import read_annex
from tradefl.training_document import PAYS

NAMES = ["Alpha", "Beta"]


def changed(**keys):
    contents = json.loads(annex(NAMES)) | keys
    return json.dumps({key: value for key, value in contents.items() if value is not None}).encode()


def test_an_annex_is_read():
    assert read_annex(annex(NAMES))["organizations"] == NAMES


HOSTILE = {
    "a key twice": b'{"consortium": "other", ' + annex(NAMES)[1:],
    "a key twice, further in": changed()[:-1] + b', "truthful": {"a": 1, "a": 1}}',
    "another schema": changed(schema="tradefl/annex/2"),
    "no schema": changed(schema=None),
    "a schema that is a list": changed(schema=[1]),
    "a promise that is text": changed(truthful="yes"),
    "a promise of others": changed(truthful={"claimant": "Gamma", "organizations": {}}),
    "a line break in a name": changed(organizations=["Alpha\nphase settled", "Beta"]),
    "an escape sequence in a name": changed(organizations=["Alpha\x1b[2J", "Beta"]),
    "an escape sequence in the title": changed(consortium="four\x1b[8m"),
    "a right-to-left override": changed(organizations=["Alpha\u202e", "Beta"]),
    "a name that looks like another": changed(organizations=["Alpha", "\u0410lpha"]),
    "a name twice": changed(organizations=["Alpha", "Alpha"]),
    "a name that is not composed": changed(organizations=["Mu\u0308ller", "Beta"]),
    "a name of a megabyte": changed(organizations=["A" * 10**6, "Beta"]),
    "a name that is a number": changed(organizations=[1, "Beta"]),
    "no names": changed(organizations=None),
    "no title": changed(consortium=None),
    "turns of no time": changed(turn_seconds=0),
    "turns of nothing": changed(turn_seconds=None),
    "a number of thousands of digits": b'{"turn_seconds": ' + b"9" * 5000 + b"}",
    "no chain": changed(chain_id=None),
    "a chain that is text": changed(chain_id="1"),
    "a series of another length": changed(series="0x12"),
    "brackets to any depth": b"[" * 100_000,
    "not JSON": b"\xff\xfe",
    "a list": b"[]",
    "nothing": b"",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_annex_is_one_printable_line(case):
    with pytest.raises(InputError) as caught:
        read_annex(HOSTILE[case])
    for line in caught.value.lines():
        assert line.isprintable()
        assert len(line) < 2500


MODELS = {
    "none": None,
    "unknown": {"model": "magic"},
    "not a section": 5,
    "a figure that is text": {"model": "sqrt-loss", "epochs": "many"},
}


@pytest.mark.parametrize("model", MODELS)
def test_an_annex_without_a_model_that_agents_know_is_refused(tmp_path, model):
    import dataclasses

    path = save(tmp_path, document())
    agreed = Agreement.of(tradefl.load(path), [f"0x{i + 1:040x}" for i in range(3)])
    contents = json.loads(agreed.annex) | {"accuracy": MODELS[model]}
    broken = dataclasses.replace(agreed, annex=json.dumps(contents).encode())
    with pytest.raises(InputError, match="annex: accuracy"):
        public_terms(broken)


@pytest.mark.parametrize("key", ["energy", "samples", "deadline_seconds", "overhead_weight"])
def test_every_other_figure_is_required(tmp_path, key):
    import dataclasses

    agreed = Agreement.of(
        tradefl.load(save(tmp_path, document({"accuracy.measure": "samples"}))),
        [f"0x{i + 1:040x}" for i in range(3)],
    )
    contents = {name: value for name, value in json.loads(agreed.annex).items() if name != key}
    broken = dataclasses.replace(agreed, annex=json.dumps(contents).encode())
    with pytest.raises(InputError, match=f"annex: {key}"):
        public_terms(broken)


def test_how_updates_become_a_model_is_signed(tmp_path):
    section = {"aggregation": "fedmedian", "unpaid_flags": ["unchanged"]}
    path = save(tmp_path, document({"training": section}))
    found = run("agreement", path, "--json").json
    signed = json.loads(found["annex"])["training"]
    assert signed["aggregation"] == "fedmedian"
    assert signed["pays"] == PAYS
    assert signed["unpaid_flags"] == ["unchanged"]
    assert found["training"] == {**signed, "signed": True}
    text = run("agreement", path).out
    plain = run("agreement", save(tmp_path, document()), "--json").json
    assert plain["training"]["aggregation"] == "fedavg"
    assert (plain["training"]["pays"], plain["training"]["signed"]) == (PAYS, False)
    assert "fedmedian, updates that are certainly unchanged pay nothing (in the annex)" in text
    assert "aggregated, excluded, rolled back: the samples used; rejected, late, absent" in text
    assert "training" not in json.loads(plain["annex"])
    assert plain["hash"] != found["hash"]
