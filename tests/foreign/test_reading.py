"""Foreign files and answers: read within limits, refused with one line that says what and why."""

import os
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefl.errors import InputError
from tradefl.foreign import (
    Limits,
    limits,
    parse_json,
    parse_toml,
    read_bytes,
    read_chunks,
    read_json,
    read_text,
)

SMALL = Limits(bytes=1000, toml_bytes=1000, keys=20, values=30, depth=5, digits=10)


def refusal(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    (line,) = caught.value.lines()
    assert "\n" not in line
    return line


# --- files --------------------------------------------------------------------------------------


def test_a_regular_file_up_to_the_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_bytes(path, 100) == b"x" * 100
    line = refusal(read_bytes, path, 99)
    assert line == (
        f"{path}: has more bytes than the limit; expected at most 99; if you trust its origin, "
        "raise the limit with TRADEFL_MAX_BYTES"
    )


def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert refusal(read_bytes, tmp_path / "fifo").endswith("is a pipe, expected a regular file")
    assert refusal(read_bytes, "/dev/zero").endswith("is a device, expected a regular file")
    assert refusal(read_bytes, tmp_path).endswith("is a directory, expected a file")
    assert refusal(read_bytes, tmp_path / "none").endswith("no such file")
    assert "cannot be read" in refusal(read_bytes, "a\x00b")


def test_a_pipe_that_the_process_holds_already_is_read_to_its_end():
    # As of a shell's <(...).
    end, start = os.pipe()
    os.write(start, b"name = 1\n")
    os.close(start)
    try:
        assert read_text(f"/dev/fd/{end}") == "name = 1\n"
    finally:
        os.close(end)


def test_an_endless_answer_is_read_up_to_the_limit():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield b"x" * 100

    assert "more bytes than the limit" in refusal(read_chunks, endless(), "node", 1000)
    assert len(taken) == 11


# --- limits -------------------------------------------------------------------------------------


def test_the_environment_raises_a_limit(monkeypatch):
    monkeypatch.setenv("TRADEFL_MAX_ROWS", "7000000")
    assert limits().rows == 7_000_000
    assert limits().bytes == Limits().bytes


@pytest.mark.parametrize("text", ["", "0", "-1", "1e6", "many", "9" * 5000, "\x1b[2J", "١"])
def test_a_limit_is_a_whole_number(monkeypatch, text):
    monkeypatch.setenv("TRADEFL_MAX_ROWS", text)
    line = refusal(limits)
    assert line.startswith("TRADEFL_MAX_ROWS: expected a whole number")
    assert len(line) < 200
    assert line.isprintable()


@pytest.mark.parametrize(("field", "most"), [("digits", 4_300), ("depth", 200)])
def test_a_parser_s_own_ceiling_is_the_highest_limit(monkeypatch, field, most):
    variable = f"TRADEFL_MAX_{field.upper()}"
    monkeypatch.setenv(variable, str(most + 1))
    line = refusal(limits)
    assert line.startswith(f"{variable}: expected a whole number between 1 and {most:,}, which is")
    monkeypatch.setenv(variable, str(most))
    digits, lists = "9" * 4_300, "[" * 199 + "]" * 199  # the document is the 200th
    if field == "digits":
        assert parse_json(digits, "a") == int(digits)
        assert parse_toml(f"x = {digits}", "a") == {"x": int(digits)}
        for parse, text in ((parse_json, digits + "9"), (parse_toml, f"x = {digits}9")):
            assert "expected at most 4,300; more cannot be read" in refusal(parse, text, "a")
    else:
        tables = "x = " + "{x = " * 200 + "1" + "}" * 200
        assert parse_json(lists, "a")
        assert parse_toml(f"x = {lists}", "a")
        assert parse_toml(tables, "a")
        assert parse_toml(".".join("x" * 200) + " = 1", "a")
        deeper = tables.replace("1", "[1]")
        assert "expected at most 200; more cannot be read" in refusal(parse_toml, deeper, "a")


# --- JSON ---------------------------------------------------------------------------------------


def test_json_is_read(tmp_path):
    (tmp_path / "file.json").write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, "x", null]}')
    assert read_json(tmp_path / "file.json") == {"a": [1, 2.5, "x", None]}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1" * 301, "more digits"),
        ('{"a": -' + "7" * 301 + "}", "more digits"),
        ("1" * 100_000, "more digits"),
        ("0." + "1" * 400, "more digits"),
        ("[" * 100_000, "recursion limit"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "recursion limit"),
        ("[NaN]", "not valid JSON"),
        ("[Infinity]", "not valid JSON"),
        ('"\\ud800"', "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" + "[]," * 2_000_000 + "1]", "up to 4,000,002 values"),
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_refused(text, what):
    line = refusal(parse_json, text, "answer")
    assert line.startswith("answer: ")
    assert what in line


