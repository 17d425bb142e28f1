"""Training documents against themselves and the file: payment follows them."""

import contextlib
import copy
import dataclasses
import functools
import json
import re
from pathlib import Path

import pytest

import tradefl
from tradefl.errors import InputError
from tradefl.report import read_training
from tradefl.training_document import (
    PAYS,
    require_consistent,
    require_terms,
    review,
    terms_sha256,
    warnings_of,
)

FILE = Path(__file__).parents[1] / "examples" / "drug_discovery.toml"


def entry(number, name, outcome="aggregated", used=30, **more):
    return {"round": number, "organization": name, "outcome": outcome, "samples_used": used, **more}


def document():
    """Return a training of two organizations: Beta misses a round of three."""
    entries = [
        *(entry(number, "Alpha") for number in (1, 2, 3)),
        entry(1, "Beta", used=20),
        entry(2, "Beta", "absent", 0),
        entry(3, "Beta", "rolled back", 20),
    ]
    organizations = [
        {
            "name": "Alpha",
            "samples_held": 60,
            "samples_used": 30,
            "rounds_asked": 3,
            "rounds_present": 3,
            "rounds_credited": 3,
            "measured_fraction": 0.5,
        },
        {
            "name": "Beta",
            "samples_held": 40,
            "samples_used": 20,
            "rounds_asked": 3,
            "rounds_present": 1,
            "rounds_credited": 2,
            "measured_fraction": 40 / 120,
        },
    ]
    return {
        "schema": "tradefl/training/1",
        "rounds": 3,
        "organizations": organizations,
        "aggregation_weights": {"Alpha": 90 / 110, "Beta": 20 / 110},
        "entries": entries,
    }


def change(path, value):
    """Return the document with a value at a path of keys in it."""
    changed = copy.deepcopy(document())
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def test_a_document_that_agrees_with_itself_passes():
    require_consistent(document(), "t.json")
    require_consistent(change(["aggregation_weights"], None), "t.json")
    require_consistent(change(["entries", 0, "weight"], 30 / 50), "t.json")
    require_consistent(change(["organizations", 0, "pledged_fraction"], 0.49), "t.json")  # 29.4
    require_consistent({key: document()[key] for key in ("schema", "organizations")}, "t.json")


def test_weights_that_the_entries_give_are_not_left_out():
    weighted = document()
    for element, weight in zip(weighted["entries"], (0.6, 1.0, 1.0, 0.4, None, None), strict=True):
        element["weight"] = weight
    require_consistent(weighted, "t.json")
    weighted["aggregation_weights"] = None
    with pytest.raises(InputError, match="aggregation_weights: expected each organization's share"):
        require_consistent(weighted, "t.json")


