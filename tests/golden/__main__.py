"""``python -m tests.golden``: rewrite the golden files. Read the difference before committing."""

from __future__ import annotations

import json

from tests.golden.cases import CASES, document, golden_file


def main() -> None:
    """Rewrite every golden file."""
    for example, method in CASES:
        text = json.dumps(document(example, method), indent=1, ensure_ascii=False)
        golden_file(example, method).write_text(text + "\n", encoding="utf-8")


main()
