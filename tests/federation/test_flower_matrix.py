"""Flower's own strategies, wrappers and mods: each works, or is refused before the first round."""

import numpy as np
import pytest
from flwr.app import Message, MetricRecord, RecordDict
from flwr.clientapp.mod import (
    LocalDpMod,
    adaptiveclipping_mod,
    arrays_size_mod,
    fixedclipping_mod,
    message_size_mod,
)
from flwr.serverapp import ServerApp
from flwr.serverapp import strategy as flower
from tests.federation.messages import NAMES, make_terms, record

from tradefl.federation import ContributingApp, TradeFL, pledge_of
from tradefl.federation.grid import run_in_process
from tradefl.federation.members import NobodyTakesPartError
from tradefl.federation.training import quiet

N = 7
COMMON = {"fraction_evaluate": 0.0, "min_train_nodes": 1, "min_available_nodes": 1}
WEIGHTED = {"FedAvg", "FedProx", "FedAvgM", "FedAdam", "FedYogi", "FedAdagrad", "Krum", "MultiKrum"}
STRATEGIES = {
    "FedAvg": {},
    "FedProx": {"proximal_mu": 0.1},
    "FedAvgM": {"server_momentum": 0.5},
    "FedAdam": {},
    "FedYogi": {},
    "FedAdagrad": {},
    "FedMedian": {},
    "FedTrimmedAvg": {"beta": 0.2},
    "Krum": {"num_malicious_nodes": 1},
    "MultiKrum": {"num_malicious_nodes": 1, "num_nodes_to_select": 3},
    "Bulyan": {"num_malicious_nodes": 1},
    "QFedAvg": {"client_learning_rate": 0.1, "train_loss_key": "loss"},
}
WRAPPERS = {
    "none": (None, None),
    "server fixed": (flower.DifferentialPrivacyServerSideFixedClipping, None),
    "server adaptive": (flower.DifferentialPrivacyServerSideAdaptiveClipping, None),
    "client fixed": (flower.DifferentialPrivacyClientSideFixedClipping, fixedclipping_mod),
    "client adaptive": (flower.DifferentialPrivacyClientSideAdaptiveClipping, adaptiveclipping_mod),
}


def strategy(name):
    return getattr(flower, name)(**COMMON, **STRATEGIES[name])


def wrapped(inner, wrapper, size=5.0):
    if wrapper is None:
        return inner
    norm = "clipping_norm" if "Fixed" in wrapper.__name__ else "initial_clipping_norm"
    return wrapper(inner, noise_multiplier=0.01, num_sampled_clients=N, **{norm: size})


def client(mods=()):
    app = ContributingApp(mods=list(mods))

    @app.train()
    def train(message, context):
        own = NAMES.index(pledge_of(message).organization)
        start = message.content["arrays"]["w"].numpy()
        goal = np.linspace(1, 2, start.size, dtype=np.float32) * (1 + own / 20)
        arrays = record({"w": start + np.float32(0.5) * (goal - start)})
        metrics = {"num-examples": pledge_of(message).samples_owed, "loss": 1.0}
        content = RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)})
        return Message(content, reply_to=message)

    return app


def train(inner, mods=(), rounds=2):
    made = []
    server = ServerApp()

    @server.main()
    def main(grid, context):
        own = TradeFL(inner, make_terms([8] * N, deadline=1e9), join_seconds=0.0)
        made.append(own)
        made.append(own.start(grid, record({"w": np.zeros(80, np.float32)}), num_rounds=rounds))

    configs = [{"organization": name} for name in NAMES[:N]]
    with quiet():
        run_in_process(server, client(mods), configs, {})
    return made


def outcomes(own):
    return {entry.outcome for entry in own.ledger.entries}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_in_every_wrapper_trains_and_credits_everybody(name, wrapper):
    kind, mod = WRAPPERS[wrapper]
    own, result = train(wrapped(strategy(name), kind), [] if mod is None else [mod])
    model = result.arrays["w"].numpy()
    assert model.dtype == np.float32
    assert 0.01 < float(np.linalg.norm(model)) < 30.0
    assert outcomes(own) <= {"aggregated", "excluded"}
    assert ("excluded" in outcomes(own)) == (name in ("Krum", "MultiKrum", "Bulyan"))
    for entry in own.ledger.measured():
        assert entry.measured_fraction == 1.0
        assert entry.rounds_credited == 2
        assert (entry.weight is not None) == (name in WEIGHTED)
    for number in (1, 2):
        inside = [e for e in own.ledger.of_round(number) if e.outcome == "aggregated"]
        assert all((e.weight is not None) == (name in WEIGHTED) for e in inside)
        if name in WEIGHTED:
            assert sum(e.weight for e in inside) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    "mod",
    [
        LocalDpMod(clipping_norm=5.0, sensitivity=0.001, epsilon=10.0, delta=1e-5),
        arrays_size_mod,
        message_size_mod,
    ],
    ids=["LocalDpMod", "arrays_size_mod", "message_size_mod"],
)
def test_mods_of_the_client_work_and_the_query_does_not_pass_through_them(mod):
    own, result = train(strategy("FedAvg"), [mod])
    assert own.refusals == []
    assert outcomes(own) == {"aggregated"}
    assert np.isfinite(result.arrays["w"].numpy()).all()


