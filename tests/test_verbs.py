"""The verbs: all of them on a consortium that was built from arrays, without a file."""

import ast
import inspect
import re
import typing

import numpy as np
import pytest

import tradefl
from tradefl import Consortium, CoopetitionGame, Dataset, InputError, Plan, SqrtLoss
from tradefl.settlement.settling import audited

VERBS = (
    *("load", "solve", "tune", "design", "compare", "train", "settle", "audit"),
    *("negotiate", "report", "run", "stability", "replan"),
)
PLAN = Plan(rounds=1)


def three():
    return CoopetitionGame(
        profitability=[1200.0, 900.0, 700.0],
        data_bits=[4e9, 3e9, 2e9],
        cycles_per_bit=2.0 * np.ones(3),
        cpu_levels_hz=[1e9, 2e9],
        competition=[[0.0, 0.1, 0.05], [0.1, 0.0, 0.08], [0.05, 0.08, 0.0]],
        accuracy=SqrtLoss(epochs=5, untrained_loss=0.79),
        data_units=[40.0, 30.0, 20.0],
        incentive_intensity=5e-9,
        compute_weight=1.6,
        overhead_weight=1e-4,
        deadline_seconds=100.0,
        names=["Alpha", "Beta", "Gamma"],
        title="three",
    )


@pytest.fixture(scope="module")
def consortium():
    return Consortium.from_game(three(), name="of arrays", samples=[400, 300, 200])


@pytest.fixture(scope="module")
def solution(consortium):
    return tradefl.solve(consortium)


@pytest.fixture(scope="module")
def training(consortium, solution):
    return tradefl.train(consortium, solution, PLAN)


@pytest.fixture(scope="module")
def settlement(consortium, solution):
    return tradefl.settle(consortium, solution)


def test_load_what_was_written(consortium, tmp_path):
    path = tmp_path / "of_arrays.toml"
    tradefl.write(consortium, path)
    assert tradefl.load(path) == consortium


def test_solve(consortium, solution):
    assert solution.status == "optimal"
    np.testing.assert_allclose(tradefl.solve(three()).payoffs, solution.payoffs, rtol=1e-12)


def test_tune(consortium):
    tuned, of_game = tradefl.tune(consortium), tradefl.tune(three())
    assert tuned.best is not None
    assert tuned.best.social_welfare == pytest.approx(of_game.best.social_welfare, rel=1e-12)


def test_design_and_compare(consortium):
    found = tradefl.design(consortium, random_starts=0)
    assert found.verified()
    designed = consortium.designed(found.rule, found.target)
    efficient = tradefl.compare(designed).outcomes[-1]
    assert efficient.title == "the efficient rule of the file"
    assert efficient.solution.social_welfare == pytest.approx(found.agreed.social_welfare)
    assert tradefl.compare(three()).outcomes[-1].losers == 0


def test_train(consortium, training):
    assert training.contributed
    assert training.consortium is consortium
    assert [measured.name for measured in training.ledger.measured()] == ["Alpha", "Beta", "Gamma"]


def test_settle_and_audit(settlement):
    assert settlement.settled
    assert settlement.audit.agrees
    assert tradefl.audit(settlement).to_dict() == settlement.audit.to_dict()
    paid = [int(place["redistribution_wei"]) for place in settlement.to_dict()["organizations"]]
    assert sum(paid) == 0
    assert any(paid)


def test_settle_what_training_measured(consortium, training):
    of_training = tradefl.settle(consortium, training)
    of_document = tradefl.settle(consortium, training.to_dict())
    assert of_training.audit.redistribution == of_document.audit.redistribution
    assert of_training.audit.reports == of_document.audit.reports


def test_an_audit_of_a_consortium_is_a_rehearsal():
    assert tradefl.audit(three()).agrees


def test_negotiate(consortium, solution):
    negotiation = tradefl.negotiate(consortium)
    assert negotiation.is_equilibrium
    assert negotiation.shortfall == ""
    np.testing.assert_allclose(negotiation.payoffs, solution.payoffs, rtol=1e-6)
    assert tradefl.settle(consortium, negotiation).audit.agrees


def test_report(consortium, solution, training, settlement, tmp_path):
    page = tradefl.report(consortium, solution, training=training, settlement=settlement)
    assert page.lower().startswith("<!doctype html>")
    assert "of arrays" in page
    assert settlement.settlement.contract in page
    documents = tradefl.report(
        consortium, solution, training=training.to_dict(), settlement=settlement.to_dict()
    )
    assert documents == page


