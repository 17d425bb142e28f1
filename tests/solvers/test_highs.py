"""HiGHS without what it prints: standard output is one document's, and comes back."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from tradefl.solvers import highs


def place_of(descriptor):
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


LINE = b"HighsMipSolverData::transformNewIntegerFeasibleSolution tmpSolver.run();\n"


def test_its_chatter_is_left_out_and_what_others_write_is_not(capfd, monkeypatch):
    def chatty(*arguments, **options):
        os.write(1, LINE + b"of another thread\n" + LINE + b"the")
        return arguments, options

    monkeypatch.setattr("scipy.optimize.milp", chatty)
    before = place_of(1)
    assert highs.milp(1, two=2) == ((1,), {"two": 2})
    assert place_of(1) == before
    os.write(1, b" document\n")
    assert capfd.readouterr() == ("of another thread\nthe document\n", "")


def test_standard_output_comes_back_after_an_error(capfd, monkeypatch):
    def broken():
        raise ArithmeticError("no luck")

    monkeypatch.setattr("scipy.optimize.milp", broken)
    before = place_of(1)
    with pytest.raises(ArithmeticError, match="no luck"):
        highs.milp()
    assert place_of(1) == before


def test_threads_do_not_take_each_others_diversion_for_standard_output(capfd):
    """The first one in is the first one out, while the second is still inside."""
    before, inside, leave = place_of(1), threading.Event(), threading.Event()

    def second():
        with highs._without_chatter():
            inside.set()
            assert leave.wait(10.0)

    thread = threading.Thread(target=second)
    with highs._without_chatter():
        thread.start()
        assert inside.wait(10.0)
        assert place_of(1) != before
    assert place_of(1) != before  # the second still needs it
    leave.set()
    thread.join()
    assert place_of(1) == before


def test_it_works_where_standard_output_is_closed():
    script = (
        "import os, numpy as np; os.close(1)\n"
        "from tradefl.solvers.highs import milp\n"
        "raise SystemExit(int(milp(np.array([-1.0]), bounds=(0, 3)).x[0]))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, env=dict(os.environ))
    assert done.returncode == 3


def test_it_solves():
    assert highs.milp(np.array([-1.0, -1.0]), bounds=(0, 2)).fun == -4.0


class Mute:
    """A stream that cannot be flushed, as some hosts put in the place of standard output."""

    def write(self, text: str) -> int:
        return len(text)


@pytest.mark.parametrize("stream", [None, Mute()])
def test_it_works_without_a_stream_that_can_be_flushed(capfd, monkeypatch, stream):
    """And later calls still keep standard output clean."""
    monkeypatch.setattr(sys, "stdout", stream)
    before = place_of(1)
    assert highs.milp(np.array([-1.0, -1.0]), bounds=(0, 2)).fun == -4.0
    assert place_of(1) == before
    assert highs._diversion._inside == 0
    with highs._without_chatter():
        os.write(1, LINE)
    assert place_of(1) == before
    assert capfd.readouterr().out == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_child_that_is_forked_in_the_middle_has_its_standard_output():
    script = (
        "import os, threading\n"
        "from tradefl.solvers import highs\n"
        "with highs._without_chatter():\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os.write(1, b'of the child')\n"
        "        os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, env=dict(os.environ), capture_output=True
    )
    assert done.stdout == b"of the child"