@pytest.mark.parametrize("wrapper", ["client fixed", "client adaptive"])
def test_what_a_client_clips_is_clipped(wrapper):
    kind, mod = WRAPPERS[wrapper]
    own, _ = train(wrapped(strategy("FedAvg"), kind, 0.5), [mod], rounds=1)
    assert all(entry.distance <= 0.5 * (1 + 1e-5) for entry in own.ledger.entries)
    free, _ = train(strategy("FedAvg"), rounds=1)
    assert all(entry.distance > 1.0 for entry in free.ledger.entries)


@pytest.mark.parametrize("name", ["fixedclipping_mod", "adaptiveclipping_mod"])
def test_a_clipping_mod_without_its_wrapper_is_refused_before_the_first_round(name):
    mod = {"fixedclipping_mod": fixedclipping_mod, "adaptiveclipping_mod": adaptiveclipping_mod}
    with pytest.raises(NobodyTakesPartError, match="no organization takes part") as error:
        train(strategy("FedAvg"), [mod[name]])
    assert f"its mod {name} works only with the server's DifferentialPrivacyCl" in str(error.value)


@pytest.mark.parametrize("wrapper", ["client fixed", "client adaptive"])
def test_a_wrapper_without_its_mod_is_refused_before_the_first_round(wrapper):
    kind, mod = WRAPPERS[wrapper]
    with pytest.raises(NobodyTakesPartError, match="no organization takes part") as error:
        train(wrapped(strategy("FedAvg"), kind))
    assert f"{kind.__name__} needs {mod.__name__} in the ClientApp's mods" in str(error.value)


@pytest.mark.parametrize("kind", [flower.FedXgbBagging, flower.FedXgbCyclic])
def test_strategies_that_average_no_models_are_refused(kind):
    with pytest.raises(ValueError, match=f"strategy: {kind.__name__} "):
        TradeFL(kind(), make_terms([8] * N))


def test_an_accountant_that_wants_equal_weights_is_refused():
    inner = wrapped(strategy("FedAvg"), WRAPPERS["server fixed"][0])
    inner.accountant = object()
    with pytest.raises(ValueError, match="requires equal weights"):
        TradeFL(inner, make_terms([8] * N))


def test_a_mod_that_fails_is_named():
    def clumsy_mod(message, context, call_next):
        raise ZeroDivisionError("of its own")

    own, _ = train(strategy("FedAvg"), [clumsy_mod], rounds=1)
    assert outcomes(own) == {"rejected"}
    for entry in own.ledger.entries:
        assert entry.reason == (
            "its app failed: RuntimeError: mod clumsy_mod: ZeroDivisionError: of its own"
        )


def test_a_mod_that_changes_the_number_of_arrays_is_one_line_and_the_others_train():
    def adding_mod(message, context, call_next):
        reply = call_next(message, context)
        if pledge_of(message).organization == "Beta":
            arrays = dict(reply.content["arrays"])
            reply.content["arrays"] = record({**arrays, "mask": np.zeros(3, np.float32)})
        return reply

    own, _ = train(strategy("FedAvg"), [adding_mod], rounds=2)
    beta = [entry for entry in own.ledger.entries if entry.organization == "Beta"]
    assert {entry.reason for entry in beta} == {
        "its arrays have other names than the model's: unknown 'mask'"
    }
    others = [entry for entry in own.ledger.entries if entry.organization != "Beta"]
    assert {entry.outcome for entry in others} == {"aggregated"}


def spoiling(change):
    """Return a mod that changes Beta's metrics."""

    def spoiling_mod(message, context, call_next):
        reply = call_next(message, context)
        if pledge_of(message).organization == "Beta":
            metrics = dict(next(iter(reply.content.metric_records.values())))
            for key, value in change.items():
                metrics.pop(key, None)
                if value is not None:
                    metrics[key] = value
            reply.content["metrics"] = MetricRecord(metrics)
        return reply

    return spoiling_mod


NAN = float("nan")


