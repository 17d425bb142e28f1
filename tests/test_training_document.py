"""Training documents against themselves and the file: payment follows them."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest

import tradefl
from tradefl.errors import InputError
from tradefl.report import read_training
from tradefl.training_document import require_consistent, require_terms, terms_sha256

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
    require_consistent({key: document()[key] for key in ("schema", "organizations")}, "t.json")


def test_the_words_of_earlier_versions_are_read():
    earlier = document()
    for one in earlier["entries"]:
        one["outcome"] = {"aggregated": "present", "rolled back": "failed"}.get(
            one["outcome"], one["outcome"]
        )
        one["samples_used"] *= one["outcome"] != "failed"
    beta = earlier["organizations"][1]
    beta |= {"measured_fraction": 20 / 120}
    for one in earlier["organizations"]:
        del one["rounds_credited"]
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
    assert {one.verdict for one in training.entries if one.organization == "Kappa"} == {
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