def test_the_words_of_earlier_versions_are_read():
    earlier = document()
    for entry in earlier["entries"]:
        entry["outcome"] = {"aggregated": "present", "rolled back": "failed"}.get(
            entry["outcome"], entry["outcome"]
        )
        entry["samples_used"] *= entry["outcome"] != "failed"
    beta = earlier["organizations"][1]
    beta |= {"measured_fraction": 20 / 120}
    for organization in earlier["organizations"]:
        del organization["rounds_credited"]
    require_consistent(earlier, "t.json")


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["organizations", 1, "measured_fraction"], 1.0, "organizations[1].measured_fraction"),
        (["organizations", 1, "measured_fraction"], "0.33", "organizations[1].measured_fraction"),
        (["organizations", 0, "samples_held"], 30, "organizations[0].measured_fraction"),
        (["organizations", 0, "samples_held"], 0, "organizations[0].samples_held"),
        (["organizations", 0, "samples_used"], 31, "organizations[0].samples_used"),
        (["organizations", 1, "rounds_asked"], 2, "organizations[1].rounds_asked"),
        (["organizations", 1, "rounds_present"], 2, "organizations[1].rounds_present"),
        (["organizations", 1, "rounds_credited"], 3, "organizations[1].rounds_credited"),
        (["aggregation_weights", "Beta"], 0.5, "aggregation_weights.Beta"),
        (["rounds"], 4, "rounds"),
        (["rounds"], 2, "rounds"),
        (["entries", 0, "samples_used"], 29, "organizations[0].measured_fraction"),
        (["entries", 0, "samples_used"], -1, "entries[0].samples_used"),
        (["entries", 0, "samples_used"], 30.0, "entries[0].samples_used"),
        (["entries", 4, "samples_used"], 20, "entries[4].samples_used"),
        (["entries", 4, "outcome"], "praised", "entries[4].outcome"),
        (["entries", 0, "outcome"], "rejected", "entries[0].samples_used"),
        (["entries", 0, "round"], 0, "entries[0].round"),
        (["entries", 0, "round"], 2, "entries[1]"),
        (["entries", 0, "organization"], "Gamma", "entries[0].organization"),
        (["entries", 0, "organization"], None, "entries[0].organization"),
        (["entries", 0, "weight"], 0.5, "entries[0].weight"),
        (["entries", 0, "weight"], True, "entries[0].weight"),
        (["entries", 4, "weight"], 0.0, "entries[4].weight"),
        (["entries", 0, "verdict"], "attributed", "entries[0].outcome"),
        (["entries", 0, "verdict"], 7, "entries[0].verdict"),
        (["entries", 0, "reason"], ["x"], "entries[0].reason"),
        (["entries", 0, "flags"], ["unchanged"], "entries[0].flags"),
        (["entries", 0, "flags"], [{"kind": "copied"}], "entries[0].flags"),
        (["organizations", 0, "pledged_fraction"], 0.4, "organizations[0].samples_used"),
        (["accuracy"], [0.5], "accuracy"),
        (["loss"], [0.5] * 4, "loss"),
        (["entries", 0], "Alpha", "entries[0]"),
        (["entries"], "none", "entries"),
        (["entries"], [], "rounds"),
    ],
    ids=str,
)
def test_every_contradiction_is_an_error_with_its_place(path, value, place):
    with pytest.raises(InputError) as error:
        require_consistent(change(path, value), "t.json")
    assert f"t.json: {place}" in [problem.place for problem in error.value.problems]


@pytest.mark.parametrize("value", [None, [], {}, "x", 10**400, -1, True, 1e300, [[]], {"a": []}])
def test_whatever_a_document_holds_it_is_an_error_and_no_traceback(value):
    places = [
        *([key] for key in document()),
        *(["entries", 0, key] for key in (*document()["entries"][0], "flags", "weight", "verdict")),
        *(["organizations", 1, key] for key in document()["organizations"][1]),
        ["organizations", 1, "pledged_fraction"],
        ["entries", 1],
        ["organizations", 0],
    ]
    for path in places:
        with contextlib.suppress(InputError):
            require_consistent(change(path, value), "t.json")


def test_a_document_of_this_version_does_without_neither_entries_nor_terms():
    whole = document() | {"classes": 10, "terms_sha256": "ab"}
    require_consistent(whole, "t.json")
    for key in ("entries", "terms_sha256"):
        stripped = {name: value for name, value in whole.items() if name != key}
        with pytest.raises(InputError, match=f"t.json: {key}: is missing"):
            require_consistent(stripped, "t.json")


# --- one vocabulary -------------------------------------------------------------------------------


def test_what_an_outcome_pays_is_said_once():
    pytest.importorskip("flwr")
    from tradefl.federation.ledger import CREDITED, OUTCOMES

    assert set(PAYS) == set(OUTCOMES) - {"idle"}
    assert {outcome for outcome, worth in PAYS.items() if worth != "nothing"} == CREDITED
    page = (FILE.parents[1] / "docs" / "how-to" / "federated-training.md").read_text()
    rows = re.findall(
        r"(?m)^\| `([a-z ]+)` \| .* \| (?:yes|no) \| (the samples used|nothing) \|$", page
    )
    assert dict(rows) == PAYS


def whole():
    """Return a real training's document: five organizations' shape of every field."""
    pytest.importorskip("flwr")
    return json.loads(json.dumps(_whole()))


@functools.cache
def _whole():
    from tests.federation.hostile import attacked

    return attacked("huge", ("Kappa",), rounds=2).to_dict()


