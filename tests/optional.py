"""What a test needs beyond the core: where it is not installed, the test is skipped, by name.

With everything installed, as in the gate, nothing here has any effect: only a module that cannot
be found at all turns an error into a skip.
"""

from __future__ import annotations

import importlib.util
import re

import pytest

from tradefl.errors import EXTRAS

# Of the tests alone.
TOOLS = (
    "coincurve",
    "grimp",
    "jsonschema",
    "markdown_it",
    "matplotlib",
    "playwright",
    "pygambit",
    "pyrevm",
    "pyscipopt",
    "yaml",
)
OPTIONAL = {
    *(module for modules in EXTRAS.values() for module in modules),
    *("eth_abi", "eth_account", "eth_keys", "eth_utils", "eth", "filelock", "grpc", "openpyxl"),
    *(
        "cryptography",
        "platformdirs",
        "polars",
        "requests",
        "torchvision",
        "flwr_datasets",
        "datasets",
    ),
    *TOOLS,
}
MISSING = frozenset(name for name in OPTIONAL if importlib.util.find_spec(name) is None)

# Test files that could not be imported because of one of them.
UNREADABLE: set[str] = set()


def missing_module(error: BaseException | None) -> str | None:
    """Return the optional module without which a test cannot run; None where that is not why."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            name = error.name.partition(".")[0]
            if name in MISSING:
                return name
        elif isinstance(error, ImportError):
            text = str(error)
            # A test file that failed half-way is imported by another.
            half = "cannot import name" in text
            if half and error.name in UNREADABLE:
                return text
            wanted = missing_extra(text)
            if wanted is not None:
                return wanted
        error = error.__cause__ or error.__context__
    return None


def missing_extra(text: str) -> str | None:
    """Return the line that asks for an extra; None unless a module of that extra is missing."""
    for found in re.finditer(
        r".*needs (?:an extra|extras): pip install 'tradefl\[([\w,]+)\]'", text
    ):
        modules = {module for extra in found[1].split(",") for module in EXTRAS.get(extra, ())}
        if modules & MISSING:
            return found[0]
    return None


def skip_without_extra(text: str) -> None:
    """Skip the test if a command ended with the line that asks for an extra."""
    wanted = missing_extra(text)
    if wanted is not None:
        pytest.skip(wanted)