def test_json_beyond_a_limit_names_the_variable_that_raises_it():
    assert "TRADEFL_MAX_BYTES" in refusal(parse_json, '"' + "x" * 1000 + '"', "a", SMALL)
    assert "TRADEFL_MAX_VALUES" in refusal(parse_json, "[1" + ",1" * 30 + "]", "a", SMALL)
    assert "TRADEFL_MAX_DIGITS" in refusal(parse_json, "12345678901", "a", SMALL)


@pytest.mark.parametrize("text", ['"' + "1" * 50 + '"', '["\\"' + "1" * 50 + '"]', "1234567890"])
def test_digits_inside_a_string_are_no_number(text):
    parse_json(text, "answer", SMALL)


# --- TOML ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (".".join("a" * 40_000) + " = 1", "line 1: not valid TOML: a key has too many dots"),
        ("\n\n[" + ".".join("a" * 40_000) + "]", "line 3: not valid TOML: a key has too many"),
        ("x = {" + " . ".join(["'a'"] * 40_000) + " = 1}", "a key has too many dots"),
        ('x = """\n\n"""\n' + ".".join('"a"' for _ in range(99)) + "=1", "line 4: not valid TOML"),
        ("x = " + "[" * 100_000, "nested too deeply"),
        ("x = " + "{a=" * 100_000, "nested too deeply"),
        ("x = " + "1" * 100_000, "a number has too many digits"),
        ("x = 0b" + "1" * 2_000, "a number has too many digits"),
        ("x = " + "1_" * 400 + "1", "a number has too many digits"),
        ("\n".join(f"k{i}=[]" for i in range(400_001)), "has too many keys"),
        ("x = [" + "[]," * 2_000_001 + "]", "values"),
        ("#" * (2**24 + 1), "TRADEFL_MAX_TOML_BYTES"),
        ("x = '\x1b[2J", "not valid TOML"),
    ],
    ids=lambda text: text[:12],
)
def test_toml_that_is_refused_before_it_is_parsed(text, what, monkeypatch):
    if "\x1b" not in text:
        monkeypatch.setattr(tomllib, "loads", lambda _: pytest.fail("was parsed"))
    line = refusal(parse_toml, text, "file.toml")
    assert what in line
    assert line.isprintable()


@pytest.mark.parametrize(
    ("text", "key"),
    [("[a]\nb = [1, 0x" + "f" * 5_000 + "]", "a.b[1]"), ("x = 0x" + "a" * 260, "x")],
)
def test_integers_of_other_bases_have_the_same_limit(text, key):
    assert f"{key}: a number has too many digits" in refusal(parse_toml, text, "file.toml")
    assert parse_toml("x = 0xffff_ffff", "file.toml") == {"x": 2**32 - 1}


@pytest.mark.parametrize(
    "text",
    [
        "x = '" + "." * 100 + "'",
        'x = "' + "[" * 20 + '\\" ]]] "',
        "x = '''\n" + "a.b.c\n" * 100 + "'''",
        '# "\n' + "".join(f"k{i} = 1.5 # .....................\n" for i in range(19)),
        "x = [\n" + "0.5,\n" * 25 + "]\n",
        'x = """a""""\ny = [1]',
    ],
)
def test_what_strings_and_comments_hold_is_no_structure(text):
    assert parse_toml(text, "file.toml", SMALL) == tomllib.loads(text)


@given(
    text=st.lists(
        st.sampled_from(
            [*list(".=[]{},\n#\"' "), '"""', "'''", "\\", "a", "bc", "1", "1.5", "[[", "]]", "x = "]
        ),
        max_size=40,
    ).map("".join)
)
def test_the_count_never_misses_what_the_parser_finds(text):
    try:
        document = tomllib.loads(text)
    except ValueError:
        return
    assert parse_toml(text, "file.toml") == document

    def keys(value):
        if isinstance(value, dict):
            return len(value) + sum(map(keys, value.values()))
        return sum(map(keys, value)) if isinstance(value, list) else 0

    found = keys(document)
    if found > 1:
        refusal(parse_toml, text, "file.toml", Limits(keys=found - 1))
