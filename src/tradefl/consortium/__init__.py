"""The consortium file: TOML to a validated :class:`Consortium` and back.

Every input error is born here; each names the file, the key path and what was expected, and
all that can be found are reported at once.
"""

from tradefl.consortium.consortium import Consortium
from tradefl.consortium.reading import load
from tradefl.consortium.writing import sample, write

__all__ = ["Consortium", "load", "sample", "write"]
