"""The live console: a consortium in the browser, solved again at every move of a slider."""

from tradefl.errors import require_docstrings

require_docstrings("tradefl dashboard")
