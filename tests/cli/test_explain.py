"""``tradefl explain``: statements, in text, Markdown and JSON, and who pays whom."""

import re

import pytest
from tests.cli.command import assert_refused, run
from tests.cli.test_check import rows_of
from tests.cli.test_solve import save_many
from tests.consortium.documents import NAMES, document, organization, save

# Everything that Markdown or a table could take for its own.
AWKWARD = ["a|b", "*Bold* & _Co_", "<b>`x`</b>\\[link](y)"]


def awkward(folder):
    changes = {f"organization.{k}.name": name for k, name in enumerate(AWKWARD)}
    competition = {"pairs": [[AWKWARD[0], AWKWARD[1], 0.1], [AWKWARD[1], AWKWARD[2], 0.1]]}
    given = document({**changes, "competition": competition, "name": "cross|silo *FL*"})
    return save(folder, given)


# --- JSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dbr", "wpr"])
def test_json_explains_the_solution_of_solve(tmp_path, method):
    path = save(tmp_path, document())
    ran = run("explain", path, "--method", method, "--json")
    assert (ran.code, ran.err) == (0, "")
    found, solved = ran.json, run("solve", path, "--method", method, "--json").json
    assert found["schema"] == "tradefl/statement/1"
    for key in ("consortium", "method", "status", "max_regret", "performance", "transfers"):
        assert found[key] == solved[key]
    for statement, entry in zip(found["statements"], solved["organizations"], strict=True):
        assert statement["organization"] == entry["name"]
        for key in ("revenue", "overhead", "damage", "redistribution", "payoff"):
            assert statement["unrounded"][key] == entry[key]
            assert statement[key] == pytest.approx(entry[key], abs=1e-5)
        sections = {line["section"] for line in statement["lines"]}
        assert sections == {"revenue", "overhead", "damage", "redistribution"}
        for line in statement["lines"]:
            assert re.fullmatch(r"Eq\. \(\d+\)(-\(\d+\))?", line["equation"])
            assert isinstance(line["amount"], float)
            assert isinstance(line["calculation"], str)
            assert line["calculation"]


def test_one_organization_in_json(tmp_path):
    path = save(tmp_path, document())
    everybody = run("explain", path, "--json").json
    alone = run("explain", path, "--json", "--organization", "Gamma").json
    assert alone["statements"] == [everybody["statements"][2]]
    with_gamma = [t for t in everybody["transfers"] if "Gamma" in (t["from"], t["to"])]
    assert alone["transfers"] == with_gamma
    assert len(everybody["transfers"]) == 2
    assert len(with_gamma) == 1


# --- text ---------------------------------------------------------------------------------------


def test_the_text_shows_everybody_and_who_pays_whom(tmp_path):
    path = save(tmp_path, document())
    ran, found = run("explain", path), run("explain", path, "--json").json
    assert ran.code == 0, ran.err
    for name, statement in zip(NAMES, found["statements"], strict=True):
        assert f"Payoff statement of {name} in three\n" in ran.out
        assert f"{statement['payoff']:,.6f}" in ran.out
        for line in statement["lines"]:
            assert line["calculation"] in ran.out
    for number in ("Eq. (4)", "Eq. (6)-(7)", "Eq. (8)", "Eq. (9)", "Eq. (11)"):
        assert number in ran.out
    paid = ran.out[ran.out.index("Who pays whom, Eq. (9)") :]
    assert rows_of(paid) == [
        [t["from"], t["to"], f"{t['amount']:,.6f}"] for t in found["transfers"]
    ]
    contributed = rows_of(ran.out)
    assert [row[0] for row in contributed] == list(NAMES)


def test_one_organization_in_text(tmp_path):
    ran = run("explain", save(tmp_path, document()), "--organization", "Beta")
    assert ran.out.count("Payoff statement of") == 1
    assert "Payoff statement of Beta in three\n" in ran.out


def test_without_redistribution_nobody_pays(tmp_path):
    ran = run("explain", save(tmp_path, document()), "--method", "wpr")
    assert ran.code == 0
    assert "nobody pays anybody" in ran.out


def test_zero_is_not_shown_as_less_than_zero(tmp_path):
    changes = {"organization": [organization("Solo")], "mechanism.overhead_weight": 0.0}
    path = save(tmp_path, document({**changes, "competition": {}}))
    for arguments in ([], ["--markdown"]):
        ran = run("explain", path, *arguments)
        assert ran.code == 0
        assert "-0.000000" not in ran.out


def test_below_the_onset_the_zero_is_explained_once(tmp_path):
    path = save(tmp_path, document({"accuracy.untrained_loss": 0.21}))
    ran = run("explain", path, "--organization", "Alpha")
    (line,) = [line.strip() for line in ran.out.splitlines() if line.startswith("  P(Omega) = ")]
    assert line.startswith("P(Omega) = 0, because no more than ")
    assert line.endswith(" units of data leave the model untrained")


