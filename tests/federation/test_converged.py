"""Honest organizations among others that have converged: neither accused nor unpaid."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from tests.federation.honest import CASES
from tests.federation.hostile import CONSORTIUM, NAMES, Hostile, attacked

from tradefl.federation import Plan, make_server_app
from tradefl.federation.client import pledge_of
from tradefl.federation.grid import quiet, run_in_process
from tradefl.federation.pledge import PROFILE_QUERY
from tradefl.federation.validation import may_be_fitted

ROUNDS = 7


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three classes far apart: nine organizations hold two of them, Kappa alone the third."""
    root, rng = tmp_path_factory.mktemp("apart"), np.random.default_rng(0)
    centres = 3.0 * rng.normal(size=(3, 8))

    def samples(n, classes):
        labels = rng.choice(classes, n)
        return (centres[labels] + 0.3 * rng.normal(size=(n, 8))).astype(np.float32), labels

    x_test, y_test = samples(400, [0, 1, 2])
    found = {}
    for name in ("server", *NAMES):
        held = {"server": [0, 1, 2], "Kappa": [2]}.get(name, [0, 1])
        x, y = samples(200, held)
        (root / name).mkdir()
        np.savez(root / name / "assays.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
        found[name] = str(root / name)
    return found


class Late(Hostile):
    """Kappa's app fails in the first rounds; everybody is honest."""

    def __init__(self, rounds):
        super().__init__("unchanged", ())
        self.rounds = rounds

    def __call__(self, message, context):
        if message.metadata.message_type != PROFILE_QUERY:
            number = message.content["config"]["server-round"]
            if pledge_of(message).organization == "Kappa" and number <= self.rounds:
                raise RuntimeError("not there yet")
        return super().__call__(message, context)


def trained(folders, late=0, section="", tmp_path=None, hostile=None, **settings):
    consortium = CONSORTIUM
    if section:
        consortium = tmp_path / "apart.toml"
        consortium.write_text(f"{CONSORTIUM.read_text()}\n[training]\n{section}\n")
    results = []
    plan = Plan(
        consortium=str(consortium),
        data="assays",
        data_dir=folders["server"],
        partition="own",
        rounds=ROUNDS,
        **settings,
    )
    nodes = [{"organization": name, "data-dir": folders[name]} for name in NAMES]
    with quiet():
        run_in_process(make_server_app(plan, done=results.append), hostile or Late(late), nodes, {})
    return results[0]


def kappas(training, first=1):
    return [e for e in training.ledger.entries if e.organization == "Kappa" and e.round >= first]


@pytest.mark.parametrize("aggregation", ["fedavg", "fedadam"])
@pytest.mark.parametrize("late", [0, 3])
@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0])
def test_what_the_model_lacks_is_never_attributed(folders, rate, late, aggregation):
    training = trained(folders, late, learning_rate=rate, aggregation=aggregation)
    for entry in kappas(training, late + 1):
        assert entry.outcome in ("aggregated", "rolled back"), entry.reason
        assert entry.verdict != "attributed"
        assert all(flag.confidence != "certain" for flag in entry.flags)
    assert all(
        entry.verdict == "" for entry in training.ledger.entries if entry.organization != "Kappa"
    )
    if aggregation == "fedavg" and rate == 1.0:
        # The evidence of the fault: the accuracy stayed at 0.64 for ever.
        assert training.accuracy[-1] > 0.99
        steps = [entry.distance for entry in training.ledger.of_round(late + 2)]
        assert steps[-1] > 1000.0 * np.median(steps)


@pytest.mark.parametrize("flag", ["unchanged", "outlier"])
def test_a_learned_class_and_a_late_one_are_paid_whatever_flags_are_not(folders, flag, tmp_path):
    section = f'unpaid_flags = ["{flag}"]'
    rate = {"unchanged": 10.0, "outlier": 1.0}[flag]
    training = trained(folders, section=section, tmp_path=tmp_path, learning_rate=rate)
    found = [entry for entry in kappas(training) for entry in entry.flags if entry.kind == flag]
    assert found  # otherwise nothing is tried
    assert {log_.confidence for log_ in found} == {"possible"}
    assert all(entry.credited for entry in kappas(training))
    if flag == "unchanged":
        assert all(entry.verdict == "" for entry in kappas(training))
        assert "so is honest training on a class" in found[0].detail


