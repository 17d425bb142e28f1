"""Waiting for commands on a chain: as long as something happens, however slow the machine is."""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence

from tests.settlement.nodes import Anvil, NodeError

PATIENCE = 300.0  # seconds without any progress
MOST_TRANSACTIONS = 60  # of one account: what goes on for ever is no progress


class StalledError(AssertionError):
    """Commands wait for what does not come."""


def transactions(node: Anvil, accounts: Iterable[str]) -> Callable[[], list[int]]:
    """Return what counts the transactions of some accounts that are in blocks."""
    accounts = list(accounts)

    def counted() -> list[int]:
        found = [
            int(node.rpc("eth_getTransactionCount", account, "latest"), 16) for account in accounts
        ]
        assert max(found) <= MOST_TRANSACTIONS, found
        return found

    return counted


def wait_for(
    processes: Sequence[subprocess.Popen[str]] | Sequence[subprocess.Popen[bytes]],
    progress: Callable[[], object],
    patience: float = PATIENCE,
) -> None:
    """Wait until all processes have ended.

    A limit on the whole time says as much about the machine as about the commands. So they are
    given up where for some time no process has ended and nothing has happened on the chain. What
    runs with ``-X faulthandler`` then prints where it waits.
    """
    seen: object = None
    since = time.monotonic()
    while running := [process for process in processes if process.poll() is None]:
        found: object = None
        with contextlib.suppress(OSError, http.client.HTTPException, NodeError):
            found = progress()
        now = [entry.pid for entry in running], found
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            for entry in running:
                entry.send_signal(signal.SIGABRT)
            for entry in running:
                entry.wait(timeout=60)
            raise StalledError(f"no progress for {patience:g} s: {found}")
        time.sleep(0.2)
