"""Training end to end, in process: what is learned, what is measured, and what continues."""

import dataclasses
import json
import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from flwr.supercore.task_identity import TaskIdentity
from tests.federation.messages import same

from tradefl.consortium import load
from tradefl.errors import InputError
from tradefl.federation import ContributingApp, Plan, Terms, make_server_app, train
from tradefl.federation.checkpoint import Checkpoint
from tradefl.federation.client import app as client_app
from tradefl.federation.client import round_seed
from tradefl.federation.datasets import load_dataset
from tradefl.federation.grid import run_in_process
from tradefl.federation.models import LocalTraining, make_model
from tradefl.federation.partition import partition
from tradefl.federation.pledge import PLEDGE, chosen_samples
from tradefl.federation.training import train_pledges
from tradefl.federation.validation import split_test
from tradefl.solvers import solve
from tradefl.training_document.holdings import shares

CONSORTIUM = Path(__file__).parents[2] / "examples" / "drug_discovery.toml"
NAMES = ("Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta", "Iota", "Kappa")


def plan(**settings):
    return Plan(**{"consortium": str(CONSORTIUM), **settings})


def with_deadline(folder, seconds):
    """Return the consortium's file with another deadline."""
    text, count = re.subn(
        r"deadline_seconds = [\d_.]+", f"deadline_seconds = {seconds}", CONSORTIUM.read_text()
    )
    assert count == 1
    path = folder / "consortium.toml"
    path.write_text(text)
    return str(path)


@cache
def trained(**settings):
    return train(plan(**settings))


def figures(training):
    """Return everything that a repeated training must repeat."""
    measured = [
        dataclasses.replace(entry, seconds=0.0) for entry in training.ledger.entries
    ]  # seconds are the clock's
    return (
        [value.hex() for value in training.accuracy],
        [value.hex() for value in training.loss],
        [repr(entry) for entry in measured],
        {name: value.tobytes() for name, value in training.parameters.items()},
    )


# --- what is learned ----------------------------------------------------------------------------


def test_ten_organizations_learn_digits_in_five_rounds():
    training = trained()
    assert len(training.accuracy) == len(training.loss) == 6
    assert training.accuracy[0] < 0.2
    assert training.accuracy[-1] > 0.8
    assert training.loss[0] == pytest.approx(math.log(10), rel=1e-6)  # knows nothing
    assert list(training.loss) == sorted(training.loss, reverse=True)
    assert {entry.outcome for entry in training.ledger.entries} == {"aggregated"}
    assert training.ledger.incidents == []
    assert len(training.ledger.entries) == 50
    assert len({entry.update_sha256 for entry in training.ledger.entries}) == 50


def test_pledges_alone_train_the_same_model():
    whole = trained(validation_fraction=0.0)
    terms = Terms.of(load(CONSORTIUM), solve(load(CONSORTIUM)).profile, held_of(whole))
    dataset = load_dataset("digits")
    reports, ledger = train_pledges(plan(), terms.pledges, dataset)
    assert tuple(report.accuracy for report in reports) == whole.accuracy
    assert tuple(report.loss for report in reports) == whole.loss
    assert [report.number for report in reports] == list(range(6))
    assert [report.present for report in reports] == [0] + [10] * 5
    used = [entry.samples_used for entry in ledger.entries]
    assert used == [entry.samples_used for entry in whole.ledger.entries]
    ends, _ = train_pledges(plan(), terms.pledges, dataset, every_round=False)
    assert ends == [reports[0], reports[-1]]


def held_of(training):
    return [pledge.samples_held for pledge in training.ledger.terms.pledges]


