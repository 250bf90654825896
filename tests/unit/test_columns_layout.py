from typing import Any

import pytest

from sojourn.columns import Column, Layout, format_layout, is_first_form, parse_layout
from sojourn.columns.layout import Kind

LAYOUT = Layout(
    delimiter=",",
    newline="\r\n",
    columns=(
        Column(name="시각", kind="text"),
        Column(name="Q1", kind="decimal", decimals=4),
        Column(name="leak", kind="boolean"),
    ),
)
DOCUMENT = {
    "delimiter": ",",
    "newline": "\r\n",
    "columns": [["시각", "text", 0], ["Q1", "decimal", 4], ["leak", "boolean", 0]],
}


def test_a_layout_is_a_document_and_back() -> None:
    assert format_layout(LAYOUT) == DOCUMENT
    assert parse_layout(DOCUMENT) == LAYOUT
    assert hash(parse_layout(DOCUMENT)) == hash(LAYOUT)


@pytest.mark.parametrize(
    "change",
    [
        {"delimiter": "::"},
        {"delimiter": 1},
        {"newline": "\r"},
        {"columns": []},
        {"columns": "a"},
        {"columns": [["a", "text"]]},
        {"columns": [["a", "text", False]]},
        {"columns": [["a", "text", 1]]},
        {"columns": [["a", "decimal", 0]]},
        {"columns": [["a", "decimal", 16]]},
        {"columns": [["a", "date", 0]]},
        {"columns": [["a", "text", 0], ["a", "text", 0]]},
        {"columns": [["", "text", 0]]},
        {"columns": [["", "text", 0], ["Unnamed: 0", "text", 0]]},
        {"columns": [["a,b", "text", 0]]},
        {"columns": [['"', "text", 0]]},
        {"columns": [["\ufeffa", "text", 0]]},
        {"columns": [["\ud800", "text", 0]]},
        {"columns": [[" a", "text", 0]]},
        {"also": 1},
    ],
)
def test_a_damaged_document_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="layout of a table cannot be used: "):
        parse_layout({**DOCUMENT, **change})


DRESSED: list[dict[str, Any]] = [
    {"style": {"mark": True}},
    {"style": {"encoding": "cp949"}},
    {"style": {"quotes": True, "quotes_names": True}},
    {"columns": [["", "integer", 0], ["a", "plain", 0], ["b", "number", 0, "NA", False]]},
    {"style": {"quotes": True}, "columns": [['a,"', "decimal", 2, '"NA"', False]]},
    {"style": {"quotes": True}, "columns": [["a", "text", 0, "NA", True]]},
    {
        "delimiter": ", ",
        "columns": [["", "integer", 0, "null", False], ['"\n', "text", 0, "null", True]],
        "style": {"colon": ": ", "escapes_unicode": True, "escapes_slashes": True},
    },
]


@pytest.mark.parametrize("change", DRESSED)
def test_a_dressed_layout_is_a_document_and_back(change: dict[str, Any]) -> None:
    document = {**DOCUMENT, **change}
    layout = parse_layout(document)
    assert format_layout(layout) == document
    assert not is_first_form(layout)
    assert is_first_form(LAYOUT)


@pytest.mark.parametrize(
    "change",
    [
        {"style": []},
        {"style": {"mark": 1}},
        {"style": {"colour": True}},
        {"style": {"encoding": "latin-1"}},
        {"style": {"encoding": "cp949", "mark": True}},
        {"style": {"escapes_slashes": True}},
        {"style": {"colon": ": "}},
        {
            "style": {"colon": ": "},
            "columns": [["a", "integer", 0, "null", False]],
            "delimiter": ";",
        },
        {"style": {"colon": "="}, "columns": [["a", "integer", 0, "null", False]]},
        {"style": {"colon": ":"}, "columns": [["a", "integer", 0, "", False]]},
        {"style": {"colon": ":"}, "columns": [["a", "text", 0, "null", False]]},
        {"style": {"colon": ":", "quotes": True}, "columns": [["a", "text", 0, "null", True]]},
        {"style": {"colon": ":"}, "columns": [["\ud800", "integer", 0, "null", False]]},
        {"columns": [["a", "integer", 0, "gone", False]]},
        {"columns": [["a", "integer", 0, '""', False]]},
        {"columns": [["a", "integer", 0, "", True]]},
        {"columns": [["a", "text", 0, "NA", False]]},
        {"columns": [["a", "boolean", 0, "NA", False]]},
        {"columns": [["a", "integer", 0, "NA"]]},
        {"columns": [["a", "integer", 0, "NA", 1]]},
        {"style": {"quotes": True}, "columns": [["a", "integer", 0, '"NA"', True]]},
        {"style": {"quotes": True}, "columns": [["a\nb", "integer", 0]]},
    ],
)
def test_a_damaged_style_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="layout of a table cannot be used: "):
        parse_layout({**DOCUMENT, **change})


@pytest.mark.parametrize("document", [None, [], "x", {}, 3])
def test_what_is_no_record_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="it is no record"):
        parse_layout(document)


@pytest.mark.parametrize("kind", ["integer", "text", "boolean"])
def test_only_decimals_have_decimals(kind: Kind) -> None:
    document = format_layout(
        Layout(delimiter="\t", newline="\n", columns=(Column(name="a", kind=kind, decimals=2),))
    )
    with pytest.raises(ValueError, match=f"kind {kind} has 2 decimals"):
        parse_layout(document)
