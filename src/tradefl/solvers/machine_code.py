"""Machine code on disk: kept where that is possible, and never a reason to fail.

numba's own cache raises what reading and writing its files raises: a truncated index, an empty
code file, or a full disk would end a computation that needs no cache. Here such a file is removed
and the code compiled again. Each file ends with a digest of its content, so damaged machine code
is never run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

SEAL = hashlib.sha256().digest_size


def cache_directory() -> Path | None:
    """Return where machine code is kept; ``None`` if this user has no place for it.

    ``NUMBA_CACHE_DIR``, else ``XDG_CACHE_HOME``, else ``~/.cache``. A user id without a home, as
    containers are started with, has none.
    """
    own = os.environ.get("NUMBA_CACHE_DIR")
    if own:
        return Path(own) / "tradefl"
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "tradefl"
    try:
        return Path.home() / ".cache" / "tradefl"
    except RuntimeError:
        return None


def kept_in(function: Any, directory: Path) -> Any:
    """Return a cache for the code of a function, in a directory that is named after that code.

    Only this module relies on numba's internals; without them nothing is kept.
    """
    import numba.core.caching

    caching: Any = numba.core.caching

    # Private until numba 0.62.
    provided: Any = getattr(caching, "UserProvidedCacheLocator", None)
    provided = provided or caching._UserProvidedCacheLocator

    class Locator(provided):  # type: ignore[misc]
        def __init__(self, py_func: Any, py_file: str) -> None:
            self._py_file, self._lineno = py_file, py_func.__code__.co_firstlineno
            self._cache_path = str(directory)

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            return cls(py_func, py_file)

        def get_source_stamp(self) -> str:
            return ""  # the directory's name is a digest of the code

    class Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
        _locator_classes = (Locator,)

    class Files(caching.IndexDataCacheFile):  # type: ignore[misc]
        def _dump(self, thing: Any) -> bytes:
            content: bytes = super()._dump(thing)
            return content + hashlib.sha256(content).digest()

        def _load_index(self) -> Any:
            place = Path(self._index_path)
            with contextlib.suppress(FileNotFoundError), place.open("rb") as stream:
                pickle.load(stream)  # noqa: S301 - numba's version, before what is sealed
                _require_seal(stream.read())
            return super()._load_index()

        def _load_data(self, name: str) -> Any:
            _require_seal(Path(self._data_path(name)).read_bytes())
            return super()._load_data(name)

        def remove(self) -> None:
            stem = str(self._index_name).removesuffix(".nbi")
            for path in [Path(self._index_path), *directory.glob(f"{stem}.*.nbc")]:
                with contextlib.suppress(OSError):
                    path.unlink()

    class Cache(caching.FunctionCache):  # type: ignore[misc]
        _impl_class = Implementation

        def __init__(self, py_func: Any) -> None:
            super().__init__(py_func)
            self._cache_file = Files(self._cache_path, self._impl.filename_base, "")

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)
            except Exception:  # whatever is wrong with the files, the code can be compiled
                self._cache_file.remove()
                return None

        def save_overload(self, sig: Any, data: Any) -> None:
            # A full or read-only disk, or an index that broke in the meantime.
            with contextlib.suppress(Exception):
                super().save_overload(sig, data)

    return Cache(function)


def for_any_number(dispatcher: Any) -> Any:
    """Return what compiles a function, made to compile it once for all constants that it is given.

    numba compiles a function called with -1 apart from one that is called with an integer, and with
    it all that it calls.
    """
    import numba.core.types

    unliteral: Any = numba.core.types.unliteral
    template = dispatcher.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        named = {name: unliteral(kind) for name, kind in kws.items()}
        return template(tuple(unliteral(kind) for kind in args), named)

    with contextlib.suppress(AttributeError):  # without it there is more to compile
        dispatcher.get_call_template = get_call_template
    return dispatcher


def _require_seal(content: bytes) -> None:
    if hashlib.sha256(content[:-SEAL]).digest() != content[-SEAL:]:
        raise ValueError("damaged machine code")