def test_it_is_federated_averaging_of_the_pledged_samples():
    """The same training written a second time, without Flower and without our strategy."""
    consortium = load(CONSORTIUM)
    profile = solve(consortium, "dbr").profile
    data = load_dataset("digits")
    held = shares(consortium.organizations.samples.tolist(), len(data.y_train))
    terms = Terms.of(consortium, profile, held, seed=4)
    parts = partition(data.y_train, held, scheme="iid", alpha=0.5, seed=4)
    model = make_model("logistic", data.shape)
    parameters = model.initial(4)
    accuracy = []
    for number in (1, 2, 3):
        total = {name: np.zeros(value.shape) for name, value in parameters.items()}
        weights = []
        for pledge, part in zip(terms.pledges, parts, strict=True):
            own = part[chosen_samples(pledge, len(part))]
            assert len(own) == math.ceil(pledge.data_fraction * len(part) - 1e-9)
            how = LocalTraining(2, 0.25, 16, round_seed(pledge, number))
            update, _ = model.train(parameters, data.x_train[own], data.y_train[own], how)
            weights.append(len(own))
            for name in total:
                total[name] += len(own) * update[name].astype(np.float64)
        parameters = {
            name: (value / sum(weights)).astype(np.float32) for name, value in total.items()
        }
        accuracy.append(model.evaluate(parameters, data.x_test, data.y_test)[1])
    training = trained(
        scheme="dbr",
        seed=4,
        rounds=3,
        local_epochs=2,
        learning_rate=0.25,
        batch_size=16,
        validation_fraction=0.0,
    )
    for name, value in parameters.items():
        np.testing.assert_allclose(training.parameters[name], value, rtol=2e-3, atol=2e-6)
    np.testing.assert_allclose(training.accuracy[1:], accuracy, atol=1.1 / len(data.y_test))
    measured = training.ledger.measured()
    for entry, samples in zip(measured, weights, strict=True):
        assert entry.weight == pytest.approx(samples / sum(weights), rel=1e-12)


def test_who_delivers_is_measured_at_what_it_pledged():
    training = trained()
    measured = training.ledger.measured()
    assert tuple(organization.name for organization in measured) == NAMES
    assert (
        sum(organization.samples_held for organization in measured) == 1438
    )  # the training part of digits
    assert sum(organization.weight for organization in measured) == pytest.approx(1.0, abs=1e-12)
    for organization in measured:
        assert (organization.rounds_asked, organization.rounds_present) == (5, 5)
        assert organization.samples_used == math.ceil(
            organization.pledged_fraction * organization.samples_held - 1e-9
        )
        assert organization.pledged_fraction * (1 - 1e-12) <= organization.measured_fraction <= 1.0
        assert (
            organization.measured_fraction - organization.pledged_fraction
            < 1.0 / organization.samples_held
        )
        assert organization.seconds > 0.0
        assert 0.0 < organization.modelled_seconds <= 18_000.0 * (1 + 1e-14)


def test_a_training_can_be_repeated_to_the_last_bit():
    assert figures(train(plan())) == figures(trained())


def test_another_seed_is_another_training():
    one, other = trained(), train(plan(seed=1))
    assert one.accuracy != other.accuracy
    hashes = [{entry.update_sha256 for entry in run.ledger.entries} for run in (one, other)]
    assert not hashes[0] & hashes[1]
    assert other.accuracy[-1] > 0.75


def test_fedprox_without_a_proximal_term_is_fedavg_and_with_one_stays_nearer():
    assert figures(train(plan(aggregation="fedprox", proximal_mu=0.0))) == figures(trained())
    prox = train(plan(aggregation="fedprox", proximal_mu=1.0, local_epochs=5, rounds=1))
    free = train(plan(local_epochs=5, rounds=1))
    assert np.linalg.norm(prox.parameters["weight"]) < 0.8 * np.linalg.norm(
        free.parameters["weight"]
    )
    assert figures(prox) == figures(
        train(plan(aggregation="fedprox", proximal_mu=1.0, local_epochs=5, rounds=1))
    )


def test_fedadam_trains_otherwise_and_repeatably():
    adam = trained(aggregation="fedadam")
    assert adam.accuracy != trained().accuracy
    assert adam.accuracy[-1] > 0.8
    assert figures(train(plan(aggregation="fedadam"))) == figures(adam)


