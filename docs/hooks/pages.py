"""What the site does beyond MkDocs.

* The navigation is the list of links in ``README.md``; there is no second list.
* Pages may link to files of the repository outside ``docs``, and to folders. The site has a page
  for each of these: a file's text, a folder's files. It has no repository to link to.
* Pictures and notebooks are made as the site is built (``pictures.py``).
* The JSON Schema of every document is in ``reference/schemas``, from the models that write them.
"""

from __future__ import annotations

import json
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from tradefl.documents.schemas import json_schemas

sys.path.insert(0, str(Path(__file__).parent))
import pictures  # MkDocs loads a hook by its path

HEADING = re.compile(r"## (?P<title>.+)")
ENTRY = re.compile(r"- \[(?P<title>.+?)\]\((?P<target>[^)#]+\.(?:md|ipynb))\)")
LINK = re.compile(r"(?<=\]\()(?P<target>(?:\.\./)+[^)#\s]+)(?=[)#])")
SCHEMAS = "reference/schemas"
LANGUAGES = {
    ".json": "json",
    ".md": "markdown",
    ".py": "python",
    ".sol": "solidity",
    ".toml": "toml",
}


def navigation(docs: Path, page: str = "README.md") -> list[Any]:
    """Return what a page lists: its headings as sections, its links as their pages.

    A ``README.md`` that is linked to becomes a section too, with what it lists itself.
    """
    entries: list[Any] = [] if page != "README.md" else [page]
    section = entries
    for line in (docs / page).read_text("utf-8").splitlines():
        if heading := HEADING.fullmatch(line):
            section = []
            entries.append({heading["title"]: section})
        elif entry := ENTRY.match(line):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), entry["target"]))
            target = _page_of(target)
            within: Any = target
            if posixpath.basename(target) == "README.md":
                within = [target, *navigation(docs, target)]
            section.append({entry["title"]: within})
    return entries


def _page_of(target: str) -> str:
    """Return where the page of a notebook is; any other path as it is."""
    return re.sub(r"\.ipynb$", ".md", target)


def elsewhere(root: Path, markdown: str, page: str) -> dict[str, str]:
    """Return the links to what MkDocs has no page for, each with its path in the repository."""
    folder = posixpath.join("docs", posixpath.dirname(page))
    found = {}
    for link in LINK.finditer(markdown):
        path = posixpath.normpath(posixpath.join(folder, link["target"]))
        if not path.startswith("docs/") or (root / path).is_dir():
            found[link["target"]] = path
    return found


def shown(root: Path, path: str) -> str:
    """Return the page of a file or folder of the repository.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    place = root / path
    if not place.is_dir():
        return f"# {path}\n\n{_block(place)}"
    files = sorted(entry for entry in place.iterdir() if entry.is_file())
    if path.startswith("docs/"):  # the site has these files
        up = posixpath.relpath(path.removeprefix("docs/"), posixpath.dirname(source(path)))
        return f"# {path}\n\n" + "".join(f"- [{file.name}]({up}/{file.name})\n" for file in files)
    return f"# {path}\n" + "".join(f"\n## {file.name}\n\n{_block(file)}" for file in files)


def _block(file: Path) -> str:
    language = LANGUAGES.get(file.suffix, "text")
    return f"``````{language}\n{file.read_text('utf-8').rstrip()}\n``````\n"


def source(path: str) -> str:
    """Return where in the site the page of a path of the repository is."""
    return f"repository/{path}.md"


# --- MkDocs calls these ---------------------------------------------------------------------------


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the navigation from ``README.md``."""
    config.nav = navigation(Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of what pages link to and MkDocs does not have, and the JSON Schemas."""
    root = Path(config.docs_dir).parent
    paths = {
        path
        for file in files.documentation_pages()
        for path in elsewhere(root, file.content_string, file.src_uri).values()
    }
    for path in sorted(paths):
        text = shown(root, path)
        page = File.generated(
            config, source(path), content=text, inclusion=InclusionLevel.NOT_IN_NAV
        )
        files.append(page)
    _add_made(files, config)
    for name, schema in json_schemas().items():
        text = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        files.append(File.generated(config, f"{SCHEMAS}/{name}.json", content=text))
    return files


def _add_made(files: Files, config: MkDocsConfig) -> None:
    """Add the executed notebooks, and the pictures that pages name."""
    docs = Path(config.docs_dir)
    for notebook in sorted((docs / pictures.NOTEBOOKS).glob("*.ipynb")):
        text, made = pictures.executed(notebook)
        place = f"{pictures.NOTEBOOKS}/{notebook.stem}.md"
        files.append(File.generated(config, place, content=text))
        for name, content in made.items():
            files.append(File.generated(config, f"{pictures.NOTEBOOKS}/{name}", content=content))
    names = {
        name for file in files.documentation_pages() for name in pictures.named(file.content_string)
    }
    for name in sorted(names):
        svg = pictures.PICTURES[name].svg()
        files.append(File.generated(config, f"{pictures.FOLDER}/{name}.svg", content=svg))


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Point such links to those pages, and list the JSON Schemas."""
    here = page.file.src_uri
    if here.startswith("repository/"):
        return markdown
    if here == f"{posixpath.dirname(SCHEMAS)}/json.md":
        schemas = "".join(f"- [{name}](schemas/{name}.json)\n" for name in json_schemas())
        markdown += f"\n## JSON Schema\n\n{schemas}"
    markdown = pictures.shown(markdown, here)
    markdown = re.sub(r"(\]\((?:\.\./)*notebooks/[\w-]+)\.ipynb\)", r"\1.md)", markdown)
    targets = elsewhere(Path(config.docs_dir).parent, markdown, here)

    def inside(link: re.Match[str]) -> str:
        target = link["target"]
        if target not in targets:
            return target
        return posixpath.relpath(source(targets[target]), posixpath.dirname(here) or ".")

    return LINK.sub(inside, markdown)
