"""``tradefl rule``: figures that are not numbers are refused before anything else happens."""

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save

WHERE = ["--rpc", "http://127.0.0.1:1", "--keystore", "keys"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--data", value) for value in ("nan", "inf", "-inf", "1e400", "9" * 500, "-0.1", "1.1")),
        *(("--hz", value) for value in ("nan", "inf", "1e400", "0", "-1")),
    ],
)
def test_figures_that_are_no_contribution(tmp_path, option, value):
    given = {"--data": "0.5", "--hz": "1e9"} | {option: value}
    words = [word for pair in given.items() for word in pair]
    ran = run("rule", save(tmp_path, document()), "--report", "Beta", *words, *WHERE)
    assert (ran.code, ran.out) == (2, "")
    assert option in ran.words
    assert "Traceback" not in ran.err
