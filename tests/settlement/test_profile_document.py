"""The contributions to settle, read from a solution or from what training has measured."""

import json

import pytest
from tests.settlement.consortia import account, accounts, consortium, organization

import tradefl
from tradefl.errors import InputError
from tradefl.settlement import Agreement, Report
from tradefl.settlement.profile import read_reports


@pytest.fixture
def agreed():
    members = [
        organization("Alpha", address=account(0)),
        organization("Beta", address=account(1), cpu_levels_hz=[3e9]),
    ]
    return Agreement.of(consortium(members))


def solved():
    return [2e9, 3e9]


TRAINING = "tradefl/training/1"


def unneeded():
    raise AssertionError("every entry has its cpu_hz")


def entry(name, fraction=0.5, cpu_hz=None, **more):
    cpu_hz = {"Alpha": 1e9, "Beta": 3e9}.get(name, 1e9) if cpu_hz is None else cpu_hz
    return {"name": name, "data_fraction": fraction, "cpu_hz": cpu_hz, **more}


def measured(name, fraction, **more):
    return {"name": name, "pledged_fraction": 0.9, "measured_fraction": fraction, **more}


@pytest.fixture
def read(agreed, tmp_path):
    def attempt(document, levels=unneeded):
        path = tmp_path / "profile.json"
        text = document if isinstance(document, str) else json.dumps(document)
        path.write_text(text, "utf-8")
        return read_reports(path, agreed, levels)

    return attempt


@pytest.fixture
def problems(read, tmp_path):
    def attempt(document, levels=unneeded):
        with pytest.raises(InputError) as caught:
            read(document, levels)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return attempt


def both(**changes):
    return {"organizations": [entry("Alpha", **changes), entry("Beta")]}


# --- what it reads -------------------------------------------------------------------------------


def test_a_solution(read):
    assert read({"organizations": [entry("Beta", 0.25), entry("Alpha", 1)]}) == [
        Report(data_ppb=10**9, cpu_hz=10**9),
        Report(data_ppb=250_000_000, cpu_hz=3 * 10**9),
    ]


def test_a_solution_as_the_package_writes_it(tmp_path):
    built = tradefl.load("examples/paper.toml")
    agreed = Agreement.of(built, accounts(10))
    solution = tradefl.solve(built, method="dbr")
    path = tmp_path / "solution.json"
    path.write_text(json.dumps(solution.to_dict()), "utf-8")
    assert read_reports(path, agreed, unneeded) == agreed.reports(solution.profile)


def test_a_training_takes_its_levels_from_the_solution(read):
    document = {
        "schema": TRAINING,
        "organizations": [measured("Alpha", 0.4222), measured("Beta", 1.0)],
    }
    assert read(document, solved) == [
        Report(data_ppb=422_200_000, cpu_hz=2 * 10**9),
        Report(data_ppb=10**9, cpu_hz=3 * 10**9),
    ]


def test_a_training_that_says_its_levels_needs_no_solution(read):
    entries = [measured("Alpha", 0.5, cpu_hz=1e9), measured("Beta", 0.5, cpu_hz="3000000000")]
    assert [entry.cpu_hz for entry in read({"schema": TRAINING, "organizations": entries})] == [
        10**9,
        3 * 10**9,
    ]


def test_measured_goes_before_pledged_and_before_solved(read):
    entries = [entry("Alpha", 0.9, measured_fraction=0.3), entry("Beta")]
    assert read({"schema": TRAINING, "organizations": entries})[0].data_ppb == 300_000_000


@pytest.mark.parametrize("schema", [None, "tradefl/solution/1"])
def test_measured_contributions_are_those_of_a_training_document(problems, schema):
    document = {"organizations": [measured("Alpha", 0.5), measured("Beta", 0.5)]}
    if schema is not None:
        document["schema"] = schema
    [line] = problems(document)
    assert line.startswith(f"profile.json: schema: expected '{TRAINING}' for measured contributio")


def test_the_levels_are_asked_for_once(read):
    asked = []

    def levels():
        asked.append(1)
        return solved()

    read(
        {"schema": TRAINING, "organizations": [measured("Alpha", 0.5), measured("Beta", 0.5)]},
        levels,
    )
    assert asked == [1]


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, "0"])
def test_a_fraction_of_zero_is_silence(read, zero):
    first, second = read(both(fraction=zero, cpu_hz=123.0))
    assert first == Report(data_ppb=0, cpu_hz=0)
    assert not second.silent


def test_d_min_itself_is_enough(read):
    assert read(both(fraction=0.01))[0].data_ppb == 10_000_000


# --- what it refuses -----------------------------------------------------------------------------