def test_numbers_beyond_any_training_are_attributed_although_the_loss_falls(folders):
    """Kappa trains, and adds to every class alike what swallows single precision."""

    def shifted(trained, sent, rng):
        huge = {key: np.float32(1e12) * np.ones_like(value) for key, value in trained.items()}
        return {key: trained[key] + huge[key] for key in trained}

    hostile = Hostile(shifted, ["Kappa"])
    training = trained(folders, hostile=hostile, learning_rate=1.0)
    assert {entry.outcome for entry in kappas(training)} == {"rejected"}
    assert {entry.verdict for entry in kappas(training)} == {"attributed"}
    [kind] = {flag.confidence for entry in kappas(training) for flag in entry.flags}
    assert kind == "certain"


def test_who_alone_answers_with_numbers_that_are_not_finite_is_not_excused(folders):
    """The others fail; the server's own training from this model is finite."""

    class Alone(Late):
        def __call__(self, message, context):
            asked = message.metadata.message_type != PROFILE_QUERY
            if asked and pledge_of(message).organization != "Kappa":
                raise RuntimeError("out of memory")
            reply = super().__call__(message, context)
            if asked:
                arrays = {
                    k: v.numpy() * np.float32("nan") for k, v in reply.content["arrays"].items()
                }
                reply.content["arrays"] = ArrayRecord({k: Array(v) for k, v in arrays.items()})
            return reply

    training = trained(folders, hostile=Alone(0))
    assert {entry.outcome for entry in kappas(training)} == {"rejected"}
    assert training.ledger.measured()[-1].measured_fraction == 0.0


@pytest.mark.parametrize("move", [lambda value: np.nextafter(value, np.float32(2.0)), lambda v: v])
def test_a_free_rider_that_moves_by_rounding_alone_is_flagged(move):
    def still(trained, sent, rng):
        return {key: move(value) for key, value in sent.items()}

    training = attacked(still, ["Kappa"], rounds=2)
    for entry in kappas(training):
        [flag] = entry.flags
        assert flag.kind == "unchanged"
        assert entry.verdict == "suspicious"
    assert all(
        not entry.flags for entry in training.ledger.entries if entry.organization != "Kappa"
    )


@pytest.mark.parametrize(
    ("learned", "samples", "fitted"),
    [
        ([0.0, 1.0], 10_000, True),  # a class that is learned as a whole
        ([0.5, 0.1], 1, True),
        ([0.5, 0.1], 9, True),
        ([0.5, 0.1], 10, False),
        ([0.95], 134, True),
        ([0.95], 135, False),
        ([0.0, 0.0], 1, False),
        ([], 1, False),
    ],
)
def test_samples_that_may_all_be_learned(learned, samples, fitted):
    assert may_be_fitted(np.array(learned), samples) == fitted


def test_an_organization_of_one_learned_sample_is_not_suspected():
    # Of the 200 honest runs the one in which it was.
    [case] = [
        case
        for case in CASES
        if (case["data"], case["partition"], case["alpha"], case["aggregation"], case["seed"])
        == ("breast-cancer", "dirichlet", 0.2, "fedadam", 1)
    ]
    pytest.importorskip("flwr_datasets")
    training = attacked("unchanged", (), rounds=5, **case)
    [delta] = [entry for entry in training.ledger.of_round(5) if entry.organization == "Delta"]
    assert (delta.samples_used, delta.verdict, delta.outcome) == (1, "", "aggregated")
    assert [(flag.kind, flag.confidence) for flag in delta.flags] == [("unchanged", "possible")]
