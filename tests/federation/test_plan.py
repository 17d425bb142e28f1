"""The plan: as Flower's run config and back, and what is refused."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import examples

from tradefl.errors import InputError
from tradefl.federation import Plan
from tradefl.federation.plan import AGGREGATIONS, PARTITIONS, TORCH_LEARNING_RATE
from tradefl.federation.terms import DEADLINES
from tradefl.solvers import METHODS

OTHER = {
    "consortium": "c.toml",
    "scheme": "wpr",
    "data": "breast-cancer",
    "data_dir": "/some/where",
    "partition": "dirichlet",
    "alpha": 0.25,
    "model": "cnn",
    "width": 0.5,
    "device": "cuda:1",
    "rounds": 7,
    "local_epochs": 3,
    "learning_rate": 0.125,
    "batch_size": 8,
    "aggregation": "fedprox",
    "clip_norm": 2.5,
    "assumed_hostile": 2,
    "validation_fraction": 0.25,
    "proximal_mu": 0.75,
    "deadline": "wall",
    "seed": 12,
    "join_seconds": 5.5,
    "round_seconds": 60.5,
    "output": "o.json",
    "checkpoint": "c.npz",
    "resume": True,
    "overwrite": True,
    "allow_unregistered": True,
    "allow_other_code": True,
    "keys": "keys",
}
FREE = {
    "data_dir",
    "rounds",
    "join_seconds",
    "round_seconds",
    "output",
    "checkpoint",
    "resume",
    "overwrite",
    "keys",
    "device",
}


def places(error):
    return [problem.place for problem in error.value.problems]


# --- as a run config ----------------------------------------------------------------------------


def test_every_field_survives_the_run_config():
    assert set(OTHER) == {field.name for field in dataclasses.fields(Plan)}
    default, other = Plan(consortium="x"), Plan(**OTHER)
    assert all(getattr(default, key) != value for key, value in OTHER.items())
    config = other.to_run_config()
    assert config["data-dir"] == "/some/where"
    assert Plan.from_run_config(config) == other
    assert Plan.from_run_config(default.to_run_config()) == default
    # What Flower's run config can hold.
    assert {type(value) for value in config.values()} <= {str, int, float, bool}
    assert not any("_" in key for key in config)


@examples(50)
@given(
    chosen=st.fixed_dictionaries(
        {},
        optional={
            "scheme": st.sampled_from(sorted(METHODS)),
            "partition": st.sampled_from(PARTITIONS),
            "aggregation": st.sampled_from(AGGREGATIONS),
            "deadline": st.sampled_from(DEADLINES),
            "alpha": st.floats(1e-9, 1e9),
            "seed": st.integers(0, 2**63 - 1),
            "rounds": st.integers(1, 10**6),
            "data": st.text(min_size=1),
        },
    )
)
def test_any_plan_survives_the_run_config(chosen):
    plan = Plan(consortium="c.toml", **chosen)
    assert Plan.from_run_config(json.loads(json.dumps(plan.to_run_config()))) == plan


def test_what_the_run_config_does_not_say_is_the_default():
    assert Plan.from_run_config({"consortium": "c.toml"}) == Plan(consortium="c.toml")
    # TOML writes a round number without a point.
    plan = Plan.from_run_config({"consortium": "c", "width": 2, "round-seconds": 60})
    assert (plan.width, type(plan.width)) == (2.0, float)
    assert (plan.round_seconds, type(plan.round_seconds)) == (60.0, float)


def test_unknown_keys_are_named_with_what_was_meant():
    with pytest.raises(InputError) as error:
        Plan.from_run_config({"consortium": "c", "round": 3, "zzz": 1, "local-epoch": 2})
    told = {problem.place: problem.message for problem in error.value.problems}
    assert told == {
        "run config: round": "unknown key (did you mean 'rounds'?)",
        "run config: zzz": "unknown key",
        "run config: local-epoch": "unknown key (did you mean 'local-epochs'?)",
    }


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("rounds", "5", "int"),
        ("rounds", 5.0, "int"),
        ("rounds", True, "int"),
        ("alpha", "0.5", "float"),
        ("alpha", True, "float"),
        ("resume", 1, "bool"),
        ("resume", "true", "bool"),
        ("model", 5, "str"),
        ("seed", None, "int"),
    ],
)
def test_a_value_of_another_kind_is_refused(key, value, kind):
    with pytest.raises(InputError) as error:
        Plan.from_run_config({"consortium": "c", key: value})
    (problem,) = error.value.problems
    assert problem.place == f"run config: {key}"
    assert problem.message == f"expected {kind}, got {value!r}"


@pytest.mark.parametrize("config", [{}, {"consortium": ""}, {"rounds": 3}])
def test_a_run_config_without_a_consortium_is_refused(config):
    with pytest.raises(InputError) as error:
        Plan.from_run_config(config)
    assert places(error) == ["run config: consortium"]


def test_all_that_is_wrong_with_a_run_config_is_told_at_once():
    with pytest.raises(InputError) as error:
        Plan.from_run_config({"rounds": "5", "nonsense": 1, "resume": 3})
    assert sorted(places(error)) == [
        "run config: consortium",
        "run config: nonsense",
        "run config: resume",
        "run config: rounds",
    ]


# --- values that cannot be meant ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("rounds", [0, -1, 1_000_001]),
        ("local_epochs", [0]),
        ("batch_size", [0]),
        ("alpha", [0.0, -1.0, math.nan, math.inf]),
        ("width", [0.0, math.nan, math.inf]),
        ("round_seconds", [0.0, -1.0, math.nan]),
        ("learning_rate", [-0.1, math.nan, math.inf]),
        ("proximal_mu", [-0.1, math.nan, math.inf]),
        ("join_seconds", [-0.1, math.nan]),
        ("seed", [-1, 2**63]),
        ("scheme", ["dbrr", ""]),
        ("partition", ["iidd", ""]),
        ("aggregation", ["fedavgg", "median"]),
        ("clip_norm", [-0.1, math.nan, math.inf]),
        ("assumed_hostile", [0, -2, 1.5]),
        ("validation_fraction", [-0.1, 1.0, math.nan]),
        ("deadline", ["modell", "none"]),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_option(field, values):
    for value in values:
        with pytest.raises(InputError) as error:
            Plan(consortium="c", **{field: value})
        (problem,) = error.value.problems
        assert problem.place == field
        assert problem.message.endswith(f"got {value!r}")


@pytest.mark.parametrize("field", ["rounds", "local_epochs", "batch_size", "seed"])
def test_half_a_round_is_no_round(field):
    with pytest.raises(InputError) as error:
        Plan(consortium="c", **{field: 2.5})
    assert places(error) == [field]


def test_the_limits_themselves_are_allowed():
    Plan(consortium="c", rounds=1, local_epochs=1, batch_size=1, seed=0, join_seconds=0.0)
    Plan(consortium="c", rounds=1_000_000, seed=2**63 - 1, learning_rate=0.0, proximal_mu=0.0)


def test_a_name_that_is_close_is_suggested():
    with pytest.raises(InputError, match=r"did you mean 'fedprox'\?"):
        Plan(consortium="c", aggregation="fedprx")


def test_all_bad_values_are_told_at_once():
    bad = {
        "scheme": "x",
        "partition": "x",
        "aggregation": "x",
        "deadline": "x",
        "rounds": 0,
        "local_epochs": 0,
        "batch_size": -3,
        "alpha": 0.0,
        "width": -1.0,
        "round_seconds": math.nan,
        "learning_rate": -1.0,
        "proximal_mu": math.inf,
        "join_seconds": -2.0,
        "seed": -1,
        "resume": True,
    }
    with pytest.raises(InputError) as error:
        Plan(consortium="c", **bad)
    assert sorted(places(error)) == sorted(bad)


def test_to_resume_there_must_be_a_checkpoint():
    with pytest.raises(InputError) as error:
        Plan(consortium="c", resume=True)
    assert places(error) == ["resume"]
    assert Plan(consortium="c", resume=True, checkpoint="state.npz").resume


# --- what follows -------------------------------------------------------------------------------


def test_the_learning_rate_is_the_models_unless_told():
    assert Plan(consortium="c").rate == 0.5
    assert Plan(consortium="c", model="cnn").rate == TORCH_LEARNING_RATE
    assert Plan(consortium="c", model="somebody-elses").rate == TORCH_LEARNING_RATE
    assert 0.0 < TORCH_LEARNING_RATE < 0.5
    assert Plan(consortium="c", learning_rate=0.3).rate == 0.3


@pytest.mark.parametrize(
    ("scheme", "deadline", "rule"),
    [
        ("dbr", "", "model"),
        ("wpr", "", "model"),
        ("tos", "", "off"),
        ("tos", "model", "model"),
        ("tos", "wall", "wall"),
        ("dbr", "off", "off"),
        ("dbr", "wall", "wall"),
    ],
)
def test_only_tos_ignores_the_deadline_unless_told(scheme, deadline, rule):
    assert Plan(consortium="c", scheme=scheme, deadline=deadline).rule == rule


def test_the_folder_of_the_data():
    assert Plan(consortium="c").folder is None
    assert Plan(consortium="c", data_dir="x/y").folder == Path("x/y")


@pytest.mark.parametrize("field", sorted(set(OTHER) - {"consortium"}))
def test_what_a_checkpoint_must_agree_with(field):
    base = Plan(consortium="a", checkpoint="z", resume=False)
    changed = dataclasses.replace(base, **{field: OTHER[field]})
    assert (changed.identity() == base.identity()) == (field in FREE)


def test_where_the_consortium_is_and_how_a_default_is_said_changes_nothing():
    base = Plan(consortium="a")
    assert Plan(consortium="b").identity() == base.identity()
    assert Plan(consortium="a", learning_rate=0.5, deadline="model").identity() == base.identity()
    json.dumps(base.identity(), allow_nan=False)
