"""Every order of calls and ticks between two organizations: what must hold, holds everywhere."""

import pytest
from tests.settlement.explorer import CANCELLED, OPEN, RECORDED, SETTLED, Explorer

RULES = pytest.mark.parametrize("rule", ["TradeFL", "TradeFLEfficient"])


def explored(rule, **kinds):
    explorer = Explorer(rule, **kinds)
    explorer.run()
    phases = {view.phase for view in explorer.seen.values()}
    assert {OPEN, RECORDED, SETTLED, CANCELLED} <= set(phases)
    return explorer


@RULES
def test_without_a_court(rule):
    explorer = explored(rule, consent=True)
    assert len(explorer.seen) >= 300
    views = explorer.seen.values()
    # Silence is among them, and so is a window that closes while reports still come.
    assert any(view.phase == SETTLED and view.reported == (True, False) for view in views)
    assert any(view.phase == OPEN and view.closing and not any(view.reported) for view in views)


@RULES
def test_with_a_verifier(rule):
    explorer = explored(rule, verified=True)
    assert {view.serials for view in explorer.seen.values()} >= {(2, 2), (1, 0), (0, 2)}


@RULES
def test_with_a_court(rule):
    explorer = explored(rule, court=True)
    assert len(explorer.seen) >= 2000
    assert {view.stakes[0] > 0 for view in explorer.seen.values() if view.stakes[0]} == {
        True,
        False,
    }


@pytest.mark.slow
@RULES
@pytest.mark.parametrize("verified", [False, True])
def test_with_everything(rule, verified):
    explored(rule, court=True, consent=True, verified=verified)
