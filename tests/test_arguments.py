"""Wrong arguments of every parameter of every verb: each error names the parameter."""

import inspect
import re
import typing
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tests.test_verbs import three

import tradefl
from tradefl import Consortium, CoopetitionGame, InputError, Plan, SqrtLoss
from tradefl.arguments import TEXT, accepts, choice, instance, many, number, optional, whole

FIGURES = {
    "profitability": [1200.0, 900.0, 700.0],
    "data_bits": [4e9, 3e9, 2e9],
    "cycles_per_bit": [2.0, 2.0, 2.0],
    "cpu_levels_hz": [1e9, 2e9],
    "competition": np.array([[0.0, 0.1, 0.05], [0.1, 0.0, 0.08], [0.05, 0.08, 0.0]]),
    "accuracy": SqrtLoss(epochs=5, untrained_loss=0.79),
}
# What else a call needs; every verb but these begins with a consortium.
OTHERS = {
    "fit_empirical": {"data": [1.0, 2.0], "accuracy": [0.1, 0.2]},
    "load": {"path": "nothing.toml"},
    "solve_many": {},
    "sweep": {"function": len, "units": []},
    "write": {"path": "nowhere/x.toml"},
}
# The method that has the option, where the default method does not.
METHOD_OF = {
    "max_moves": "dbr",
    "order": "dbr",
    "seed": "dbr",
    "initial": "dbr",
    "trace": "dbr",
    "master": "cgbd",
    "epsilon": "cgbd",
    "max_iterations": "cgbd",
    "initial_levels": "cgbd",
    "step": "fip",
    "greedy_hz": "gca",
}
VERBS = sorted(name for name in tradefl.__all__ if inspect.isfunction(getattr(tradefl, name, None)))


class Wrong:
    """What no parameter accepts."""


def wrong(parameter):
    """Return values that a parameter does not accept, by its annotation and default."""
    kind = str(parameter.annotation)
    values = [Wrong()]
    if parameter.default is not None and "None" not in kind:
        values.append(None)
    if re.match(r"(int|float)\b", kind):
        values += [float("nan"), -1, "3", True]
    if re.match(r"int\b", kind):
        values.append(1.5)
    if re.match(r"bool\b", kind):
        values += [3, "no"]
    if re.match(r"str\b|.*PathLike", kind):
        values.append(3)
    if re.match(r"Sequence|Iterable", kind):
        values += ["text", [Wrong()]]
    if parameter.name in CHOICES:
        values.append("nonsense")
    return values


CHOICES = {
    *("method", "scheme", "target", "participation", "order", "master", "backend", "audience"),
    *("language", "reading", "outside", "outsiders", "split"),
}
CASES = [
    (verb, parameter.name, wrong(parameter))
    for verb in VERBS
    for parameter in inspect.signature(getattr(tradefl, verb)).parameters.values()
    if parameter.kind is not inspect.Parameter.VAR_KEYWORD
]


@pytest.fixture(scope="module")
def consortium():
    return Consortium.from_game(three(), name="of arrays", samples=[400, 300, 200])


def test_every_verb_is_tried():
    assert {"solve", "tune", "design", "compare", "train", "settle", "audit"} <= set(VERBS)
    assert {verb for verb, _, _ in CASES} == set(VERBS)
    assert sum(len(values) for *_, values in CASES) > 400


@pytest.mark.parametrize(
    ("verb", "name", "values"), CASES, ids=[f"{verb}-{name}" for verb, name, _ in CASES]
)
def test_wrong_arguments_are_refused_by_name(consortium, tmp_path, monkeypatch, verb, name, values):
    monkeypatch.chdir(tmp_path)
    call = getattr(tradefl, verb)
    arguments = dict(OTHERS.get(verb, {}))
    for parameter in inspect.signature(call).parameters.values():
        if re.search(r"\bConsortium\b", str(parameter.annotation)):
            arguments.setdefault(parameter.name, consortium)
    if verb == "solve_many":
        arguments["games"] = [three()]
    if verb == "solve" and name in METHOD_OF:
        arguments["method"] = METHOD_OF[name]
    # The mathematics knows no InputError; its ValueErrors name the parameter too.
    expected = (ValueError, TypeError) if verb == "fit_empirical" else (InputError, TypeError)
    for value in values:
        with pytest.raises(expected) as raised:
            call(**{**arguments, name: value})
        message = str(raised.value)
        assert re.match(rf"{name}\b|\w+, {name}:", message), (value, message)
        assert not re.search(r"(?<!\S)--[a-z]", message), "a flag's name"
    assert list(tmp_path.iterdir()) == []


