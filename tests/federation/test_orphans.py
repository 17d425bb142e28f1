"""A ClientApp's process does not outlive its SuperNode, whatever it is doing."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("flwr")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="parents are POSIX's")

# A parent that starts a process under the name of Flower's, which sleeps where no SIGINT wakes it.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
print(child.pid, flush=True)
time.sleep(600)
"""
CHILD = """
import sys, threading
from tradefl.federation import orphans
orphans.LOOK_SECONDS = orphans.GRACE_SECONDS = 0.05
sys.argv[0] = "/somewhere/bin/{name}"
print(orphans.end_with_supernode(), flush=True)
threading.Event().wait(600)
"""


def ended(pid, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def state(pid):
    """The letter that ps has for a process; Z: it has ended and waits to be collected."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()[:1]


def start(name, *options):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD.format(name=name), *options],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    child = int(parent.stdout.readline())
    return parent, child, parent.stdout.readline().strip()


@pytest.mark.parametrize("named", [False, True])
def test_it_ends_with_the_process_that_it_works_for(named):
    supernode = subprocess.Popen(["sleep", "600"]) if named else None
    options = ("--token", "t", "--parent-pid", str(supernode.pid)) if named else ()
    parent, child, watched = start("flwr-clientapp", *options)
    try:
        assert watched == "True"
        gone = supernode if named else parent
        gone.kill()
        gone.wait()
        if named:  # its own parent lives on, and has to collect it
            end = time.monotonic() + 60.0
            while state(child) != "Z":
                assert time.monotonic() < end
                time.sleep(0.05)
        else:
            assert ended(child)
    finally:
        for process in (parent, supernode):
            if process is not None:
                process.kill()
                process.wait()
        parent.stdout.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_any_other_process_is_left_alone():
    parent, child, watched = start("python")
    try:
        assert watched == "False"
        parent.kill()
        parent.wait()
        assert not ended(child, 1.0)
    finally:
        parent.stdout.close()
        os.kill(child, signal.SIGKILL)
