"""Admission: rules decide as a plain reading of them does, and have one spelling."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.errors import InvalidSetting
from millpond.model.admission import SCANS, Admission, parse_rules

NAMES = ["a.parquet", "t/a.parquet", "t/_tmp/x", "t/p=1/b c.csv", "x;y", ""]
GLOBS = ["**", "*.parquet", "**/*.parquet", "**/_tmp/**", "t/**", "x;y", "t/p=?/b c.csv"]
SIZES = {"0": 0, "1": 1, "64KiB": 65536, "1MiB": 1 << 20, "2GiB": 2 << 30}

conditions = st.fixed_dictionaries(
    {},
    optional={
        "glob": st.sampled_from(GLOBS),
        "min": st.sampled_from(sorted(SIZES)),
        "max": st.sampled_from(sorted(SIZES)),
        "scan": st.lists(st.sampled_from(SCANS), min_size=1, max_size=3, unique=True),
    },
).filter(lambda c: SIZES[c.get("min", "0")] <= SIZES[c.get("max", "2GiB")])
rule = st.tuples(st.sampled_from(["admit", "bypass"]), conditions)


def written(verb: str, said: dict[str, object]) -> str:
    values = {k: ",".join(v) if isinstance(v, list) else str(v) for k, v in said.items()}
    return " ".join([verb, *(f'"{k}={v}"' for k, v in values.items())])


def holds(said: dict[str, object], name: str, length: int, scan: str) -> bool:
    """As the rule reads; the globs chosen mean the same to fnmatch, but for ``*`` over ``/``."""
    glob = said.get("glob")
    if glob == "*.parquet" and "/" in name:
        return False
    if isinstance(glob, str) and not (
        fnmatch.fnmatchcase(name, glob)
        or (glob.startswith("**/") and fnmatch.fnmatchcase(name, glob[3:]))
    ):
        return False
    least, most = SIZES[str(said.get("min", "0"))], SIZES.get(str(said.get("max")), 1 << 63)
    scans = said.get("scan")
    return least <= length <= most and (not isinstance(scans, list) or scan in scans)


@given(
    st.lists(rule, max_size=6), st.sampled_from(NAMES),
    st.sampled_from([0, 1, 65535, 65536, 1 << 20, (2 << 30) + 1]),
    st.sampled_from([*SCANS, "warm_up"]),
)  # fmt: skip
def test_the_first_rule_that_holds_decides(
    rules: list[tuple[str, dict[str, object]]], name: str, length: int, scan: str
) -> None:
    admission = parse_rules("; ".join(written(*r) for r in rules), "here")
    first = next((v for v, said in rules if holds(said, name, length, scan)), "admit")
    found = admission.bypassed_by(name, length, scan)
    assert (found is not None) == (first == "bypass")
    again = parse_rules("; ".join(admission.texts()), "there")
    assert again == admission
    assert again.texts() == admission.texts()


@given(st.text(max_size=60))
def test_any_text_is_rules_or_a_typed_error(text: str) -> None:
    try:
        admission = parse_rules(text, "option admission of mount /m")
    except InvalidSetting as e:
        said = e.problem
    else:
        said = "option admission of mount /m"
        assert parse_rules("; ".join(admission.texts()), "x") == admission
    assert "option admission of mount /m" in said


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("bypass; forbid glob=*", "rule 2 of x.*'forbid glob=.*begins with 'forbid'"),
        ("admit size=3", "'size=3' is none of glob, min, max, scan"),
        ("bypass min=big", "min is not a size"),
        ("bypass min=2GiB max=1GiB", "min lies above max"),
        ("bypass min=1 min=2", "min stands twice"),
        ("bypass scan=sideways", "'sideways' is no scan: unknown, sequential"),
        ("bypass glob='a", "no closing quotation"),
        ("bypass glob=", "'glob=' is none of"),
    ],
)
def test_a_bad_rule_is_named(text: str, cause: str) -> None:
    with pytest.raises(InvalidSetting, match=cause):
        parse_rules(text, "x")


def test_no_rules_admit_all() -> None:
    assert parse_rules(" ;; ", "x") == Admission()
    assert Admission().bypassed_by("a", 1, "random") is None
