"""The containers' files, as far as they can be checked without building an image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from tests.cli import command  # noqa: F401  (imports the command line without its warnings)

from tradefl.cli import app

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PAGE = (ROOT / "docs" / "how-to" / "containers.md").read_text("utf-8")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GROUP: Any = app
CONTEXT = click.Context(app)
# What is copied from this repository, not from another stage.
COPIED = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", DOCKERFILE)


def commands() -> list[list[str]]:
    """Return the arguments of tradefl in the composition and on the page."""
    composed = [service["command"] for service in SERVICES.values() if "command" in service]
    shown = re.findall(r"(?m)^docker (?:compose )?run .*? tradefl (.+)$", PAGE)
    return [*composed, *(line.split() for line in shown)]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_the_commands_are_those_that_there_are(arguments: list[str]) -> None:
    plain = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", argument) for argument in arguments]
    plain = [f"{entry}0x{'0' * 40}" if entry == "--contract=" else entry for entry in plain]
    if plain != ["--version"]:
        found = GROUP.get_command(CONTEXT, plain[0])
        found.make_context(plain[0], plain[1:])  # exits where an option or argument is unknown


def test_nobody_is_root_and_nothing_is_open_to_the_network() -> None:
    stages = re.split(r"(?m)^FROM ", DOCKERFILE)[1:]
    final = {re.search(r" AS (\S+)", stage)[1]: stage for stage in stages}  # type: ignore[index]
    assert list(final)[-1] == "tradefl"  # what `docker build .` makes
    for service in SERVICES.values():
        assert "USER 10001:10001" in final[service["build"]["target"]]
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def final_stage() -> str:
    """What `docker build .` makes."""
    return re.split(r"(?m)^FROM ", DOCKERFILE)[-1]


def test_the_image_has_what_the_kernels_need() -> None:
    assert re.search(r"apt-get install .*\blibgomp1\b", final_stage())


def test_an_agent_remembers_what_it_has_signed() -> None:
    """In a volume that any user of the container may write to, where the journal is looked for."""
    (place,) = re.findall(r"XDG_STATE_HOME=(\S+)", final_stage())
    assert f"install --directory --mode=1777 {place}" in final_stage()
    for name in ("node", "tradefl"):
        assert f"state:{place}" in SERVICES[name]["volumes"]
        assert "XDG_STATE_HOME" not in SERVICES[name]["environment"]
    assert "${ORGANIZATION" in COMPOSE["volumes"]["state"]["name"]


def test_private_files_are_not_where_a_partner_s_file_may_name_tables() -> None:
    node = SERVICES["node"]
    assert "RPC" in node["environment"]["TRADEFL_RPC"]
    assert not [entry for entry in node["command"] if entry.startswith("--rpc")]
    folders = {volume.split(":")[-2]: volume.rpartition(":")[2] for volume in node["volumes"][:2]}
    private = [entry.partition("=")[2] for entry in node["command"] if entry.startswith(
        ("--organization", "--keystore"))]  # fmt: skip
    assert len(private) == 2
    assert all(entry.startswith("/private/") for entry in private)
    assert set(folders) == {"/work", "/private"}
    assert set(folders.values()) == {"ro"}
    assert "PRIVATE" in COMPOSE["secrets"]["password"]["file"]
    assert "private" not in str(SERVICES["dashboard"])


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sources = [name for line in COPIED for name in line.split()]
    assert sources
    for name in sources:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored


def test_the_image_has_the_extras_that_there_are() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (extras,) = re.findall(r"(?m)^ARG EXTRAS=(.+)$", DOCKERFILE)
    for extra in extras.split(","):
        assert re.search(rf"(?m)^{extra} = \[", project), extra


def test_the_chain_has_the_packages_of_the_lock_file() -> None:
    (binary,) = re.findall(r"COPY --from=toolchain /contracts/(\S+) ", DOCKERFILE)
    package = binary.partition("/bin/")[0]
    lock = (ROOT / "contracts" / "package-lock.json").read_text("utf-8")
    assert f'"{package}"' in lock


def test_no_place_is_named_where_images_are_kept() -> None:
    images = re.findall(r"(?m)^FROM (\S+)", DOCKERFILE)
    images += [service["image"] for service in SERVICES.values() if "image" in service]
    assert [image for image in images if "/" in image] == []


def test_the_page_says_that_no_image_was_built() -> None:
    assert "**Not built.**" in PAGE