def test_dirichlet_deals_all_samples_and_says_so():
    training = trained(partition="dirichlet", alpha=0.3)
    measured = training.ledger.measured()
    assert sum(organization.samples_held for organization in measured) == 1438
    assert [organization.samples_held for organization in measured] != [
        entry.samples_held for entry in trained().ledger.measured()
    ]
    assert {entry.outcome for entry in training.ledger.entries} == {"aggregated"}
    assert all(organization.samples_used <= organization.samples_held for organization in measured)
    assert any("Dirichlet" in notice for notice in training.notices)
    assert training.accuracy[-1] > 0.6
    assert figures(train(plan(partition="dirichlet", alpha=0.3))) == figures(training)


def test_breast_cancer():
    training = trained(data="breast-cancer", rounds=3)
    assert training.accuracy[-1] > 0.9
    assert training.parameters["weight"].shape == (30, 2)
    (notice,) = training.notices
    assert notice.startswith("breast-cancer has 455 training samples, the consortium 2,630,000,000")


# --- the deadline -------------------------------------------------------------------------------


def test_tos_trains_on_everything_without_a_deadline(tmp_path):
    consortium = with_deadline(tmp_path, 4900.0)
    training = train(Plan(consortium=consortium, scheme="tos", rounds=2))
    assert {entry.outcome for entry in training.ledger.entries} == {"aggregated"}
    assert [organization.measured_fraction for organization in training.ledger.measured()] == [
        1.0
    ] * 10
    assert training.accuracy[-1] > trained().accuracy[2]
    assert all(entry.modelled_seconds > 4900.0 for entry in training.ledger.entries)


def test_if_all_are_late_the_model_stays_as_it_is(tmp_path):
    consortium = with_deadline(tmp_path, 4900.0)
    training = train(Plan(consortium=consortium, scheme="tos", deadline="model", rounds=2))
    assert {entry.outcome for entry in training.ledger.entries} == {"late"}
    assert len(set(training.accuracy)) == len(set(training.loss)) == 1
    initial = make_model("logistic", load_dataset("digits").shape).initial(0)
    assert same(training.parameters, initial)
    for organization in training.ledger.measured():
        assert (
            organization.rounds_present,
            organization.measured_fraction,
            organization.weight,
        ) == (0, 0.0, 0.0)
    json.dumps(training.to_dict(), allow_nan=False)


def test_some_may_be_late_and_the_others_train(tmp_path):
    # At full speed with all data Iota needs 900 + 5,632 s, Kappa 900 + 4,096 s.
    consortium = with_deadline(tmp_path, 5500.0)
    training = train(Plan(consortium=consortium, scheme="tos", deadline="model", rounds=2))
    outcomes = {entry.organization: entry.outcome for entry in training.ledger.entries}
    assert outcomes == dict.fromkeys(NAMES[:-1], "late") | {"Kappa": "aggregated"}
    assert training.ledger.measured()[-1].weight == 1.0
    assert training.accuracy[-1] > training.accuracy[0]


# --- what is reported ---------------------------------------------------------------------------


def test_who_watches_sees_every_round():
    seen = []
    training = train(plan(rounds=3), watch=seen.append)
    assert [report.number for report in seen] == [0, 1, 2, 3]
    assert [report.accuracy for report in seen] == list(training.accuracy)
    assert [report.loss for report in seen] == list(training.loss)
    assert [report.present for report in seen] == [0, 10, 10, 10]
    assert {(report.rounds, report.organizations) for report in seen} == {(3, 10)}


def test_the_document_is_json_and_is_what_was_measured(tmp_path):
    output = tmp_path / "training.json"
    training = train(plan(rounds=2, output=str(output)))
    document = json.loads(output.read_text())
    assert document == json.loads(json.dumps(training.to_dict()))
    assert document["schema"] == "tradefl/training/1"
    assert document["consortium"] == "drug-discovery"
    assert (document["rounds"], document["model"], document["data"]) == (2, "logistic", "digits")
    assert [document["initial_accuracy"], *document["accuracy"]] == list(training.accuracy)
    assert [document["initial_loss"], *document["loss"]] == list(training.loss)
    assert list(document["aggregation_weights"]) == list(NAMES)
    assert sum(document["aggregation_weights"].values()) == pytest.approx(1.0, abs=1e-12)
    assert [organization["name"] for organization in document["organizations"]] == list(NAMES)
    assert all("weight" not in organization for organization in document["organizations"])
    assert len(document["entries"]) == 20
    assert document["settings"]["seed"] == 0
    assert document["settings"]["learning_rate"] == 0.5