def test_run(consortium, solution, tmp_path):
    done = tradefl.run(consortium, PLAN)
    assert done.agrees
    assert done.solution.payoffs.tolist() == solution.payoffs.tolist()
    folder = done.write(tmp_path / "results")
    names = {"solution.json", "training.json", "settlement.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert "of arrays" in done.write_report(folder).read_text("utf-8")


def test_a_worthless_training_is_not_settled(consortium):
    done = tradefl.run(consortium, Plan(rounds=1, learning_rate=3e38))
    assert done.training.diverged
    assert done.settlement is None
    assert not done.agrees
    assert done.to_dict()["settlement"] is None


def test_data_and_model_may_be_objects(consortium, solution):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(90, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    dataset = Dataset.checked("own", (x[:60], y[:60]), (x[60:], y[60:]), place="own")

    class Blind:
        """Guesses the same class for everything."""

        name = "blind"

        def __init__(self, *_factory):
            pass

        def initial(self, _seed):
            return {"weight": np.zeros(2, dtype=np.float32)}

        def train(self, parameters, _x, y, _how):
            return {"weight": parameters["weight"] + len(y)}, 0.5

        def evaluate(self, _parameters, _x, y):
            return 0.5, float(np.mean(y == 0))

    logistic = tradefl.train(consortium, solution, PLAN, dataset=dataset)
    assert (logistic.plan.data, logistic.plan.model) == ("own", "logistic")
    assert logistic.accuracy[-1] > 0.6
    # Another data set of the same name is another.
    other = Dataset.checked("own", (x[:60], 1 - y[:60]), (x[60:], y[60:]), place="own")
    assert tradefl.train(consortium, solution, PLAN, dataset=other).accuracy[-1] < 0.4
    blind = tradefl.train(consortium, solution, PLAN, dataset=dataset, model=Blind())
    assert blind.plan.model == "blind"
    assert blind.to_dict()["settings"]["model"] == "blind"
    made = tradefl.train(consortium, solution, PLAN, dataset=dataset, model=lambda *_: Blind())
    assert made.accuracy == blind.accuracy
    assert tradefl.train(consortium, solution, PLAN, dataset=dataset, model=Blind).accuracy == (
        blind.accuracy
    )
    with pytest.raises(InputError, match=r"^backend: expected one of in-process, ray, got 'gpu'"):
        tradefl.train(consortium, solution, PLAN, backend="gpu")
    with pytest.raises(InputError, match=r"^aggregation: expected one of fedavg, "):
        Plan(aggregation="mean")
    with pytest.raises(InputError, match="dataset: an object cannot travel to workers"):
        tradefl.train(consortium, solution, PLAN, dataset=dataset, backend="ray")


def of_a_frame():
    game = three()
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "name": game.names,
            "samples": [400, 300, 200],
            "profitability": game.profitability,
            "data_bits": game.data_bits,
            "cycles_per_bit": game.cycles_per_bit,
            "cpu_levels_hz": ["1e9; 2e9"] * 3,
            "download_seconds": [0.0] * 3,
            "upload_seconds": [0.0] * 3,
        }
    )
    return Consortium.from_frame(
        frame,
        name="of a frame",
        accuracy=game.accuracy,
        competition=game.competition.matrix,
        measure="samples",
        unit=10.0,
        **{
            name: getattr(game, name)
            for name in (
                *("incentive_intensity", "compute_weight", "overhead_weight"),
                "deadline_seconds",
            )
        },
    )


def test_all_verbs_in_a_row_on_a_consortium_of_a_data_frame(tmp_path):
    built = of_a_frame()
    tradefl.write(built, tmp_path / "x.toml")
    consortium = tradefl.load(tmp_path / "x.toml")
    assert consortium == built
    solution = tradefl.solve(consortium)
    np.testing.assert_allclose(solution.payoffs, tradefl.solve(three()).payoffs, rtol=1e-9)
    assert solution.statement("Beta").payoff == solution.payoffs[1]
    tuning = tradefl.tune(consortium, points=5)
    found = tradefl.design(consortium, random_starts=0)
    comparison = tradefl.compare(consortium, rule=found.rule, tuning=tuning)
    assert comparison.outcomes[-1].losers == 0
    training = tradefl.train(consortium, solution, PLAN)
    settlement = tradefl.settle(consortium, training)
    assert tradefl.audit(settlement).agrees
    negotiation = tradefl.negotiate(consortium)
    np.testing.assert_allclose(negotiation.payoffs, solution.payoffs, rtol=1e-6)
    stability = tradefl.stability(consortium)
    np.testing.assert_allclose(stability.payoff, solution.payoffs, rtol=1e-9)
    misreports = tradefl.incentives(
        consortium, points=2, figures=["profitability"], all_rules=False
    )
    (found_misreports,) = misreports.rules.values()
    assert {row.organization for row in found_misreports} == {0, 1, 2}
    changed = tradefl.replan(consortium, consortium, random_starts=0)
    assert {change.name for change in changed.changes} == set(consortium.names)
    many = tradefl.solve_many([consortium.game] * 2)
    np.testing.assert_allclose(many.payoffs[1], solution.payoffs, rtol=1e-9)
    page = tradefl.report(
        consortium, solution, tuning=tuning, comparison=comparison, training=training,
        settlement=settlement, stability=stability, incentives=misreports,
    )  # fmt: skip
    assert "of a frame" in page
    assert tradefl.run(consortium, PLAN).agrees


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, r"got \{\}"),
        (None, "got None"),
        ({"w": [0.0, 1.0]}, "'w' is a list"),
        ({"w": np.zeros(2, dtype=bool)}, "'w' holds bool"),
        ({"w": np.zeros(2, dtype=complex)}, "'w' holds complex128"),
        ({"w": np.array([0.0, np.nan])}, "'w' holds a number that is not finite"),
    ],
)
def test_a_model_without_usable_parameters_trains_nothing(
    consortium, solution, parameters, message
):
    class Broken:
        def initial(self, _seed):
            return parameters

        def evaluate(self, *_):
            return 0.5, 0.5

    with pytest.raises(InputError, match=rf"^model: expected initial\(seed\) to return.*{message}"):
        tradefl.train(consortium, solution, PLAN, model=Broken())


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("load", "report")])
def test_what_is_neither_a_consortium_nor_a_game(verb):
    with pytest.raises(
        TypeError, match=r"^\w+: expected a Consortium or a CoopetitionGame.*, got 'examples"
    ):
        getattr(tradefl, verb)(*["examples/paper.toml"] * (2 if verb == "replan" else 1))


