"""One source, two speeds: the compiled loops give what the plain ones give, and are kept."""

import concurrent.futures
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support import efficient_game, random_game, random_profile

from tradefl.solvers import compiled as compiling
from tradefl.solvers import dbr
from tradefl.solvers import solve as solve_by
from tradefl.solvers.best_response import compiled_accuracy
from tradefl.solvers.machine_code import cache_directory
from tradefl.solvers.pricing import segment


def solve(game, method="dbr", **options):
    """Best-response dynamics unless a test names another method."""
    return solve_by(game, method, **options)


BUILT_IN = ("sqrt-loss", "power-law", "empirical")


@pytest.fixture(scope="module", autouse=True)
def code_directory(tmp_path_factory):
    """Keep the machine code of these tests apart from the user's."""
    directory = tmp_path_factory.mktemp("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(directory))
        compiling._compiled.cache_clear()
        yield directory
        compiling._compiled.cache_clear()


@pytest.mark.parametrize("accuracy", BUILT_IN)
def test_compiled_loops_give_what_the_plain_ones_give(accuracy, monkeypatch):
    for seed in range(60):
        make = efficient_game if seed % 4 == 1 else random_game
        game = make(seed, 2 + seed % 9, accuracy=accuracy, equal=seed % 7 == 0)
        options = {
            "initial": random_profile(game, seed, kind="any" if seed % 2 else "low"),
            "order": "random" if seed % 3 else "given",
            "seed": seed,
        }
        monkeypatch.setattr(dbr, "COMPILE_FROM", 10**9)
        assert dbr._loops(game)[1] is dbr.one_round
        plain = solve(game, **options)
        monkeypatch.setattr(dbr, "COMPILE_FROM", 1)
        assert dbr._loops(game)[1] is not dbr.one_round
        fast = solve(game, **options)

        assert fast.status == plain.status
        assert fast.iterations == plain.iterations
        np.testing.assert_array_equal(fast.trace.organization, plain.trace.organization)
        np.testing.assert_array_equal(fast.trace.cpu_hz, plain.trace.cpu_hz)
        np.testing.assert_array_equal(fast.profile.cpu_hz, plain.profile.cpu_hz)
        for entry, other in (
            (fast.profile.data_fraction, plain.profile.data_fraction),
            (fast.trace.data_fraction, plain.trace.data_fraction),
        ):
            # Rounding adds up over the moves; a hundred are rare.
            np.testing.assert_allclose(entry, other, rtol=1e-12 * max(1.0, plain.iterations / 100))
        own = np.abs(dbr.own_term(game).value(plain.profile)).sum() + plain.terms.performance
        np.testing.assert_allclose(
            fast.trace.potential, plain.trace.potential, rtol=1e-12, atol=1e-12 * own
        )


def _shifted(number, by):
    return number + by


def _thrice(number):
    return _shifted(_shifted(_shifted(number, -1), 2), number)


def test_what_is_called_with_a_constant_is_compiled_once(monkeypatch):
    """numba would compile it, and all that it calls, again for each constant."""
    monkeypatch.setattr(compiling, "_inner", {})
    monkeypatch.setattr(compiling, "__name__", "tests.solvers.compiled")  # whose functions it takes
    call = compiling.compiled(_thrice)
    assert call(5) == 11
    (inner,) = compiling._inner.values()
    assert len(inner[_shifted].overloads) == 1


@pytest.mark.parametrize("accuracy", BUILT_IN)
def test_compiled_loops_keep_the_move_limit_and_leave_out_the_trace(accuracy, monkeypatch):
    game = random_game(5, 6, accuracy=accuracy, gamma=3.0)
    assert solve(game).iterations > 2
    monkeypatch.setattr(dbr, "COMPILE_FROM", 1)
    short = solve(game, max_moves=2, trace=False)
    assert (short.status, short.iterations, short.trace) == ("iteration_limit", 2, None)
    np.testing.assert_allclose(solve(game, trace=False).payoffs, solve(game).payoffs)


def test_small_consortia_are_played_in_plain_python_and_large_ones_compiled(monkeypatch):
    game = random_game(1, 4, levels=3, accuracy="power-law")
    assert dbr.COMPILE_FROM > 12
    assert dbr._loops(game) == (game.accuracy, dbr.one_round)
    monkeypatch.setattr(dbr, "COMPILE_FROM", 12)
    assert dbr._loops(game)[1] is not dbr.one_round
    monkeypatch.setattr(dbr, "COMPILE_FROM", 13)
    assert dbr._loops(game)[1] is dbr.one_round


def test_a_users_own_function_is_never_compiled(monkeypatch):
    monkeypatch.setattr(dbr, "COMPILE_FROM", 1)
    game = random_game(1, 4, accuracy="user")
    assert compiled_accuracy(game.accuracy) is None
    assert dbr._loops(game) == (game.accuracy, dbr.one_round)
    assert solve(game).status == "equilibrium"


def test_machine_code_is_kept_where_numba_cache_dir_says(code_directory, monkeypatch):
    monkeypatch.setattr(dbr, "COMPILE_FROM", 1)
    assert solve(random_game(1, 4, accuracy="sqrt-loss")).status == "equilibrium"
    assert list((code_directory / "tradefl").rglob("*.nbc"))


def test_where_code_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "numba" / "tradefl"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert cache_directory() == tmp_path / "xdg" / "tradefl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "tradefl"


def test_a_user_without_a_home_compiles_without_a_cache(monkeypatch):
    """As a container with an arbitrary user id has it."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_directory() is None
    compiling._compiled.cache_clear()
    assert compiling.compiled(_quarter)(8.0) == 2.0
    compiling._compiled.cache_clear()


NUMBERS = (2.0, 1.0, 1.0, 0.5, 1.0, 3.0, 0.0)


def compute_segment():
    """Compile a function of the package, as another process would: nothing is remembered."""
    compiling._compiled.cache_clear()
    found = compiling.compiled(segment)(*NUMBERS)
    compiling._compiled.cache_clear()
    return found


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Where the code of a function is kept, compiled once."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert compute_segment() == segment(*NUMBERS)
    assert sorted(path.suffix for path in tmp_path.rglob("*.nb?")) == [".nbc", ".nbi"]
    return tmp_path


def broken(content: bytes, how: str) -> bytes:
    middle = len(content) // 2
    return {
        "empty": b"",
        "cut off": content[:middle],
        "another byte": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "zeros": bytes(len(content)),
        "no pickle": b"not what numba writes",
    }[how]


@pytest.mark.parametrize("how", ["empty", "cut off", "another byte", "zeros", "no pickle"])
@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"])
def test_a_broken_file_of_the_cache_is_replaced(kept, kind, how):
    [damaged] = kept.rglob(kind)
    damaged.write_bytes(broken(damaged.read_bytes(), how))
    assert compute_segment() == segment(*NUMBERS)
    # It is whole again: the next process uses it, and writes nothing.
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.nb?")}
    assert len(before) == 2
    assert compute_segment() == segment(*NUMBERS)
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*.nb?")} == before


def test_a_full_disk_only_costs_time(monkeypatch, tmp_path):
    from numba.core import caching

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caching.IndexDataCacheFile, "_open_for_write", full)
    compiling._compiled.cache_clear()
    assert compiling.compiled(_quarter)(8.0) == 2.0
    compiling._compiled.cache_clear()
    assert not list(tmp_path.rglob("*.nb?"))


def test_threads_share_the_rows_and_change_no_digit(monkeypatch):
    monkeypatch.setattr(compiling, "SPREAD_FROM", 10)
    size = 1003
    values, rows = np.linspace(0.1, 7.0, size), np.arange(2.0 * size).reshape(size, 2)
    results = []
    for count in (1, 2, 3, 7, 2000):
        monkeypatch.setattr(compiling, "threads", lambda count=count: count)
        out = np.zeros(size)
        compiling.spread(compiling.compiled(_sums), size, 10_000, values, rows, 0.3, out)
        results.append(out)
    assert results[0].all()
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_an_error_in_a_thread_arrives(monkeypatch):
    monkeypatch.setattr(compiling, "SPREAD_FROM", 1)
    monkeypatch.setattr(compiling, "threads", lambda: 2)

    def fail(values: np.ndarray) -> None:
        if values[0] > 0:
            raise ArithmeticError("the second half")

    with pytest.raises(ArithmeticError, match="the second half"):
        compiling.spread(fail, 4, 100, np.arange(4.0))


@pytest.mark.parametrize(
    ("variables", "count"),
    [({"NUMBA_NUM_THREADS": "1"}, 1), ({"OMP_NUM_THREADS": "1"}, 1), ({"OMP_NUM_THREADS": "x"}, 0)],
)
def test_threads_are_limited_as_numba_limits_them(monkeypatch, variables, count):
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    free = compiling.threads()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert compiling.threads() == (count or free)


def test_numbas_own_setting_is_left_as_it_was(code_directory):
    import numba

    before = numba.config.CACHE_DIR
    compiling.compiled(_half)
    assert before == numba.config.CACHE_DIR


def _half(x):
    return 0.5 * x


def _quarter(x):
    return _half(_half(x))


def _third(x):
    return x / 3.0


def _sums(values, rows, factor, out):
    for i in range(values.size):
        out[i] = np.exp(values[i]) + factor * rows[i, 0] + rows[i, 1]


_half.__module__ = _sums.__module__ = _quarter.__module__ = _third.__module__ = "tradefl.tests"


def test_what_a_function_calls_is_compiled_along_with_it_or_replaced():
    assert compiling.compiled(_quarter)(8.0) == 2.0
    assert compiling.compiled(_quarter, {_half: _third})(9.0) == 1.0
    assert compiling.compiled(_quarter)(8.0) == 2.0
    assert (_quarter(8.0), _half(8.0)) == (2.0, 4.0)


def test_a_directory_that_cannot_be_written_to_only_costs_time(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked))
    compiling._compiled.cache_clear()
    assert not compiling._writable(blocked / "tradefl" / "0")
    assert compiling.compiled(_quarter)(8.0) == 2.0
    compiling._compiled.cache_clear()
    assert blocked.read_text() == "not a directory"


SOLVE = """
import sys
from tests.support import random_game
from tradefl.solvers import dbr, solve
dbr.COMPILE_FROM = 1
solution = solve(random_game(1, 4, accuracy="sqrt-loss"))
print(repr(solution.social_welfare), "numba" in sys.modules)
"""


def run(script, **environment):
    root = Path(__file__).parents[2]
    here = {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=os.environ | here | environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_another_process_finds_the_code_of_this_one(code_directory, monkeypatch):
    monkeypatch.setattr(dbr, "COMPILE_FROM", 1)
    solution = solve(random_game(1, 4, accuracy="sqrt-loss"))
    before = sorted((code_directory / "tradefl").rglob("*.nb?"))
    welfare, _ = run(SOLVE, NUMBA_CACHE_DIR=str(code_directory))
    assert float(welfare) == solution.social_welfare
    assert sorted((code_directory / "tradefl").rglob("*.nb?")) == before


def test_a_small_consortium_never_imports_numba(tmp_path):
    script = SOLVE.replace("dbr.COMPILE_FROM = 1\n", "")
    _, imported = run(script, NUMBA_CACHE_DIR=str(tmp_path))
    assert imported == "False"
    assert not list(tmp_path.iterdir())


MANY = """
import concurrent.futures, multiprocessing, sys
import numpy as np
from benchmarks.consortia import sector_game
from tradefl.solvers import compiled, solve

compiled.SPREAD_FROM = 10_000
compiled.threads = lambda: 2

def answer(seed):
    solution = solve(sector_game(8_000, seed=seed))
    return solution.status, solution.social_welfare

if __name__ == "__main__":
    serial = [answer(seed) for seed in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print(list(pool.map(answer, range(4))) == serial)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map_async(answer, range(4)).get(timeout=120) == serial)
    with concurrent.futures.ProcessPoolExecutor(
        2, mp_context=multiprocessing.get_context("fork")
    ) as pool:
        print(list(pool.map(answer, range(4), timeout=120)) == serial)
    print(serial[0][0], not any("ufunc.omppool" in name for name in sys.modules))
    maps = open("/proc/self/maps").read()
    print("gomp" not in maps, "tbb" not in maps)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="fork, and /proc")