# --- the values that verbs are given -------------------------------------------------------------

CONSTRUCTORS = {
    "CoopetitionGame": (CoopetitionGame, FIGURES),
    "Games": (tradefl.Games, FIGURES),
    "Plan": (Plan, {}),
    "SqrtLoss": (SqrtLoss, {"epochs": 5, "untrained_loss": 0.79}),
    "PowerLaw": (tradefl.PowerLaw, {"untrained_loss": 0.8, "scale": 0.5, "exponent": 0.3}),
    "Empirical": (tradefl.Empirical, {"knots": [0.0, 1.0], "values": [0.0, 0.5]}),
    "Schedule": (tradefl.Schedule, {"shares": [0.0, 1.0], "values": [0.0, 1.0]}),
    "EfficientRule": (
        tradefl.EfficientRule,
        {
            "schedules": (tradefl.Schedule([0.0, 1.0], [0.0, 1.0]),) * 2,
            "constants": [0.0, 0.0],
        },
    ),
    "StrategyProfile": (
        tradefl.StrategyProfile,
        {"data_fraction": [0.1, 0.2], "cpu_hz": [1e9, 1e9]},
    ),
    "SectorCompetition": (tradefl.SectorCompetition, {"sectors": [0, 0, 1], "within": 0.1}),
    "from_game": (Consortium.from_game, {"game": three()}),
}
PARTS = [
    (constructor, name)
    for constructor, (make, _) in CONSTRUCTORS.items()
    for name in inspect.signature(make).parameters
]


@pytest.mark.parametrize(("constructor", "name"), PARTS)
def test_a_wrong_part_of_a_value_is_refused_by_name(constructor, name):
    make, valid = CONSTRUCTORS[constructor]
    make(**valid)
    with pytest.raises((ValueError, TypeError)) as raised:
        make(**{**valid, name: Wrong()})
    assert re.match(rf"{name}\b", str(raised.value)), raised.value


@pytest.mark.parametrize("name", ["incentive_intensity", "deadline_seconds", "payoff_unit"])
@pytest.mark.parametrize("value", [None, "3", True, float("nan"), -1.0])
def test_a_wrong_number_of_a_game_is_refused_by_name(name, value):
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected a (finite )?number"):
        CoopetitionGame(**{**FIGURES, name: value})


@pytest.mark.parametrize("name", ["alpha", "learning_rate", "round_seconds", "validation_fraction"])
@pytest.mark.parametrize("value", [None, "3", True, float("nan"), -2.0])
def test_a_wrong_number_of_a_plan_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=rf"^{name}: expected "):
        Plan(**{name: value})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"measure": "bytes"}, "measure: expected one of bits, samples, got 'bytes'"),
        ({"unit": 0.0}, "unit: expected a number > 0, got 0.0"),
        ({"name": None}, "name: expected a text, got None"),
        ({"deadline_seconds": "soon"}, "deadline_seconds: expected a number, got 'soon'"),
        ({"training": {"rounds": 3}}, "training: expected a Training, got dict"),
        ({"frame": [1, 2]}, "frame: expected a pandas data frame, got list"),
    ],
)
def test_a_wrong_argument_of_a_frame_is_refused_by_name(change, place):
    pandas = pytest.importorskip("pandas")
    valid = {"frame": pandas.DataFrame(), "name": "of a frame", "accuracy": FIGURES["accuracy"]}
    with pytest.raises(InputError, match=re.escape(place)):
        Consortium.from_frame(**{**valid, **change})


