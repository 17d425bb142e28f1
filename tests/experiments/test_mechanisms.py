"""The study of mechanisms: rows are what the solvers say, and a true report is no lie."""

import functools

import numpy as np
import pandas as pd
import pytest

from tradefl.experiments import figure, mechanisms
from tradefl.experiments.compensation import KINDS, consortium
from tradefl.experiments.figure import Settings
from tradefl.game import payoffs
from tradefl.mechanisms import BUILT_IN, make_mechanism
from tradefl.solvers import search, solve

pytestmark = pytest.mark.filterwarnings("error")
SEED = 30  # beyond the consortia in which lies are tried


@functools.cache
def rows():
    return pd.concat([mechanisms.compute(kind, SEED) for kind in KINDS], ignore_index=True)


def test_every_mechanism_is_in_the_study():
    assert set(mechanisms.NAMES) == {mechanisms.NONE, *BUILT_IN}
    units = mechanisms.units(Settings(seeds=3))
    assert len({unit.key for unit in units}) == 6
    assert figure("mechanisms") is mechanisms.FIGURE


def test_rows_are_what_the_solvers_say():
    for kind in KINDS:
        game = consortium(kind, SEED)
        bare = game.with_incentive_intensity(0.0)
        optimum, without = solve(bare, "planner"), solve(bare)
        some = rows()[rows()["kind"] == kind].set_index("mechanism")
        assert list(some.index) == [name for name in mechanisms.NAMES if name != "truthful"]
        assert some["equilibrium"].all()
        assert (some["welfare"] <= 1.0 + 1e-9).all()
        assert some.loc["none", "losers"] == 0
        for name in ("linear", "tang-wong", "equal-split"):
            found = solve(game.with_compensation(make_mechanism(name, game)))
            welfare = found.social_welfare / optimum.social_welfare
            assert some.loc[name, "welfare"] == pytest.approx(welfare, rel=1e-12)
            lost = found.payoffs < without.payoffs - 1e-9 * np.abs(without.payoffs)
            assert some.loc[name, "losers"] == lost.sum()
        assert (some["deficit"].drop("vcg") == 0.0).all()
        assert some.loc["vcg", "deficit"] > 0.0


@pytest.mark.parametrize("name", ["shapley-profile", "equal-split", "vcg", "cocogen"])
def test_a_true_report_changes_nothing(name):
    """The payments of the reported game, where the report is the truth, are the payments."""
    game = consortium(KINDS[1], SEED)
    mechanism = make_mechanism(name, game)
    honest = solve(game.with_compensation(mechanism))
    paid = game.with_compensation(mechanisms.Reported(mechanism, game))
    np.testing.assert_allclose(
        payoffs(paid, honest.profile).payoff, honest.payoffs, rtol=1e-12, atol=1e-9
    )
    path = search.play(paid, honest.profile, max_moves=50)
    assert path.settled
    assert path.moves == 0


def test_the_picture_and_the_findings_follow_from_the_rows():
    lies = rows().assign(lying=0.0)
    summed = mechanisms.summary(lies)
    assert set(summed["measure"]) == {column for column, *_ in mechanisms.PANELS}
    assert (summed["low"] <= summed["value"]).all()
    drawn = mechanisms.chart(summed).to_dict()
    assert len(drawn["concat"]) == len(mechanisms.PANELS)
    found = {finding.claim: finding for finding in mechanisms.findings(lies)}
    assert len(found) == 7
    assert found["No false report of a profitability gains"].verdict == "holds"
    lies.loc[lies["mechanism"] == "vcg", "lying"] = 0.01
    again = {finding.claim: finding for finding in mechanisms.findings(lies)}
    assert again["No false report of a profitability gains"].verdict == "does not hold"