def test_large_games_in_threads_and_after_a_fork(code_directory):
    """No pool of an OpenMP library is left alive, nor needed."""
    words = run(MANY, NUMBA_CACHE_DIR=str(code_directory))
    assert words == ["True", "True", "True", "optimal", "True", "True", "True"]


def test_threads_that_compile_the_same_function_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiling._compiled.cache_clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda x: compiling.compiled(_quarter)(8.0 * x), range(16)))
    assert found == [2.0 * x for x in range(16)]
    compiling._compiled.cache_clear()


def test_machine_code_depends_on_the_constants_it_was_compiled_with(monkeypatch):
    """A kept file must not outlive a change of a number that the code refers to by name."""
    from tradefl.solvers import deviations, many

    stand_ins = compiled_accuracy(random_game(0, 2, accuracy="sqrt-loss").accuracy)[1]

    def directory():
        return compiling._directory(many.deviations, stand_ins)

    before = directory()
    assert directory() == before
    for name in ("ROUNDING", "SEARCH_STEPS", "GOLDEN"):
        with monkeypatch.context() as patch:
            patch.setattr(deviations, name, 2 * getattr(deviations, name))
            assert directory() != before
    assert directory() == before


PAIR = """
import numpy as np
from tradefl.solvers.compiled import compiled

def figure(x):
    raise NotImplementedError

def double(x):
    return 2.0 * x

def square(x):
    return x * x

def between(x):
    total = 0.0
    MANY
    return total

def each(xs, out):
    for k in range(xs.size):
        out[k] = between(xs[k])

def main(*names):
    for name in names:
        out = np.zeros(2)
        stand_ins = {figure: {"double": double, "square": square}[name]}
        compiled(each, stand_ins)(np.array([3.0, 5.0]), out)
        print(*out)
"""


