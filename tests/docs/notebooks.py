"""``python -m tests.docs.notebooks``: execute the notebooks of the docs, and store outputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def executed(notebook: Path) -> Any:
    """Return a notebook as the site's build executes it."""
    sys.path.insert(0, str(ROOT / "docs" / "hooks"))
    try:
        import pictures
    finally:
        del sys.path[0]
    return pictures.run(notebook)


def printed(content: Any) -> list[list[str]]:
    """Return what each cell printed, line by line."""
    return [
        [
            line.rstrip()
            for output in cell.outputs
            if output.output_type == "stream"
            for line in output.text.splitlines()
        ]
        for cell in content.cells
        if cell.cell_type == "code"
    ]


def rewrite() -> None:
    """Store the outputs."""
    import nbformat

    for notebook in NOTEBOOKS:
        content = executed(notebook)
        content.metadata = {"kernelspec": content.metadata["kernelspec"]}
        notebook.write_text(nbformat.writes(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    rewrite()
