"""The code behind a function: what its results depend on, and what travels to the workers.

A function of this package is looked up by name in the worker, which has proven that its package is
the driver's. Any other function travels as source text, with every module that it imports from
outside ``site-packages``: were a helper module looked up by name, a node with another file of that
name would compute with that one.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from tradefl.errors import InputError
from tradefl.sweep.identity import PACKAGE

# A guarded script is no module that others could import; its workers import it by this name.
SCRIPT = "_tradefl_script"


@dataclasses.dataclass(frozen=True)
class Source:
    """One module as it travels: its text, its file on the driver, and whether it is a package."""

    text: bytes
    path: str
    package: bool


@dataclasses.dataclass(frozen=True)
class Code:
    """Where workers find a function.

    Attributes
    ----------
    module, name
        What to import there, and which attribute of it.
    sources
        The modules that travel, by name; empty for a function of this package.
    digest
        Of everything above.
    """

    module: str
    name: str
    sources: Mapping[str, Source]
    digest: str


def code_of(function: Callable[..., Any]) -> Code | None:
    """Return the code behind a function, or ``None`` if no file has it.

    Lambdas, functions inside functions, and functions of a notebook or a prompt have no file from
    which another process could load them.

    Raises
    ------
    InputError
        It imports a compiled module from outside ``site-packages``, which cannot travel.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    home = sys.modules.get(module or "")
    if module is None or name is None or home is None or getattr(home, name, None) is not function:
        return None
    if module.partition(".")[0] == PACKAGE:
        return Code(module, name, {}, _digest(f"{module}.{name}", {}))
    path = getattr(home, "__file__", None)
    if module.partition(".")[0] in sys.stdlib_module_names and module != "__main__":
        return None
    if path is None or not path.endswith(".py") or not Path(path).is_file():
        return None
    public = module
    if module == "__main__":
        spec = getattr(home, "__spec__", None)
        public = spec.name if spec is not None else SCRIPT
    sources: dict[str, Source] = {}
    root = public.partition(".")[0]
    queue = [(public, Path(path))]
    while queue:
        public_name, file = queue.pop()
        if public_name in sources:
            continue
        if file.suffix != ".py":
            raise InputError.at(
                "function",
                f"{module}.{name} imports the compiled module {public_name} ({file}), which "
                "cannot travel to the workers; install it into site-packages",
            )
        text = file.read_bytes()
        sources[public_name] = Source(text, str(file), file.name == "__init__.py")
        queue += _imports(public_name, sources[public_name], root)
    for source in list(sources):
        for parent in _parents(source):
            sources.setdefault(parent, Source(b"", "", package=True))  # a namespace package
    return Code(public, name, sources, _digest(f"{public}.{name}", sources))


def _digest(name: str, sources: Mapping[str, Source]) -> str:
    digest = hashlib.sha256(name.encode())
    for module, source in sorted(sources.items()):
        text = source.text.replace(b"\r\n", b"\n")
        digest.update(f"\n{module}\n{len(text)}\n".encode())
        digest.update(text)
    return digest.hexdigest()


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _imports(name: str, source: Source, root: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules that a source imports anywhere, as far as they must travel."""
    package = name if source.package else name.rpartition(".")[0]
    asked: set[str] = set(_parents(name))
    for node in ast.walk(ast.parse(source.text, source.path)):
        if isinstance(node, ast.Import):
            asked.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            asked.add(base)
            asked.update(f"{base}.{alias.name}" for alias in node.names)
    for module in sorted(asked | {parent for each in asked for parent in _parents(each)}):
        path = _file_of(module)
        top = module.partition(".")[0]
        if path is not None and (
            top == root or not (_is_installed(path) or _has_record(top, path))
        ):
            yield module, Path(path)


def _file_of(name: str) -> str | None:
    """Return the file of a module that would have to travel; None without such a file."""
    top = name.partition(".")[0]
    if not top or top in {PACKAGE, "__main__"} or top in sys.stdlib_module_names:
        return None
    loaded = sys.modules.get(name)
    if loaded is not None:
        path = getattr(loaded, "__file__", None)
        return path if isinstance(path, str) else None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None  # an attribute of a module, or an import that is not meant to succeed
    if spec is None or not spec.has_location:
        return None
    return spec.origin


def _is_installed(path: str) -> bool:
    """Return whether a file is in ``site-packages``, or belongs to Python itself."""
    keys = ("purelib", "platlib", "stdlib", "platstdlib")
    folders = [sysconfig.get_paths()[key] for key in keys]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    place = Path(path).resolve()
    return any(place.is_relative_to(Path(folder).resolve()) for folder in folders)


@functools.cache
def _recorded() -> dict[str, list[Path]]:
    """Return where distributions have installed each top-level module."""
    found: dict[str, list[Path]] = {}
    for name, distributions in importlib.metadata.packages_distributions().items():
        for distribution in distributions:
            place = importlib.metadata.distribution(distribution).locate_file("")
            found.setdefault(name, []).append(Path(str(place)).resolve())
    return found


def _has_record(top: str, path: str) -> bool:
    """Return whether a file was installed outside ``site-packages``, by ``pip --target`` perhaps.

    An editable install has its record in one place and its files in another: it travels.
    """
    place = Path(path).resolve()
    return any(place.is_relative_to(folder / top) for folder in _recorded().get(top, ()))


class _Finder:
    """Finds modules among sources that have travelled, before any file of this machine."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources

    def find_spec(self, name: str, *_: Any) -> Any:
        """Return the spec of a module that travelled."""
        source = self.sources.get(name)
        if source is None:
            return None
        origin = source.path or None
        spec = importlib.util.spec_from_loader(
            name, cast(Any, _Loader(source)), origin=origin, is_package=source.package
        )
        if spec is not None and origin is not None:
            spec.has_location = True
            spec.cached = None
        return spec


class _Loader:
    def __init__(self, source: Source) -> None:
        self.source = source

    def create_module(self, spec: Any) -> None:
        """Leave the module's creation to Python."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the source text."""
        place = self.source.path or f"<{module.__name__}>"
        exec(compile(self.source.text, place, "exec"), module.__dict__)  # noqa: S102

    def get_source(self, _: str) -> str:
        """Return the source text, for tracebacks."""
        return self.source.text.decode("utf-8", "replace")


_installed: dict[str, _Finder] = {}


def load(code: Code) -> Callable[..., Any]:
    """Return the function, in a worker: from the sources that travelled, or by name."""
    if code.sources and code.digest not in _installed:
        for finder in _installed.values():
            for name in finder.sources:
                sys.modules.pop(name, None)  # of an earlier sweep, perhaps other code
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
        _installed.clear()
        finder = _Finder(code.sources)
        for name in code.sources:
            sys.modules.pop(name, None)
        sys.meta_path.insert(0, finder)
        _installed[code.digest] = finder
    found: Any = importlib.import_module(code.module)
    for part in code.name.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function