def test_code_that_two_processes_kept_does_not_mix_in_a_third(tmp_path):
    """numba links by name: what stands in for another function has to be part of the name."""
    # Only what a module of this package refers to by name is compiled along: it seems to be one.
    # It is so long that it is called, rather than inlined into what calls it.
    many = "\n    ".join(f"if x > {k}.5:\n        total += figure(x) / x" for k in range(200))
    source = PAIR.replace("MANY", many)
    (tmp_path / "tradefl_pair.py").write_text(source, encoding="utf-8")
    script = "import sys, tradefl_pair; tradefl_pair.main(*sys.argv[1:])"

    def printed(*names):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", script, *names],
            capture_output=True, text=True, check=False, env=environment, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert printed("double") == ["6.0", "10.0"]
    assert printed("square") == ["9.0", "25.0"]
    assert list((tmp_path / "cache").rglob("*.nbc"))
    assert printed("double", "square") == ["6.0", "10.0", "9.0", "25.0"]
    assert printed("square", "double") == ["9.0", "25.0", "6.0", "10.0"]


def test_making_machine_code_takes_no_working_time(monkeypatch):
    """Or the first report on a machine would call undecided what the second proves."""
    now = [100.0]
    monkeypatch.setattr(compiling.time, "perf_counter", lambda: now[0])

    class Dispatcher:
        nopython_signatures = ()

        def __call__(self):
            now[0] += 30.0  # it compiles, and works for 30 s each time afterwards
            self.nopython_signatures = ("made",)

    call = compiling._guarded(Dispatcher())
    before = compiling.working_time()
    call()
    assert compiling.working_time() == pytest.approx(before)
    call()
    assert compiling.working_time() == pytest.approx(before + 30.0)
