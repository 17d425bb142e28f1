"""Symbols in the report: whole words only, and never within names."""

import pytest

from tradefl.report.symbols import in_svg, symbols_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gamma* = 5e-9", "γ* = 5e-9"),
        ("varpi_e kappa f^2 eta d s", "ϖₑ κ f^2 η d s"),
        ("D_min <= d <= 1", "Dₘᵢₙ <= d <= 1"),
        ("r_ij = gamma rho_ij (x_i - x_j)", "rᵢⱼ = γ ρᵢⱼ (xᵢ - xⱼ)"),
        ("P(Omega without d u)", "P(Ω without d u)"),
        ("beta, metadata, etas, gammas", "beta, metadata, etas, gammas"),
        ("cpu_hz, data_i, table-gamma", "cpu_hz, data_i, table-gamma"),
    ],
)
def test_whole_words_become_symbols(text, shown):
    assert symbols_of([])(text) == shown


def test_names_stay():
    symbols = symbols_of(["gamma", "Omega Bank", "Alpha"])
    assert symbols("from gamma to Omega Bank, Omega") == "from gamma to Omega Bank, Ω"


def test_the_markup_of_a_chart_stays():
    svg = '<text id="gamma">gamma</text><path d="rho"/>'
    assert in_svg(svg, symbols_of([])) == '<text id="gamma">γ</text><path d="rho"/>'