# --- Markdown -----------------------------------------------------------------------------------


def markdown_rows(text):
    """The cells of every table row; a pipe after a backslash separates no cells."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_markdown_has_the_numbers_and_well_formed_tables(tmp_path):
    path = save(tmp_path, document())
    ran, found = run("explain", path, "--markdown"), run("explain", path, "--json").json
    assert ran.code == 0, ran.err
    assert ran.out.startswith("# three\n")
    for name in NAMES:
        assert f"\n## Payoff statement of {name}\n" in ran.out
    rows = markdown_rows(ran.out)
    assert {len(row) for row in rows} == {3, 4, 6}
    for statement in found["statements"]:
        assert [
            "Eq. (11)",
            "**Payoff**",
            "sum of the four",
            f"**{statement['payoff']:,.6f}**",
        ] in rows
        for line in statement["lines"]:
            amount = f"{line['amount']:,.6f}"
            assert [line["equation"], line["item"], f"`{line['calculation']}`", amount] in rows
    for transfer in found["transfers"]:
        assert [transfer["from"], transfer["to"], f"{transfer['amount']:,.6f}"] in rows


def unescaped(text):
    return re.sub(r"\\([\\`*_\[\]<>|])", r"\1", text)


def test_markdown_escapes_names_wherever_they_stand(tmp_path):
    ran = run("explain", awkward(tmp_path), "--markdown")
    assert ran.code == 0
    title, *_ = ran.out.splitlines()
    assert title == r"# cross\|silo \*FL\*"
    rows = markdown_rows(ran.out)
    contributions = [row for row in rows if len(row) == 6]
    assert [unescaped(row[0]) for row in contributions[2:]] == AWKWARD
    transfers = [row for row in rows if len(row) == 3][2:]
    assert len(transfers) == 2
    for row in transfers:
        assert {unescaped(cell) for cell in row[:2]} <= set(AWKWARD)
    for name in AWKWARD:
        # Outside of code, no name stands as it is.
        prose = re.sub(r"`[^`\\]*`", "", ran.out)
        assert name not in prose


def test_names_are_printed_as_they_are_in_text_and_json(tmp_path):
    path = awkward(tmp_path)
    ran, found = run("explain", path), run("explain", path, "--json").json
    for name in AWKWARD:
        assert f"Payoff statement of {name} in cross|silo *FL*\n" in ran.out
    assert [statement["organization"] for statement in found["statements"]] == AWKWARD


# --- refusals -----------------------------------------------------------------------------------


def test_an_unknown_organization_gets_a_suggestion(tmp_path):
    path = save(tmp_path, document())
    for asked, what in (
        ("Alpa", "no organization 'Alpa' in {path} (did you mean 'Alpha'?)"),
        ("zzz", "no organization 'zzz' in {path}"),
        ("", "no organization '' in {path}"),
    ):
        ran = run("explain", path, "--organization", asked)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"error: --organization: {what.format(path=path)}\n"


def test_json_and_markdown_at_once_are_refused(tmp_path):
    ran = run("explain", save(tmp_path, document()), "--json", "--markdown")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: --markdown: cannot be combined with --json\n"


def test_statements_of_more_than_a_thousand_are_refused_but_one_is_not(tmp_path):
    path = save_many(tmp_path, 1001)
    for arguments in ([], ["--json"], ["--markdown"]):
        ran = run("explain", path, *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: --organization: expected a name: ")
        assert "1,001 organizations" in ran.err
    ran = run("explain", path, "--json", "--organization", "O1000")
    assert ran.code == 0
    (statement,) = ran.json["statements"]
    assert statement["organization"] == "O1000"
    # O1000 is alone in its sector.
    assert (statement["damage"], statement["redistribution"], ran.json["transfers"]) == (0, 0, [])


def test_a_bad_file_is_refused_before_the_organization_is_looked_for(tmp_path):
    place = "consortium.toml"
    save(tmp_path, document({"energy.capacitance": -1.0}))
    expected = {f"{place}: energy.capacitance": "expected a number >= 0"}
    assert_refused(tmp_path, expected, "explain", tmp_path / place, "--organization", "Nobody")


# --- one organization ---------------------------------------------------------------------------


@pytest.mark.parametrize("competition", [{}, {"default": 0.5}], ids=["none", "default"])
def test_a_consortium_of_one(tmp_path, competition):
    path = save(
        tmp_path, document({"organization": [organization("Solo")], "competition": competition})
    )
    found = run("explain", path, "--json").json
    (statement,) = found["statements"]
    assert {line["section"] for line in statement["lines"]} == {"revenue", "overhead"}
    assert (statement["damage"], statement["redistribution"], found["transfers"]) == (0.0, 0.0, [])
    assert "nobody pays anybody" in run("explain", path).out
    assert run("explain", path, "--markdown", "--organization", "Solo").code == 0
