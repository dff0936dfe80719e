from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_samples import document

from dlnsweep.errors import SpecError
from dlnsweep.spec import file as sweepfile

TOO_DEEP = "tables or lists are nested deeper than 8; no setting needs that."


def refusal(content: bytes, name: str = "a.toml") -> str:
    with pytest.raises(SpecError) as caught:
        sweepfile.parse(content, name)
    (problem,) = caught.value.problems
    assert problem.isprintable()
    return problem


def set_refusals(*overrides: str) -> list[str]:
    before = document()
    with pytest.raises(SpecError) as caught:
        sweepfile.apply_overrides(before, overrides)
    assert before == document()
    assert all(problem.isprintable() for problem in caught.value.problems)
    return list(caught.value.problems)


def applied(override: str) -> object:
    return sweepfile.apply_overrides({}, [override])["training"]["x"]


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    with pytest.raises(SpecError) as caught:
        sweepfile.read(tmp_path / "none.toml")
    assert str(caught.value) == (
        f"{tmp_path}/none.toml: the sweep file cannot be read: No such file or directory; "
        "name a TOML file."
    )
    with pytest.raises(SpecError, match="cannot be read: Is a directory; name a TOML file"):
        sweepfile.read(tmp_path)


def test_a_path_with_control_characters_gives_a_printable_sentence(tmp_path: Path):
    with pytest.raises(SpecError) as caught:
        sweepfile.read(Path("a\0b\x1b.toml"))
    assert str(caught.value) == (
        "a\\x00b\\x1b.toml: the sweep file cannot be read: embedded null byte; name a TOML file."
    )


def test_a_file_over_the_limit_is_refused_before_it_is_parsed(tmp_path: Path):
    path = tmp_path / "large.toml"
    path.write_bytes(b"# comment\n" * 7000)
    with pytest.raises(SpecError) as caught:
        sweepfile.read(path)
    assert str(caught.value) == (
        f"{path}: the file is larger than 64 KiB, the most that a sweep file may be; use ranges "
        "({ from = ..., to = ..., count = ... }) for long axes."
    )
    sweepfile.parse((b"#" * 1023 + b"\n") * 64, "just fits")


def test_a_long_line_is_refused():
    assert refusal(b"a = 1\n# " + b"x" * 50_000) == (
        "a.toml: line 2 has 50002 bytes; a line may have 4 KiB at most; break the list over "
        "several lines."
    )
    assert "larger than 64 KiB" in refusal(b"x" * 100_000)
    assert "line 1 has 40004 bytes" in refusal(b"a" + b".a" * 20_000 + b"=12")


def test_a_file_that_is_not_utf8_is_refused():
    assert refusal(b'a = 1\nname = "\xe9"\n') == (
        "a.toml: line 2 holds the byte 0xe9, which is not UTF-8; save the file as UTF-8."
    )
    assert "line 1 holds the byte 0xff" in refusal("a = 1".encode("utf-16"))


def test_a_byte_order_mark_is_no_mistake():
    assert sweepfile.parse(b"\xef\xbb\xbfa = 1", "a.toml") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a = ", "a.toml: not TOML: Invalid value (at end of document)."),
        (b"a = 1\na = 2", "a.toml: not TOML: Cannot overwrite a value (at end of document)."),
        (b"a = 1\0", "a.toml: not TOML: "),
        (b"\x1b[31m = 1", "a.toml: not TOML: Invalid statement (at line 1, column 1)."),
        (b"a = " + b"9" * 4000, ""),
        (b"a = 99" + b"9" * 4000 + b"_" + b"9" * 60, ""),
    ],
)
def test_what_is_not_toml_is_refused_with_its_place(content: bytes, expected: str):
    if expected:
        assert refusal(content).startswith(expected)
    else:
        assert isinstance(sweepfile.parse(content, "a.toml")["a"], int)


def test_an_integer_that_python_does_not_read_is_refused():
    digits = b"a = [\n" + b"9" * 4000 + b"9\n]"
    assert isinstance(sweepfile.parse(digits, "a.toml")["a"], list)
    with pytest.raises(SpecError, match="not TOML: Exceeds the limit"):
        sweepfile._loads("a = " + "9" * 5000, "a.toml")


