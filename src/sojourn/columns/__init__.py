"""A table's text as typed columns, and back, byte for byte.

The text of a CSV or TSV is not kept: `format_rows` makes it again from its `Layout` and columns.
`parse` takes a table only where that gives the very bytes, which it checks, and where `to_pandas`
gives what `pandas.read_csv(file, float_precision="round_trip")` would; for any other it returns
None. A segment holds the columns of many tables; what they share, as sliding windows do, is in it
once.

    parsed = parse(data, delimiter=",")                     None: keep the bytes
    writer = SegmentWriter(parsed.layout)
    placement = writer.add(parsed)                          None: full, begin another
    segment = load_segment(writer.dump(), parsed.layout)
    columns = segment.columns(placement)
    format_rows(parsed.layout, columns, header=True, final_newline=parsed.ends_with_newline)
    to_pandas(parsed.layout, columns)

A layout and a placement become JSON documents and are read back, with nothing trusted, by
`format_layout` and `parse_layout`, `format_placement` and `parse_placement`. A large table comes in
blocks: `parse` with `is_first` and `is_last`, the first block's layout for the others, and
`to_pandas(layout, *parts)`. Where only some columns are wanted, `find_places` and `pick` say which;
where only the first rows are, `keeps_kinds` says whether they read as the whole does. Tables of one
segment are formatted faster together, by `format_tables`; what they share then is formatted once.

There are no files here, no network and no stores. numpy and pyarrow do the work; pandas is
imported when one of its tables is asked for.
"""

from sojourn.columns.batches import format_tables
from sojourn.columns.formatting import format_header, format_rows, join_row_texts, row_texts
from sojourn.columns.json_lines import parse_json_lines
from sojourn.columns.layout import (
    PLAIN,
    Column,
    Layout,
    Style,
    format_layout,
    is_first_form,
    parse_layout,
)
from sojourn.columns.parsing import Parsed, Parser, parse
from sojourn.columns.picking import find_places, keeps_kinds, pick
from sojourn.columns.placing import Placement, format_placement, parse_placement
from sojourn.columns.reading import to_arrow, to_pandas
from sojourn.columns.segments import Segment, SegmentWriter, load_segment

__all__ = [
    "PLAIN",
    "Column",
    "Layout",
    "Parsed",
    "Parser",
    "Placement",
    "Segment",
    "SegmentWriter",
    "Style",
    "find_places",
    "format_header",
    "format_layout",
    "format_placement",
    "format_rows",
    "format_tables",
    "is_first_form",
    "join_row_texts",
    "keeps_kinds",
    "load_segment",
    "parse",
    "parse_json_lines",
    "parse_layout",
    "parse_placement",
    "pick",
    "row_texts",
    "to_arrow",
    "to_pandas",
]