def test_an_option_of_another_method(consortium):
    with pytest.raises(ValueError, match="order: is not an option of method exact"):
        tradefl.solve(consortium, order="random")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"contract": "0x" + "1" * 40}, "contract: requires `rpc`"),
        ({"keystore": "keys"}, "keystore: requires `rpc`"),
        ({"rpc": "http://127.0.0.1:1", "contract": "0x12"}, "contract: expected 0x and 40 hexa"),
        ({"rpc": "http://127.0.0.1:1", "payout": "0x" + "0" * 40}, "payout: expected 0x and 40"),
        ({"method": "wpr", "profile": {"organizations": 5}}, "profile: expected a solution or"),
    ],
)
def test_bad_parameters_of_a_settlement(consortium, parameters, message):
    with pytest.raises(InputError, match=message):
        tradefl.settle(consortium, **parameters)


def test_a_profile_of_another_size(consortium, solution):
    profile = tradefl.StrategyProfile(np.ones(2), np.full(2, 1e9))
    with pytest.raises(InputError, match="profile: expected 3 organizations, got 2"):
        tradefl.settle(consortium, profile)


def test_an_audit_needs_a_chain_or_a_consortium():
    with pytest.raises(InputError, match="rpc: is needed"):
        tradefl.audit()
    with pytest.raises(InputError, match="contract: is needed"):
        tradefl.audit(rpc="http://127.0.0.1:1")


# --- one list, fully typed -----------------------------------------------------------------------


def imported_for_type_checkers():
    tree = ast.parse(inspect.getsource(inspect.getmodule(tradefl._Package)))
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        alias.name: node.module.removeprefix("tradefl.")
        for node in block.body
        for alias in node.names
        if alias.asname == alias.name
    }


def test_type_checkers_see_the_names_of_the_one_list():
    assert imported_for_type_checkers() == tradefl._HOME
    assert set(VERBS) <= set(tradefl.__all__)


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_real_parameters(verb):
    signature = inspect.signature(getattr(tradefl, verb))
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.annotation not in ("Any", typing.Any)
    assert inspect.getdoc(getattr(tradefl, verb)).count("Parameters\n") == 1


def test_solve_knows_every_option_of_every_method():
    from tradefl.solvers import METHODS, options_of

    known = {name for method in METHODS for name in options_of(method)}
    assert known == set(inspect.signature(tradefl.solve).parameters) - {"game", "method"}


def test_the_names_of_rooms_are_verbs():
    import sys

    import tradefl.design
    import tradefl.report.frames

    for name in ("design", "report", "sweep"):
        assert getattr(tradefl, name) is getattr(sys.modules[f"tradefl.{name}"], name)
    from tradefl.report import frames

    assert frames is sys.modules["tradefl.report.frames"]


def test_one_sequence_settles_and_audits(consortium, solution):
    from tradefl.settlement.accounts import embedded

    parties = embedded(consortium)
    reports = parties.agreement.reports(solution.profile)
    begun = parties.settlement(dict(zip(parties.agreement.addresses, reports, strict=True)))
    steps = []
    done = audited(begun, parties, notes=["known"], watch=steps.append)
    assert done.audit.agrees
    assert done.notes[0] == "known"
    assert {step.step.call for step in steps} >= {"depositSubmit", "withdraw"}


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        ("design", {"wei_per_payoff": 0}, "wei_per_payoff: expected an integer >= 1, got 0"),
        ("design", {"wei_per_payoff": 1.5}, "wei_per_payoff: expected an integer >= 1, got 1.5"),
        ("settle", {"confirmations": -1}, "confirmations: expected an integer >= 0, got -1"),
        ("settle", {"first_block": -1}, "first_block: expected an integer >= 0, got -1"),
        ("settle", {"timeout": 0.0}, "timeout: expected a number > 0, got 0.0"),
        ("audit", {"first_block": -1}, "first_block: expected an integer >= 0, got -1"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name_before_any_work(verb, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(tradefl, verb)(three(), **options)


def test_what_has_no_ranges_and_what_is_no_plan_are_refused_by_name():
    with pytest.raises(TypeError, match="consortium: expected a Consortium, got CoopetitionGame"):
        tradefl.sensitivity(three())
    with pytest.raises(TypeError, match="plan: expected a Plan, got dict"):
        tradefl.train(three(), plan={"rounds": 1})