@pytest.mark.parametrize(
    "content",
    [
        b"a = " + b"[" * 9 + b"]" * 9,
        b"a = " + b"[" * 2000 + b"]" * 2000,
        b"a = " + b"{b = " * 300 + b"1" + b"}" * 300,
        b"a" + b".a" * 2000 + b" = 1",
        b"[a" + b".a" * 2000 + b"]",
    ],
)
def test_deep_nesting_is_refused(content: bytes):
    assert refusal(content) == f"a.toml: {TOO_DEEP}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000", 1000),
        ("1e-3", 0.001),
        ("10_000", 10_000),
        (" 5 ", 5),
        ("true", True),
        ('"adam"', "adam"),
        ("'adam'", "adam"),
        ("adam", "adam"),
        ("fan_in", "fan_in"),
        ("fig-4", "fig-4"),
        ("[1, 2]", [1, 2]),
        ('["a", "b"]', ["a", "b"]),
        ("{ from = 1, to = 2, count = 2 }", {"from": 1, "to": 2, "count": 2}),
        ("[1, 2] # why", [1, 2]),
        ("a=b", None),
    ],
)
def test_set_reads_toml_and_bare_words(text: str, value: object):
    if value is None:
        assert set_refusals(f"training.x={text}")
    else:
        assert applied(f"training.x={text}") == value


def test_set_replaces_adds_and_keeps_the_order_of_the_file():
    before = document()
    after = sweepfile.apply_overrides(
        before, ["training.learning_rate=1", "record.count=5", "name=other"]
    )
    assert before == document()
    assert after == document(training__learning_rate=1, record__count=5, name="other")
    assert list(after) == [*document(), "record"]
    assert list(after["training"]) == ["learning_rate", "num_steps"]


def test_bad_sets_are_all_reported_at_once():
    form = "it must be KEY=VALUE, with a key such as training.num_steps."
    advice = "Give a number, true, a list [1, 2], a table { a = 1 }, or a string in quotes."
    found = set_refusals(
        "training.num_steps",
        "=3",
        "training.=3",
        "training.stop_when.below.x=3",
        "a b=3",
        "training.x=1\ny = 2",
        "name.x=2",
        "training.x=",
        "training.x=[1,",
        "training.x=\x1b[31m",
    )
    assert found[:7] == [
        f"--set training.num_steps: {form}",
        f"--set =3: {form}",
        f"--set training.=3: {form}",
        f"--set training.stop_when.below.x=3: {form}",
        f"--set a b=3: {form}",
        "--set training.x=1\\ny = 2: the value holds several lines; give one value.",
        "--set name.x=2: name is no table in the file; a key of it cannot be set.",
    ]
    for sentence, value in zip(found[7:], ("", "[1,", "\\x1b[31m"), strict=True):
        assert sentence == f"--set training.x={value}: '{value}' is not TOML. {advice}"


def test_set_refuses_what_is_too_long_or_too_deep():
    (long,) = set_refusals("training.x=[" + "1," * 20_000 + "]")
    assert long.endswith(": the value is longer than 4 KiB.")
    assert len(long) < 150
    (deep,) = set_refusals("training.x=" + "[" * 10 + "]" * 10)
    assert TOO_DEEP in deep
    (dotted,) = set_refusals("a" + ".a" * 20_000 + "=1")
    assert dotted.endswith("with a key such as training.num_steps.")
    assert len(dotted) < 200


def test_set_reaches_all_figures_or_one_of_them():
    given = {"figure": [{"kind": "curves"}, {"kind": "final", "rc": {"a.b": 1}}]}
    made = sweepfile.apply_overrides(given, ["figure.title=a", "figure.1.rc.font.size=9"])
    first, second = made["figure"]
    assert first == {"kind": "curves", "title": "a"}
    assert second == {"kind": "final", "title": "a", "rc": {"a.b": 1, "font.size": 9}}
    assert given["figure"][1] == {"kind": "final", "rc": {"a.b": 1}}
    alone = sweepfile.apply_overrides({"figure": {}}, ["figure.0.where.network.depth=[2]"])
    assert alone == {"figure": {"where": {"network.depth": [2]}}}
    (missing,) = set_refusals("figure.1.title=a")
    assert missing.endswith("there is no figure.1; the only one is figure.0.")
    # A shell takes the quotes away from title="" and title="My title".
    for text in ("", "My title, at last: (a)", "don\u2019t"):
        made = sweepfile.apply_overrides({}, [f"figure.0.title={text}"])
        assert made == {"figure": {"title": text}}
    assert sweepfile.apply_overrides({}, ['figure.title="a"']) == {"figure": {"title": "a"}}
    for wrong in ("title=[1,", "title=\x1b[31m", 'title="a', "heu=", "hue=a b"):
        assert set_refusals(f"figure.{wrong}")
    (long,) = set_refusals("figure" + ".a" * 20_000 + "=1")
    assert len(long) < 350


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_a_printable_sentence(content: bytes):
    found: tuple[str, ...] = ()
    try:
        sweepfile.parse(content, "x")
    except SpecError as error:
        found = error.problems
    assert all(problem.isprintable() for problem in found)


