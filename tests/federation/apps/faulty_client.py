"""The package's ClientApp, at organizations that lie, are slow, or wait to be killed.

Works on files in the folder ``$FAULTS``: the test reads what happens, and decides when.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from flwr.app import Context, Message

from tradefl.federation import ContributingApp, client, pledge_of

FOLDER = Path(os.environ["FAULTS"])
SLOW, SLOW_ROUND = "Beta", 2
PATIENT, PATIENT_ROUND = "Delta", 3
LIAR, FACTOR = "Gamma", 10

app = ContributingApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train as the package does, but for the fault of the organization."""
    me = pledge_of(message).organization
    config = message.content.config_records["config"]
    now = config["server-round"]
    if (me, now) == (SLOW, SLOW_ROUND):
        (FOLDER / "training").touch()
        time.sleep(600)
    if (me, now) == (PATIENT, PATIENT_ROUND):  # the round lasts until the test says so
        _await(FOLDER / "go-on")
    reply = client.train(message, context)
    if me == LIAR:
        claim = FACTOR * pledge_of(message).samples_held
        reply.content.metric_records["metrics"]["num-examples"] = claim
    return reply


def _await(path: Path, seconds: float = 110.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.1)