def edited(path, value):
    changed = whole()
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["entries", 0, "samples_claimed"], 3, "entries[0].samples_claimed"),
        (["entries", 0, "cpu_hz"], 1.0, "organizations[0].cpu_hz"),
        (["organizations", 0, "cpu_hz"], 4e9, "organizations[0].cpu_hz"),
        (["organizations", 0, "modelled_seconds"], 1.0, "organizations[0].modelled_seconds"),
        (["organizations", 0, "seconds"], 1e6, "organizations[0].seconds"),
        (["organizations", 0, "pledged_fraction"], 1.5, "organizations[0].pledged_fraction"),
        (["entries", 9, "outcome"], "idle", "entries[9].outcome"),
        (["entries", 0, "weight"], None, "entries[0].weight"),
        (["aggregation_weights"], [1], "aggregation_weights"),
        (["aggregation_weights", "Zorro"], 0.0, "aggregation_weights"),
        (["diverged"], "bad", "diverged"),
        (["loss", 1], None, "diverged"),
        (["accuracy"], [7, 8], "accuracy[0]"),
        (["accuracy"], "x", "accuracy"),
        (["rounds"], "3", "rounds"),
        (["rounds"], None, "rounds"),
        (["settings"], 5, "settings"),
        (["validation"], 5, "validation"),
        (["validation", "samples"], -3, "validation.samples"),
        (["notices"], 5, "notices"),
        (["model"], 5, "model"),
        (["entries", 0, "verdict"], "guilty", "entries[0].verdict"),
        (["entries", 0, "verdict"], "suspicious", "entries[0].verdict"),
        (["entries", 0, "verdict"], "attributed", "entries[0].evidence"),
        (["entries", 9, "verdict"], "", "entries[9].evidence"),
        (["entries", 0, "evidence"], 5, "entries[0].evidence"),
        (["entries", 0, "cosine"], 5.0, "entries[0].cosine"),
        (["entries", 0, "norm"], -1.0, "entries[0].norm"),
        (["entries", 0, "seconds"], -5.0, "entries[0].seconds"),
        (["entries", 0, "update_sha256"], "zz", "entries[0].update_sha256"),
        (["entries", 0, "update_sha256"], "", "entries[0].update_sha256"),
        (
            ["entries", 0, "flags"],
            [{"kind": "x", "confidence": "certain", "detail": ""}],
            "entries[0].flags[0].kind",
        ),
        (
            ["entries", 0, "flags"],
            [{"kind": "copied", "confidence": "certain", "detail": ""}],
            "entries[0].verdict",
        ),
    ],
    ids=str,
)
def test_every_figure_of_a_real_training_is_checked(path, value, place):
    consortium = tradefl.load(FILE)
    require_consistent(whole(), "t.json")
    require_terms(whole(), consortium, "t.json")
    with pytest.raises(InputError) as error:
        require_consistent(edited(path, value), "t.json")
    assert f"t.json: {place}" in [problem.place for problem in error.value.problems]


