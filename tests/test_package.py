"""The package: what importing it costs, and what its public names are."""

import json
import os
import subprocess
import sys

import pytest
from tests.cli.command import SOURCE

import tradefl

HEAVY = {"torch", "web3", "flwr", "ray", "streamlit", "altair", "numba", "scipy"}


def modules_after(statement):
    """The top-level modules that a new interpreter has after a statement."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_the_package_is_light():
    loaded = modules_after("import tradefl")
    assert "tradefl" in loaded
    assert not HEAVY & loaded


def test_loading_a_file_and_solving_it_needs_no_optional_part(tmp_path):
    path = tmp_path / "sample.toml"
    statement = (
        "import tradefl, tradefl.consortium, pathlib\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "path.write_text(tradefl.consortium.sample())\n"
        "assert tradefl.solve(tradefl.load(path)).status == 'optimal'"
    )
    assert not (HEAVY - {"scipy"}) & modules_after(statement)


@pytest.mark.parametrize("name", tradefl.__all__)
def test_every_public_name_resolves(name):
    assert getattr(tradefl, name) is not None
    assert name in dir(tradefl)


def test_no_public_name_stands_twice():
    assert len(set(tradefl.__all__)) == len(tradefl.__all__)


def test_names_are_listed_before_they_are_first_used():
    modules_after("import tradefl\nassert set(tradefl.__all__) <= set(dir(tradefl))")


def test_the_documented_names_are_public():
    # docs/reference/api/README.md.
    assert {"load", "solve", "CoopetitionGame", "__version__"} <= set(tradefl.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tradefl' has no attribute 'slove'"):
        tradefl.slove  # noqa: B018
    assert not hasattr(tradefl, "slove")


def test_the_documented_session(tmp_path):
    from tradefl.consortium import sample

    path = tmp_path / "drug_discovery.toml"
    path.write_text(sample())
    consortium = tradefl.load(str(path))
    solution = tradefl.solve(consortium, method="dbr")
    assert solution.payoffs.shape == (3,)
    statement = solution.statement("Alpha")
    assert statement.payoff == solution.payoffs[0]
    assert str(statement).startswith("Payoff statement of Alpha")


def test_an_unknown_method_lists_those_there_are():
    game = tradefl.CoopetitionGame(
        profitability=[1.0],
        data_bits=[1.0],
        cycles_per_bit=[1.0],
        cpu_levels_hz=[1.0],
        competition=[[0.0]],
        accuracy=tradefl.SqrtLoss(5, 0.79),
    )
    assert tradefl.solve(game).status == "optimal"
    with pytest.raises(ValueError, match=r"method: expected one of exact, cgbd.*, got 'magic'"):
        tradefl.solve(game, "magic")