def test_no_such_file(agreed, tmp_path):
    with pytest.raises(InputError, match=r"absent\.json: no such file"):
        read_reports(tmp_path / "absent.json", agreed, unneeded)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "profile.json: not valid JSON: "),
        ("", "profile.json: is empty"),
        ("name = 1", "profile.json: not valid JSON: "),
        ("[]", "profile.json: expected a solution or training document with organizations"),
        ("3", "profile.json: expected a solution or training document with organizations"),
        ("{}", "profile.json: expected a solution or training document with organizations"),
        ('{"organizations": {}}', "profile.json: expected a solution or training document"),
        ('{"organizations": [1]}', "profile.json: organizations[0]: expected a table, got 1"),
    ],
)
def test_no_document(problems, text, expected):
    (found,) = problems(text)
    assert found.startswith(expected)


def test_an_organization_that_is_missing(problems):
    assert problems({"organizations": [entry("Alpha")]}) == [
        "profile.json: organizations: 'Beta' is missing"
    ]
    assert len(problems({"organizations": []})) == 2


def test_an_organization_that_is_not_in_the_consortium(problems):
    entries = [entry("Alpha"), entry("Beta"), entry("Bta"), {"data_fraction": 0.5}]
    assert problems({"organizations": entries}) == [
        "profile.json: organizations[2].name: no organization 'Bta' in the consortium "
        "(did you mean 'Beta'?)",
        "profile.json: organizations[3].name: no organization None in the consortium",
    ]


def test_an_organization_that_stands_twice(problems):
    entries = [entry("Alpha"), entry("Beta"), entry("Alpha")]
    assert problems({"organizations": entries}) == [
        "profile.json: organizations: 'Alpha' occurs twice"
    ]


@pytest.mark.parametrize(
    "name",
    [
        ["Alpha"],
        {"a": 1},
        1,
        True,
    ],
)
def test_a_name_that_is_no_text(problems, name):
    found = problems({"organizations": [entry("Alpha"), entry("Beta"), {"name": name}]})
    assert found[0].startswith("profile.json: organizations[2].name: no organization ")


@pytest.mark.parametrize(
    "value",
    ["-0.5", "true", "false", '"0.5"', '"half"', "[0.5]", "1e300"],
)
@pytest.mark.parametrize("key", ["data_fraction", "cpu_hz"])
def test_a_value_that_is_no_number(problems, key, value):
    fields = {"data_fraction": "0.5", "cpu_hz": "1e9"} | {key: value}
    alpha = ", ".join(f'"{name}": {text}' for name, text in fields.items())
    beta = json.dumps(entry("Beta"))
    (found,) = problems(f'{{"organizations": [{{"name": "Alpha", {alpha}}}, {beta}]}}')
    assert found.startswith(f"profile.json: Alpha: {key}: expected a number >= 0, got ")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_know_is_refused(problems, value):
    (found,) = problems(f'{{"organizations": [{{"name": "Alpha", "data_fraction": {value}}}]}}')
    assert found.startswith("profile.json: not valid JSON")


def test_a_value_that_is_missing(problems):
    assert problems({"organizations": [{"name": "Alpha", "cpu_hz": 1e9}, entry("Beta")]}) == [
        "profile.json: Alpha: data_fraction: is missing"
    ]
    document = {"organizations": [entry("Alpha"), {**entry("Beta"), "cpu_hz": None}]}
    assert problems(document) == ["profile.json: Beta: cpu_hz: is missing"]


@pytest.mark.parametrize("value", ["9" * 5000, "9" * 30, "٣", "²"])
def test_text_that_only_looks_like_a_number(problems, value):
    assert len(problems(both(cpu_hz=value))) == 1


@pytest.mark.parametrize("fraction", [0.009, 1e-12, 1.1, 2**63])
def test_a_fraction_out_of_its_range(problems, fraction):
    (found,) = problems(both(fraction=fraction))
    assert found.startswith(
        "profile.json: Alpha: data_fraction: expected a number in [0.01, 1], or 0 for nothing, got "
    )


def test_a_level_that_is_not_the_organization_s(problems):
    assert problems(both(cpu_hz=3e9)) == [
        "profile.json: Alpha: cpu_hz: expected one of 1e+09, 2e+09, got 3e+09"
    ]


def test_everything_that_is_wrong_is_told_at_once(problems):
    entries = [entry("Alpha", "x", -1), entry("Beta", True, "y")]
    assert [problem.split(": expected")[0] for problem in problems({"organizations": entries})] == [
        "profile.json: Alpha: data_fraction",
        "profile.json: Alpha: cpu_hz",
        "profile.json: Beta: data_fraction",
        "profile.json: Beta: cpu_hz",
    ]


def test_every_infeasible_contribution_is_told_at_once(problems):
    infeasible = [entry("Alpha", 0.001), entry("Beta", 0.5, 1e9)]
    assert [
        problem.split(": expected")[0] for problem in problems({"organizations": infeasible})
    ] == [
        "profile.json: Alpha: data_fraction",
        "profile.json: Beta: cpu_hz",
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "tradefl/solution/9"),
        ("schema", 1),
        ("consortium", "another"),
        ("status", "infeasible"),
        ("status", "iteration_limit"),
    ],
)
def test_a_document_of_another_kind(problems, key, value):
    (found,) = problems({**both(), key: value})
    assert found.startswith(f"profile.json: {key}: expected ")
