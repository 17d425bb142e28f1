"""Negotiations through nodes that answer as real nodes and providers do."""

import contextlib
import time

import pytest
from tests.negotiation.test_faults import three, undisturbed
from tests.settlement.modes import SETTLE
from tests.settlement.nodes import node, proxy, shared_node

from tradefl.settlement.chains import StateChangedError

__all__ = ["node", "proxy", "shared_node", "three"]

QUICK = {"stale", "header_not_found", "lost_send"}


@pytest.mark.parametrize(
    "mode",
    [pytest.param(entry, marks=() if entry in QUICK else pytest.mark.slow) for entry in SETTLE],
)
def test_agents_end_where_they_would_have(three, proxy, mode):
    proxy.rule = SETTLE[mode](proxy)
    agents = three.agents(proxy.url)
    done, until = {}, time.monotonic() + 600.0
    while len(done) < len(agents):
        assert time.monotonic() < until, "it did not end"
        for number, agent in enumerate(agents):
            with contextlib.suppress(StateChangedError):  # the command looks again, too
                if agent.step().done:
                    done[number] = True
    assert three.contributions() == undisturbed(three)