def test_holdings_and_levels_are_those_of_the_file():
    consortium, changed = tradefl.load(FILE), whole()
    alpha = changed["organizations"][0]
    used = changed["entries"][0]["samples_used"]
    alpha |= {
        "samples_held": alpha["samples_held"] // 2,
        "pledged_fraction": 1.0,
        "measured_fraction": used / (alpha["samples_held"] // 2),
    }
    require_consistent(changed, "t.json")  # it agrees with itself
    with pytest.raises(InputError, match=r"organizations\[0\].samples_held: expected"):
        require_terms(changed, consortium, "t.json")
    changed = whole()
    for entry in (changed["organizations"][0], *changed["entries"][::10]):
        entry["cpu_hz"] = 1.7e9
    require_consistent(changed, "t.json")
    with pytest.raises(InputError, match=r"entries\[0\].cpu_hz: expected a level of Alpha"):
        require_terms(changed, consortium, "t.json")


def test_a_document_of_this_version_keeps_its_terms_whatever_else_is_cut_off():
    cut = whole()
    for key in ("terms_sha256", "validation", "test_samples", "classes", "diverged"):
        del cut[key]
    with pytest.raises(InputError, match="terms_sha256: is missing"):
        require_consistent(cut, "t.json")


def test_what_is_paid_for_a_training_that_came_to_nothing_is_said():
    assert warnings_of(whole()) == []
    [line] = warnings_of(whole() | {"diverged": "the loss of the final model is not finite"})
    assert "came to nothing: the loss of the final model is not finite" in line
    assert any("before 0.2.0" in line for line in warnings_of(document()))
    assert warnings_of({"schema": "tradefl/solution/1"}) == []


def test_a_review_counts_outcomes_and_flags():
    flag = {"kind": "unchanged", "confidence": "certain", "detail": "equal"}
    changed = change(["entries", 0, "flags"], [flag])
    changed["entries"][0]["verdict"] = "suspicious"
    changed["entries"][4]["reason"] = "no reply in time"
    found = review(changed, "t.json")
    assert found.outcomes == {
        "Alpha": {"aggregated": 3},
        "Beta": {"aggregated": 1, "absent": 1, "rolled back": 1},
    }
    assert found.flags == {"Alpha": {"suspicious": 1, "unchanged": 1}, "Beta": {}}
    assert found.incidents == [
        (1, "Alpha", "aggregated, suspicious", "unchanged (certain): equal"),
        (2, "Beta", "absent", "no reply in time"),
    ]


def test_a_review_of_a_document_that_contradicts_itself_is_none():
    with pytest.raises(InputError, match="measured_fraction"):
        review(change(["organizations", 1, "measured_fraction"], 1.0), "t.json")


def test_updates_become_a_model_as_agreed(tmp_path):
    path = tmp_path / "agreed.toml"
    path.write_text(FILE.read_text() + '\n[training]\naggregation = "fedmedian"\n')
    consortium = tradefl.load(path)
    good = {"aggregation": "fedmedian", "clip_norm": 0.0, "proximal_mu": 9.0, "assumed_hostile": -1}
    require_terms({"settings": good}, consortium, "t.json")
    for key, value in {"aggregation": "fedavg", "clip_norm": 1.0}.items():
        with pytest.raises(InputError, match=rf"settings\.{key}: expected .* as \[training\] of"):
            require_terms({"settings": good | {key: value}}, consortium, "t.json")
        require_terms({"settings": good | {key: value}}, tradefl.load(FILE), "t.json")


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ('aggregation = "krum"\nassumed_hostile = 4', "training.assumed_hostile: krum bears 3"),
        ('aggregation = "bulyan"\nassumed_hostile = 2', "training.assumed_hostile: bulyan bears 1"),
        ('aggregation = "trimmed-mean"\nassumed_hostile = 5', "trimmed-mean bears 4 hostile"),
    ],
)
def test_nobody_signs_an_aggregation_that_cannot_work(tmp_path, section, problem):
    path = tmp_path / "agreed.toml"
    path.write_text(f"{FILE.read_text()}\n[training]\n{section}\n")
    with pytest.raises(InputError, match=problem):
        tradefl.load(path)


# --- of these terms -----------------------------------------------------------------------------


def test_the_hash_is_of_what_partners_have_alike():
    consortium = tradefl.load(FILE)
    own = terms_sha256(consortium)
    require_terms({"terms_sha256": own}, consortium, "t.json")
    require_terms({}, consortium, "t.json")  # of an earlier version
    who = consortium.organizations
    private = dataclasses.replace(
        consortium,
        organizations=dataclasses.replace(
            who, profitability=who.profitability * 2, upload_seconds=who.upload_seconds + 1
        ),
    )
    assert terms_sha256(private) == own
    for public in (
        {"samples": who.samples + 1},
        {"data_bits": who.data_bits * 2},
    ):
        other = dataclasses.replace(consortium, organizations=dataclasses.replace(who, **public))
        assert terms_sha256(other) != own
        with pytest.raises(InputError, match="trained under other terms"):
            require_terms({"terms_sha256": own}, other, "t.json")
    dearer = consortium.mechanism.model_copy(update={"incentive_intensity": 1.0})
    assert terms_sha256(dataclasses.replace(consortium, mechanism=dearer)) != own


def test_a_report_refuses_what_contradicts_itself(tmp_path):
    pytest.importorskip("flwr")
    from tests.federation.hostile import attacked

    path = tmp_path / "training.json"
    written = attacked("huge", ("Kappa",), rounds=2, output=str(path)).to_dict()
    consortium = tradefl.load(FILE)
    training = read_training(path, consortium)
    assert {entry.verdict for entry in training.entries if entry.organization == "Kappa"} == {
        "attributed"
    }
    written["organizations"][9]["measured_fraction"] = 1.0
    path.write_text(json.dumps(written))
    with pytest.raises(InputError, match=r"organizations\[9\].measured_fraction: the entries give"):
        read_training(path, consortium)


def test_the_report_shows_what_happened(tmp_path):
    pytest.importorskip("flwr")
    from tests.federation.hostile import attacked

    from tradefl.report.records import training_section

    path = tmp_path / "training.json"
    attacked("huge", ("Kappa",), rounds=2, output=str(path))
    section = training_section(read_training(path, tradefl.load(FILE)))
    text = repr(section)
    assert "rejected, attributed" in text
    assert "attributed: with it the model moves by" in text
    assert "outlier (certain)" in text