@pytest.mark.parametrize("aggregation", ["fedavg", "fedprox", "fedadam"])
def test_a_training_that_diverges_is_told_and_does_not_crash(aggregation, tmp_path):
    output = tmp_path / "training.json"
    training = train(plan(learning_rate=3e38, aggregation=aggregation, output=str(output)))
    # The settings are at fault, and no organization: all delivered what it pledged.
    assert {entry.outcome for entry in training.ledger.entries} == {"rolled back"}
    assert {entry.verdict for entry in training.ledger.entries} == {""}
    for element, honest in zip(
        training.ledger.measured(), trained().ledger.measured(), strict=True
    ):
        assert element.measured_fraction == honest.measured_fraction
        assert (element.rounds_present, element.rounds_credited) == (0, 5)
    assert all(np.all(np.isfinite(value)) for value in training.parameters.values())
    assert training.diverged == "no round could be aggregated; the model is untrained"

    def no_constant(text):
        raise AssertionError(text)

    document = json.loads(output.read_text(), parse_constant=no_constant)
    assert document["diverged"] == training.diverged
    assert len(document["accuracy"]) == len(document["loss"]) == 5


def test_a_plan_by_run_config_is_the_same_training():
    results = []
    configs = [{"partition-id": k} for k in range(10)]
    server = make_server_app(done=results.append)
    run_in_process(server, client_app, configs, plan().to_run_config())
    (training,) = results
    assert figures(training) == figures(trained())


def test_nodes_that_name_their_organization_train_the_same_in_any_order():
    results = []
    configs = [{"organization": name} for name in reversed(NAMES)]
    server = make_server_app(plan(), done=results.append)
    run_in_process(server, client_app, configs, {})
    (training,) = results
    assert figures(training) == figures(trained())


def test_who_is_missing_is_absent_and_its_pledge_is_not_counted():
    results = []
    configs = [{"organization": name} for name in NAMES if name != "Gamma"]
    server = make_server_app(plan(rounds=2, join_seconds=0.0), done=results.append)
    run_in_process(server, client_app, configs, {})
    measured = {entry.name: entry for entry in results[0].ledger.measured()}
    gamma = measured.pop("Gamma")
    assert (gamma.rounds_asked, gamma.rounds_present) == (2, 0)
    assert (gamma.measured_fraction, gamma.weight) == (0.0, 0.0)
    assert all(entry.rounds_present == 2 for entry in measured.values())
    assert sum(entry.weight for entry in measured.values()) == pytest.approx(1.0, abs=1e-12)


def test_a_node_that_runs_below_its_pledged_level_is_recorded():
    pledged = {pledge.organization: pledge for pledge in Terms.load(CONSORTIUM).pledges}
    levels = dict(zip(NAMES, Terms.load(CONSORTIUM).cpu_levels_hz, strict=True))
    slow = next(name for name in NAMES if pledged[name].cpu_hz > levels[name][0])
    results = []
    configs = [
        {"organization": name} | ({"cpu-hz": levels[name][0]} if name == slow else {})
        for name in NAMES
    ]
    server = make_server_app(plan(rounds=1, deadline="off"), done=results.append)
    run_in_process(server, client_app, configs, {})
    (incident,) = results[0].ledger.incidents
    assert (incident.organization, incident.cpu_hz) == (slow, levels[slow][0])
    assert incident.outcome == "aggregated"
    assert "pledged" in incident.reason


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"consortium": "nowhere.toml"}, "no such file"),
        ({"data": "digitss"}, "digits"),
        ({"model": "logistics"}, "logistic"),
        ({"keys": "nowhere"}, "Alpha.pub"),
    ],
)
def test_what_cannot_be_trained_is_an_input_error(settings, message):
    with pytest.raises(InputError, match=message):
        train(plan(**settings))
    assert TaskIdentity._run_id is None


# --- what continues -----------------------------------------------------------------------------


class StopError(Exception):
    pass


def stop_after(number, error=StopError):
    def watch(report):
        if report.number == number:
            raise error

    return watch