# --- the kinds themselves ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "good", "bad", "words"),
    [
        (whole(1), [1, np.int64(5)], [0, 1.0, True, None], "an integer >= 1"),
        (whole(4, 32), [4, 32], [3, 33], "an integer from 4 to 32"),
        (optional(whole(1)), [None, 1], [0, "1"], "an integer >= 1"),
        (number("< 1", lambda value: value < 1), [0, np.float32(0.5)], [1.0, "0"], "a number < 1"),
        (choice(("a", "b")), ["a"], ["c", ["a"], None], "one of a, b"),
        (many("names", TEXT), [["a"], ("a",), iter("ab"), []], ["a", [1], None], "a list of names"),
        (instance("tradefl.federation.plan.Plan"), [Plan()], [Plan, None, 3], "a Plan"),
    ],
)
def test_a_kind_accepts_and_refuses(kind, good, bad, words):
    for value in good:
        kind.require("parameter", value)
    for value in bad:
        with pytest.raises(InputError, match=f"^parameter: expected {words}, got "):
            kind.require("parameter", value)


def test_classes_are_where_kinds_look_for_them():
    root = Path(tradefl.__file__).parent
    text = "".join(path.read_text("utf-8") for path in root.rglob("*.py"))
    homes = set(re.findall(r'"(tradefl(?:\.[a-z_]+)+\.[A-Z][A-Za-z]+)"', text))
    assert len(homes) > 15
    for home in homes:
        module, _, name = home.rpartition(".")
        found = getattr(import_module(module), name)
        assert (found.__module__, found.__qualname__) == (module, name)


def test_every_parameter_needs_a_kind():
    with pytest.raises(TypeError, match=r"kinds and parameters differ in \['b', 'c'\]"):

        @accepts(a=TEXT, c=TEXT)
        def verb(a, b):
            pass


def test_the_decorated_verb_keeps_its_signature_and_python_its_errors():
    @accepts(a=TEXT, count=whole())
    def verb(a: str, count: int = 1) -> str:
        """Repeat."""
        if count > 5:
            raise ValueError("count: too many")
        if count == 5:
            raise ValueError("something else: is wrong")
        return a * count

    assert str(inspect.signature(verb)) == "(a: str, count: int = 1) -> str"
    assert (verb.__doc__, verb("x", 2)) == ("Repeat.", "xx")
    with pytest.raises(TypeError, match=r"^.*verb\(\) missing a required argument: 'a'"):
        verb()
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'counts'"):
        verb("x", counts=3)
    with pytest.raises(InputError, match=r"^count: too many$"):
        verb("x", 6)
    with pytest.raises(ValueError, match=r"^something else: is wrong$") as raised:
        verb("x", 5)
    assert not isinstance(raised.value, InputError)
    with pytest.raises(TypeError) as raised:
        verb(3)
    assert isinstance(raised.value, InputError)


# --- types ---------------------------------------------------------------------------------------

# Where ``Any`` remains in a public signature, and why.
ALLOWED = {
    # They accept whatever NumPy makes an array of, and hold arrays: one annotation for both.
    "CoopetitionGame": {
        *("competition", "accuracy", "data_units", "download_seconds", "upload_seconds"),
        *("capacitance", "data_cost", "joining_cost", "quality"),
    },
    "Games": set(FIGURES)
    | {
        *("data_units", "download_seconds", "upload_seconds", "incentive_intensity"),
        *("compute_weight", "overhead_weight", "min_data_fraction", "deadline_seconds"),
        *("capacitance", "download_watts", "upload_watts", "data_cost", "joining_cost"),
        "quality",
    },
    # Pixels, ordinals or floats: the models convert.
    "Dataset": {"x_train", "x_test"},
    # The values of the caller's own function, whatever they are.
    "sweep": {"function", "return"},
}


@pytest.mark.parametrize("name", [name for name in tradefl.__all__ if name != "__version__"])
def test_public_signatures_have_real_types(name):
    value = getattr(tradefl, name)
    if not callable(value):
        return
    annotations = {
        key: str(parameter.annotation)
        for key, parameter in inspect.signature(value).parameters.items()
    }
    if inspect.isfunction(value):
        annotations["return"] = str(inspect.signature(value).return_annotation)
    untyped = {key for key, kind in annotations.items() if re.search(r"\bAny\b|_empty", kind)}
    assert untyped == ALLOWED.get(name, set())


def test_the_arrays_of_many_games_are_the_parameters_of_games():
    from tradefl.solvers.games import GameArrays

    assert set(typing.get_type_hints(GameArrays)) == set(
        inspect.signature(tradefl.Games).parameters
    )
