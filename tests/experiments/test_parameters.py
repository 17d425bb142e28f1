"""Figures whose parameters are varied: other rows, kept apart, and names that are checked."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from tradefl.errors import InputError
from tradefl.experiments import KNOWN, Settings, draws, figure, frames
from tradefl.experiments.parameters import FigureParameter, assignments, checked, written
from tradefl.experiments.runner import compute_all
from tradefl.solvers import solve
from tradefl.sweep import parts


@pytest.mark.parametrize("name", KNOWN)
def test_compute_accepts_every_parameter_of_its_figure(name):
    drawn = figure(name)
    accepted = inspect.signature(drawn.compute).parameters
    anything = any(known.kind is known.VAR_KEYWORD for known in accepted.values())
    names = [parameter.name for parameter in drawn.parameters]
    assert len(set(names)) == len(names)
    for parameter in drawn.parameters:
        assert parameter.name in accepted or anything or parameter.name in drawn.of_units
        if parameter.default is not None:
            assert parameter.checked(parameter.default) == parameter.default
            if parameter.name in accepted:
                assert accepted[parameter.name].default == parameter.default
    assert bool(names) == (name != "sensitivity")  # it draws all of them


def test_a_set_parameter_is_the_one_of_the_game():
    found = frames("fig6", Settings(seeds=1), mu=0.03, gamma=1e-9, n=4, deadline_seconds=15.0)
    game = draws.table2(0, 4, mu=0.03, incentive_intensity=1e-9, deadline_seconds=15.0)
    expected = [solve(game, method).social_welfare for method in ("cgbd", "dbr", "fip")]
    np.testing.assert_allclose(found.rows["social_welfare"][:3], expected, rtol=1e-12)


def test_a_sweep_over_other_gammas_has_the_paper_s_too():
    found = frames("fig7", Settings(seeds=2), gammas=[1e-9, 2e-8], mu=0.02)
    assert sorted(found.rows["gamma"].unique()) == [1e-9, draws.GAMMA_STAR, 2e-8]
    game = draws.table2(1, mu=0.02, incentive_intensity=2e-8)
    last = found.rows[(found.rows["seed"] == 1) & (found.rows["gamma"] == 2e-8)]
    assert last["social_welfare"].item() == pytest.approx(solve(game, "dbr").social_welfare)
    claims = [finding.claim for finding in figure("fig7").findings(found.rows)]
    assert not any("5e-8" in claim for claim in claims)  # those gammas were not looked at


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("fig4", {"n": 3}),
        ("fig5", {"n": 3}),
        ("fig8", {"gammas": (1e-9, 1e-8), "n": 3}),
        ("fig9", {"gammas": (1e-9, 1e-8), "n": 3}),
        ("fig10", {"mus": (0.01, 0.02), "gammas": (1e-9, 1e-8), "n": 3}),
        ("fig11", {"overhead_weights": (0.1, 0.2), "gammas": (1e-9, 1e-8), "n": 3}),
        ("fig12", {"gammas": (1e-9, 1e-8), "mu": 0.02}),
        ("losers", {"spread": 0.2, "rivalry": 0.3, "mu": 0.02}),
    ],
)
def test_a_varied_figure_is_drawn_and_judged(name, values):
    drawn, found = figure(name), frames(name, Settings(seeds=2), **values)
    assert drawn.chart(found.summary).to_dict()
    assert drawn.findings(found.rows)


def test_the_study_s_consortia_have_the_spread_and_rivalry_asked_for():
    row = frames("losers", Settings(seeds=1), spread=0.2, rivalry=0.3).rows
    unequal = row[row["kind"] == "heterogeneous"].iloc[0]
    assert unequal["spread"] == 0.2
    assert unequal["rivalry"] == pytest.approx(0.3)


def test_gammas_of_the_trained_figure_are_those_of_its_units():
    units = figure("fig12-accuracy").work(Settings(parameters={"gammas": (1e-9, 1e-8)}))
    assert {unit.labels["gamma"] for unit in units} == {1e-9, draws.GAMMA_STAR, 1e-8}
    assert all("gammas" not in unit.arguments for unit in units)
    [first, *_] = figure("fig15").work(Settings(parameters={"rounds": 3}))
    assert first.arguments["rounds"] == 3


def test_what_is_kept_has_the_parameters_in_its_key(tmp_path):
    def count(**values):
        compute_all([figure("fig6")], Settings(seeds=1, parameters=values), tmp_path, workers=1)
        return len(list(parts.everything(tmp_path / "parts" / "fig6.compute")))

    assert count() == 1
    assert count(mu=0.05) == 1  # the default
    assert count(mu=0.04, n=3) == 2
    assert count(n=3, mu=0.04) == 2


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"nu": 0.1}, r"set: fig6 has no parameter 'nu' .*did you mean"),
        ({"mu": "x"}, r"set: mu: expected a number >= 0 and <= 1, got 'x'"),
        ({"mu": "nan"}, "got 'nan'"),
        ({"mu": -1}, "got '-1'"),
        ({"mu": True}, "got 'True'"),
        ({"n": 2.5}, "n: expected an integer >= 2"),
        ({"gamma": "1e400"}, "gamma: expected a number"),
        ({"gamma": [1e-9, 1e-8]}, "gamma: expected a number"),
        ({"deadline_seconds": 0}, "deadline_seconds: expected a number > 0"),
    ],
)
def test_what_no_parameter_can_be(values, what):
    with pytest.raises(InputError, match=what) as raised:
        frames("fig6", Settings(seeds=1), **values)
    assert len(raised.value.problems) == 1
    assert "parameters of fig6: gamma (incentive intensity, payoff/bit; default" in str(
        raised.value
    )


@pytest.mark.parametrize("text", ["1e-9", "1e-9,1e-9", "2e-9,1e-9", "0,1e-9", "1e-9,x", "1e-9,,"])
def test_lists_are_ascending_numbers(text):
    with pytest.raises(InputError, match="gammas: expected numbers > 0, 2 or more, ascending"):
        checked(figure("fig7"), {"gammas": text})


def test_texts_are_read_and_written():
    values = {"mu": 0.1 + 0.2, "n": 4, "gammas": (1e-9, 1 / 3)}
    assert checked(figure("fig7"), assignments(written(values))) == values
    for texts in (["mu"], ["mu="], ["=1"], ["mu=1", "mu=2"]):
        with pytest.raises(InputError, match="set: "):
            assignments(texts)


def test_a_parameter_says_what_it_is():
    one = FigureParameter(name="x", meaning="of y", default=(1.0, 2.0))
    assert str(one) == "x (of y; default 2 values from 1 to 2)"
