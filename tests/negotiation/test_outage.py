"""A chain that stands still and goes on: nobody loses a turn, and nobody is silent for it."""

from __future__ import annotations

import pytest
from tests.negotiation.processes import deployed, driven, three_hospitals
from tests.settlement.nodes import node, shared_node

__all__ = ["node", "shared_node"]


@pytest.mark.parametrize("turns", [1, 7, 1000])
def test_an_outage_costs_nobody_a_turn(node, tmp_path, turns):
    three = deployed(node, three_hospitals(tmp_path / "three.toml"), tmp_path)
    three.join()
    agents = three.agents()
    agents[0].step()
    seconds = turns * three.agreement.turn_seconds + 1
    for _ in range(2):
        node.travel(seconds)
        agents[three.standing().whose].step()
    driven(agents)
    standing = three.standing()
    assert standing.skipped == ()
    assert standing.reports == three.undisturbed()[0].reports
    assert three.contributions() == list(standing.reports)


def test_agents_make_the_blocks_that_a_silent_one_s_turn_waits_for(node, tmp_path):
    """On a chain that makes blocks on demand; the silent one comes back in time."""

    def change(document):
        document["settlement"] = {"turn_seconds": 30}

    three = deployed(node, three_hospitals(tmp_path / "three.toml", change), tmp_path)
    three.join()
    agents = three.agents()
    agents[0].step()
    assert three.standing().whose == 1
    height = node.height
    node.travel(31)
    while three.standing().whose == 1:
        for i in (0, 2):
            agents[i].step()
    assert node.height > height
    assert three.standing().skipped == (1,)
    driven(agents)
    three.assert_equilibrium(three.contributions())