@given(st.text(max_size=100), st.text(max_size=100))
def test_any_override_is_applied_or_refused_with_a_printable_sentence(key: str, value: str):
    for override in (f"{key}={value}", f"training.x={value}"):
        found: tuple[str, ...] = ()
        try:
            sweepfile.apply_overrides({}, [override])
        except SpecError as error:
            found = error.problems
        assert all(problem.isprintable() for problem in found)


numbers = st.one_of(
    st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)


@given(numbers | st.lists(numbers, max_size=5))
def test_set_gives_back_what_was_written(value: object):
    text = str(value).lower()
    assert applied(f"training.x={text}") == value


def test_an_empty_value_takes_a_key_of_figures_out():
    first, second = {"kind": "final", "hue": "a.b", "where": {"a.b": 1, "c": 2}}, {"kind": "curves"}
    given = {"figure": [first, second]}
    made = sweepfile.apply_overrides(given, ["figure.hue=", "figure.0.where.a.b= "])
    assert made == {"figure": [{"kind": "final", "where": {"c": 2}}, {"kind": "curves"}]}
    assert first["hue"] == "a.b"
    # Words for readers may be none.
    assert sweepfile.apply_overrides({}, ["figure.title="]) == {"figure": {"title": ""}}
    with pytest.raises(
        SpecError, match=r"--set figure.heu=: figure.heu is no key of a figure; did"
    ):
        sweepfile.apply_overrides(given, ["figure.heu="])
    # Of a run there is no setting to take out.
    with pytest.raises(SpecError, match="is not TOML"):
        sweepfile.apply_overrides({"training": {"x": 1}}, ["training.x="])


def test_a_figure_of_another_kind_keeps_its_one_observable():
    rows = ["figure.x=a.b", "figure.y=c.d"]
    for y in ("loss", ["loss"]):
        given = {"figure": {"kind": "curves", "y": y}}
        made = sweepfile.apply_overrides(given, ["figure.kind=heatmap", *rows])
        assert made["figure"] == {"kind": "heatmap", "x": "a.b", "y": "c.d", "value": "loss"}
        # The setting of the rows is nobody's guess; what is meant stands.
        made = sweepfile.apply_overrides(given, ["figure.kind=heatmap", "figure.value=other"])
        assert made["figure"] == {"kind": "heatmap", "value": "other"}
        made = sweepfile.apply_overrides(given, ["figure.kind=spectrum"])
        assert made["figure"] == {"kind": "spectrum", "y": "loss"}
        made = sweepfile.apply_overrides(given, ["figure.kind=spectrum", "figure.y=values"])
        assert made["figure"] == {"kind": "spectrum", "y": "values"}
        assert given == {"figure": {"kind": "curves", "y": y}}
    several = {
        "figure": [{"kind": "final", "y": ["loss"]}, {"kind": "final", "y": ["loss", "error"]}]
    }
    told = r"figure.1.y is .*, and .* 'heatmap' shows one .* --set figure.1.value=loss"
    with pytest.raises(SpecError, match=told):
        sweepfile.apply_overrides(several, ["figure.kind=heatmap", *rows])
    made = sweepfile.apply_overrides(
        several, ["figure.kind=heatmap", *rows, "figure.1.value=error"]
    )
    assert [each["value"] for each in made["figure"]] == ["loss", "error"]
    with pytest.raises(SpecError, match=r"'spectrum' shows one observable: say .* figure.1.y=loss"):
        sweepfile.apply_overrides(several, ["figure.1.kind=spectrum"])
    # Nothing else is touched.
    made = sweepfile.apply_overrides(several, ["figure.kind=scatter", "figure.x=error"])
    assert [each["y"] for each in made["figure"]] == [["loss"], ["loss", "error"]]