@pytest.mark.parametrize("value", [None, [1.0, 2.0], NAN, -1.0, 1e300], ids=str)
def test_a_bit_that_adaptive_clipping_needs_is_the_organizations_own_fault(value):
    kind, mod = WRAPPERS["client adaptive"]
    # The mod that is called last is the one next to the app: the bit is changed outside of it.
    mods = [spoiling({"norm_bit": value}), mod]
    own, result = train(wrapped(strategy("FedAvg"), kind), mods)
    for entry in own.ledger.entries:
        expected = "rejected" if entry.organization == "Beta" else "aggregated"
        assert entry.outcome == expected
        assert ("expected 0 to 1 as 'norm_bit', got" in entry.reason) == (expected == "rejected")
    assert float(np.linalg.norm(result.arrays["w"].numpy())) > 0.01


@pytest.mark.parametrize("value", [None, [1.0], NAN, float("inf"), -5.0], ids=str)
def test_a_loss_that_qfedavg_needs_is_the_organizations_own_fault(value):
    own, result = train(strategy("QFedAvg"), [spoiling({"loss": value})])
    for entry in own.ledger.entries:
        expected = "rejected" if entry.organization == "Beta" else "aggregated"
        assert entry.outcome == expected
        assert ("expected a number >= 0 as 'loss', got" in entry.reason) == (expected == "rejected")
    assert float(np.linalg.norm(result.arrays["w"].numpy())) > 0.01


@pytest.mark.parametrize(("value", "taken"), [(0.0, "0.1"), (1e300, "10")])
def test_a_loss_beyond_belief_neither_stops_nor_takes_over_qfedavg(value, taken):
    own, result = train(strategy("QFedAvg"), [spoiling({"loss": value})])
    honest, expected = train(strategy("QFedAvg"))
    assert outcomes(own) == outcomes(honest) == {"aggregated"}
    beta = [entry for entry in own.ledger.entries if entry.organization == "Beta"]
    assert all(
        entry.reason.endswith(f"the median of the round is 1; counts as {taken}") for entry in beta
    )
    model, usual = result.arrays["w"].numpy(), expected.arrays["w"].numpy()
    assert 0.4 < np.linalg.norm(model) / np.linalg.norm(usual) < 2.0


def test_a_model_that_cannot_be_averaged_is_refused_before_the_first_round():
    server, asked = ServerApp(), []

    @server.main()
    def main(grid, context):
        own = TradeFL(strategy("FedAvg"), make_terms([8] * N, deadline=1e9), join_seconds=0.0)
        asked.append(own)
        own.start(grid, record({"w": np.zeros(4, np.float32), "e": np.zeros(2, bool)}))

    configs = [{"organization": name} for name in NAMES[:N]]
    with quiet(), pytest.raises(ValueError, match="initial_arrays: array 'e' holds bool"):
        run_in_process(server, client(), configs, {})
    assert asked[0].ledger.entries == []


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "QFedAvg"])
def test_counters_stay_whole(name):
    app = ContributingApp()

    @app.train()
    def counting(message, context):
        own = NAMES.index(pledge_of(message).organization)
        start = message.content["arrays"]
        arrays = {
            "w": start["w"].numpy() + np.float32(0.1 * (own + 1)),
            "steps": start["steps"].numpy() + own + 1,
        }
        metrics = MetricRecord({"num-examples": pledge_of(message).samples_owed, "loss": 1.0})
        content = RecordDict({"arrays": record(arrays), "metrics": metrics})
        return Message(content, reply_to=message)

    server, results = ServerApp(), []

    @server.main()
    def main(grid, context):
        own = TradeFL(strategy(name), make_terms([8] * N, deadline=1e9), join_seconds=0.0)
        model = record({"w": np.zeros(80, np.float32), "steps": np.array(3, np.int64)})
        results.append(own.start(grid, model, num_rounds=2).arrays)

    with quiet():
        run_in_process(server, app, [{"organization": entry} for entry in NAMES[:N]], {})
    [arrays] = results
    assert arrays["steps"].dtype == "int64"
    assert arrays["w"].dtype == "float32"


def test_an_app_that_exits_ends_nobody_elses_training():
    def leaving_mod(message, context, call_next):
        if pledge_of(message).organization == "Beta":
            raise SystemExit(3)
        return call_next(message, context)

    own, _ = train(strategy("FedAvg"), [leaving_mod])
    for entry in own.ledger.entries:
        assert (entry.outcome == "rejected") == (entry.organization == "Beta")
    assert "SystemExit" in own.ledger.entries[1].reason


def test_bulyan_with_too_few_replies_aggregates_nothing_and_charges_nobody():
    own, result = train(flower.Bulyan(**COMMON, num_malicious_nodes=2), rounds=1)
    assert outcomes(own) == {"rolled back"}
    assert len(result.arrays) == 0
    assert all(entry.measured_fraction == 1.0 for entry in own.ledger.measured())