@pytest.mark.parametrize("error", [KeyboardInterrupt, StopError])
@pytest.mark.parametrize("aggregation", ["fedavg", "fedprox", "fedadam"])
def test_a_training_that_was_stopped_continues_to_the_last_bit(tmp_path, aggregation, error):
    checkpoint = str(tmp_path / "state.npz")
    asked = plan(aggregation=aggregation, checkpoint=checkpoint)
    with pytest.raises(error):
        train(asked, watch=stop_after(2, error))
    assert TaskIdentity._run_id is None
    assert Checkpoint.read(Path(checkpoint)).rounds_done == 2
    seen = []
    training = train(dataclasses.replace(asked, resume=True), watch=seen.append)
    assert [report.number for report in seen] == [3, 4, 5]
    assert [report.present for report in seen] == [10, 10, 10]
    assert figures(training) == figures(trained(aggregation=aggregation))
    assert [organization.rounds_asked for organization in training.ledger.measured()] == [5] * 10
    assert Checkpoint.read(Path(checkpoint)).rounds_done == 5
    # And once more: nothing is left to do, and the result is the same.
    again = train(dataclasses.replace(asked, resume=True), watch=stop_after(5))
    assert figures(again) == figures(training)
    assert again.ledger.entries == training.ledger.entries


def test_a_training_that_is_stopped_in_a_round_loses_that_round_only(tmp_path, monkeypatch):
    from tradefl.federation import client

    checkpoint = str(tmp_path / "state.npz")
    asked = plan(checkpoint=checkpoint)
    calls = []

    def train_or_stop(*args, **kwargs):
        calls.append(args)
        if len(calls) == 34:  # in the fourth round
            raise KeyboardInterrupt
        return make_model(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(client, "make_model", train_or_stop)
        with pytest.raises(KeyboardInterrupt):
            train(asked)
    assert Checkpoint.read(Path(checkpoint)).rounds_done == 3
    training = train(dataclasses.replace(asked, resume=True))
    assert figures(training) == figures(trained())


def test_rounds_can_be_added_but_not_taken_away(tmp_path):
    checkpoint = str(tmp_path / "state.npz")
    train(plan(rounds=2, checkpoint=checkpoint))
    kept = Path(checkpoint).read_bytes()
    with pytest.raises(InputError) as error:
        train(plan(rounds=1, checkpoint=checkpoint, resume=True))
    (problem,) = error.value.problems
    assert problem.place == "rounds"
    assert "2 rounds already" in problem.message
    assert Path(checkpoint).read_bytes() == kept
    training = train(plan(rounds=5, checkpoint=checkpoint, resume=True))
    assert figures(training) == figures(trained())


@pytest.fixture(scope="module")
def one_round(tmp_path_factory):
    path = tmp_path_factory.mktemp("begun") / "state.npz"
    train(plan(rounds=1, checkpoint=str(path)))
    return path.read_bytes()


@pytest.fixture
def begun(tmp_path, one_round):
    """The checkpoint of one round, that tests depart from."""
    path = tmp_path / "begun.npz"
    path.write_bytes(one_round)
    return path


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"seed": 1}, {"seed", "pledges"}),
        ({"data": "breast-cancer"}, {"data", "data_sha256", "pledges"}),
        ({"scheme": "wpr"}, {"scheme", "pledges"}),
        ({"learning_rate": 0.25}, {"learning_rate"}),
        ({"local_epochs": 2}, {"local_epochs"}),
        ({"batch_size": 16}, {"batch_size"}),
        ({"aggregation": "fedadam"}, {"aggregation"}),
        ({"aggregation": "fedprox", "proximal_mu": 0.5}, {"aggregation", "proximal_mu"}),
        ({"deadline": "off"}, {"deadline"}),
        ({"alpha": 0.7}, {"alpha"}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_training_is_not_continued(begun, settings, named):
    kept = begun.read_bytes()
    with pytest.raises(InputError) as error:
        train(plan(rounds=2, checkpoint=str(begun), resume=True, **settings))
    assert {problem.place for problem in error.value.problems} == {
        f"{begun}: {key}" for key in named
    }
    assert begun.read_bytes() == kept


def test_entries_of_somebody_else_are_not_continued(begun, tmp_path):
    state = Checkpoint.read(begun)
    path = tmp_path / "forged.npz"
    entries = [state.entries[0] | {"organization": "\x1b[2JMallory"}, *state.entries[1:]]
    dataclasses.replace(state, entries=entries).write(path)
    with pytest.raises(InputError, match=r"is not a checkpoint of this training: .*Mallory"):
        train(plan(rounds=2, checkpoint=str(path), resume=True))


def test_another_model_is_not_continued(begun, monkeypatch):
    from tradefl.federation import training as module

    # A model of a package of its own, with parameters of the same shape.
    monkeypatch.setattr(module, "make_model", lambda _, *a, **k: make_model("logistic", *a, **k))
    with pytest.raises(InputError) as error:
        train(plan(rounds=2, checkpoint=str(begun), resume=True, model="other", learning_rate=0.5))
    assert [problem.place for problem in error.value.problems] == [f"{begun}: model"]


def test_other_pledges_are_not_continued(begun):
    profile = solve(load(CONSORTIUM), "exact").profile
    other = dataclasses.replace(profile, data_fraction=profile.data_fraction * 0.5)
    with pytest.raises(InputError) as error:
        train(plan(rounds=2, checkpoint=str(begun), resume=True), profile=other)
    assert [problem.place for problem in error.value.problems] == [f"{begun}: pledges"]


def test_another_consortium_is_not_continued(begun, tmp_path):
    path = tmp_path / "consortium.toml"
    path.write_text(CONSORTIUM.read_text().replace('"drug-discovery"', '"another"'))
    with pytest.raises(InputError) as error:
        train(Plan(consortium=str(path), rounds=2, checkpoint=str(begun), resume=True))
    assert [problem.place for problem in error.value.problems] == [f"{begun}: consortium"]


def test_another_deadline_is_not_continued(begun, tmp_path):
    # The pledges are the same; who is late would not be.
    profile = solve(load(CONSORTIUM), "exact").profile
    shorter = with_deadline(tmp_path, 5500.0)
    with pytest.raises(InputError, match=str(begun)):
        train(
            Plan(consortium=shorter, rounds=2, checkpoint=str(begun), resume=True), profile=profile
        )


def test_the_consortiums_file_may_have_moved(begun, tmp_path):
    path, checkpoint = tmp_path / "moved.toml", tmp_path / "state.npz"
    path.write_text(CONSORTIUM.read_text())
    checkpoint.write_bytes(begun.read_bytes())
    training = train(Plan(consortium=str(path), checkpoint=str(checkpoint), resume=True))
    assert figures(training) == figures(trained())


def test_a_checkpoint_that_is_broken_or_missing_is_an_input_error(begun, tmp_path):
    path = tmp_path / "state.npz"
    asked = plan(rounds=2, checkpoint=str(path), resume=True)
    with pytest.raises(InputError, match="there is no checkpoint to resume from"):
        train(asked)
    path.write_bytes(begun.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"is not a (readable )?checkpoint"):
        train(asked)
    assert len(path.read_bytes()) == len(begun.read_bytes()) - 100


def test_a_node_is_told_nothing_that_the_others_keep_to_themselves():
    told = []
    curious = ContributingApp()

    @curious.train()
    def refuse(message, context):
        told.append(message.content)
        raise LookupError("no")

    results = []
    server = make_server_app(plan(rounds=1), done=results.append)
    run_in_process(server, curious, [{"organization": name} for name in NAMES], {})
    assert {entry.outcome for entry in results[0].ledger.entries} == {"rejected"}
    assert {entry.reason for entry in results[0].ledger.entries} == {
        "its app failed: LookupError: no"
    }
    assert len(told) == 10
    for content in told:
        assert set(content) == {"arrays", "config"}
        pledge = {key for key in content["config"] if key.startswith(PLEDGE)}
        assert {key.removeprefix(f"{PLEDGE}.") for key in pledge} == {
            "organization",
            "data-fraction",
            "cpu-hz",
            "samples-held",
            "samples-owed",
            "seed",
        }
        assert set(content["config"]) - pledge <= {
            "data",
            "classes",
            "inputs",
            "aggregation",
            "data-dir",
            "partition",
            "alpha",
            "organizations",
            "samples-held",
            "model",
            "width",
            "device",
            "local-epochs",
            "learning-rate",
            "batch-size",
            "server-round",
        }


# --- what a run may not overwrite, and what it says of itself -------------------------------------


def test_a_checkpoint_is_replaced_only_if_that_was_asked_for(begun, tmp_path):
    path = tmp_path / "state"
    path.write_bytes(begun.read_bytes())
    with pytest.raises(InputError, match="`resume` continues it, `overwrite` replaces it"):
        train(plan(rounds=1, checkpoint=str(path)))
    assert path.read_bytes() == begun.read_bytes()
    train(plan(rounds=1, checkpoint=str(path), overwrite=True))
    assert Checkpoint.read(path).rounds_done == 1


def test_places_are_tried_before_anybody_trains(tmp_path):
    for name in ("output", "checkpoint"):
        seen = []
        with pytest.raises(InputError, match="there is no such folder"):
            train(plan(**{name: str(tmp_path / "none" / "file")}), watch=seen.append)
        assert seen == []


def test_the_servers_part_is_not_in_the_reported_accuracy():
    training = trained()
    data = load_dataset("digits")
    assert training.validation_samples == math.ceil(0.1 * len(data.y_test))
    assert training.test_samples == len(data.y_test) - training.validation_samples
    for accuracy in training.accuracy:  # whole samples of the rest
        hits = accuracy * training.test_samples
        assert hits == pytest.approx(round(hits), abs=1e-9)
    kept, rest = split_test(data, 0.1, 0)
    assert sorted([*kept, *rest]) == list(range(len(data.y_test)))
    assert set(split_test(data, 0.1, 1)[0]) != set(kept)
    document = training.to_dict()
    assert document["validation"] == {"fraction": 0.1, "samples": training.validation_samples}
    assert document["diverged"] is None


def test_the_consortiums_file_says_how_updates_become_a_model(tmp_path):
    path = tmp_path / "agreed.toml"
    path.write_text(
        CONSORTIUM.read_text() + '\n[training]\naggregation = "fedmedian"\nclip_norm = 2.5\n'
    )
    agreed = train(Plan(consortium=str(path), rounds=2))
    assert agreed.plan.aggregation == "fedmedian"
    assert agreed.to_dict()["settings"]["clip_norm"] == 2.5
    assert agreed.to_dict()["aggregation_weights"] is None
    said = train(plan(rounds=2, aggregation="fedmedian", clip_norm=2.5))
    assert figures(agreed)[0] == figures(said)[0]
    other = train(Plan(consortium=str(path), rounds=2, aggregation="fedavg", clip_norm=0.0))
    assert figures(other)[0] == figures(train(plan(rounds=2)))[0]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"aggregation": "bulyan", "assumed_hostile": 2}, "bulyan bears 1 hostile"),
        ({"aggregation": "krum", "assumed_hostile": 4}, "krum bears 3 hostile"),
        ({"aggregation": "trimmed-mean", "assumed_hostile": 5}, "trimmed-mean bears 4 hostile"),
    ],
)
def test_a_strategy_is_not_asked_to_bear_more_than_it_can(settings, what):
    with pytest.raises(InputError, match=what):
        train(plan(rounds=1, **settings))


def test_clipping_shortens_the_long_steps_only():
    free = trained(rounds=1)
    longest = max(entry.distance for entry in free.ledger.entries)
    loose = train(plan(rounds=1, clip_norm=2 * longest))
    assert figures(loose)[3] == figures(free)[3]
    tight = train(plan(rounds=1, clip_norm=0.1 * longest))
    moved = np.sqrt(sum(float(np.sum(value**2)) for value in tight.parameters.values()))
    assert moved <= 0.1 * longest * (1 + 1e-5)  # from zero
    assert [entry.distance for entry in tight.ledger.entries] == [
        entry.distance
        for entry in free.ledger.entries  # what was sent, not what became of it
    ]
