"""``python -m tradefl.documents DIRECTORY``: write the JSON Schema of every document."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tradefl.consortium.files import atomic_write
from tradefl.documents.schemas import json_schemas


def main(arguments: list[str]) -> None:
    """Write the schemas into the folder that the only argument names."""
    if len(arguments) != 1:
        sys.exit("usage: python -m tradefl.documents DIRECTORY")
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in json_schemas().items():
        text = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        atomic_write(folder / f"{name}.json", text.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
