"""What a person finds beside the shards: how to open them with plain tools."""

from __future__ import annotations

README = rb"""# A data set, as shards

`sojourn.json` lists what is here. Each object that it names under `shards/` is a tar archive,
compressed with zstd; together they hold the whole folder. (Objects that it does not name belong
to earlier revisions, which `revisions/` lists in the same way.)

## With plain tools

Copy everything here to a folder on a machine that has tar and zstd (where there is a `VERSIONS.md`,
it says how), and run there:

```sh
mkdir -p data
python3 -c 'import json; [print(s["key"]) for s in json.load(open("sojourn.json"))["shards"]]' |
while read -r shard; do tar --zstd -xf "$shard" -C data; done
```

`sha256sum shards/NAME.tar.zst` prints NAME where the shard is whole. The digest of each file
stands in `sojourn.json`.

Tables (CSV, TSV, JSON lines) may be in `data/.sojourn-tables` instead, as columns in Arrow files
with one row: each column holds a list, in which a table has a stretch. `pandas.read_feather` opens
them. This writes the tables' text again, byte for byte; it needs `pip install pyarrow`:

```python
import decimal, json, math, pathlib, pyarrow.feather

manifest, opened = json.load(open("sojourn.json")), {}


def number(value, kind, decimals):
    if kind == "decimal":
        digits = str(0 if value == -(2**31) else abs(value)).zfill(decimals + 1)
        return "-" * (value < 0) + digits[:-decimals] + "." + digits[-decimals:]
    if kind == "plain" and math.isfinite(value):
        digits = format(decimal.Decimal(repr(value)), "f")
        return digits if "." in digits else digits + ".0"
    return repr(value).removesuffix(".0") if kind == "number" else repr(value)


def quoted(value, always, layout):
    special = any(letter in value for letter in (layout["delimiter"], '"', "\n", "\r"))
    needed = always or layout["style"].get("quotes") and special
    return '"' + value.replace('"', '""') + '"' if needed else value


def json_text(value, style):
    text = json.dumps(value, ensure_ascii=style.get("escapes_unicode", False))
    return text.replace("/", "\/") if style.get("escapes_slashes") else text


def field(value, layout, name, kind, decimals, missing="", quotes=False):
    style = layout["style"]
    if kind == "text":
        if value is None:
            return missing
        return json_text(value, style) if "colon" in style else quoted(value, quotes, layout)
    text = missing if value is None else number(value, kind, decimals)
    text = text.lower() if "colon" in style and kind == "boolean" else text
    return '"' + text + '"' if quotes else text


def line(fields, layout):
    if "colon" not in layout["style"]:
        return layout["delimiter"].join(fields)
    keys = [json_text(name, layout["style"]) for name, *_ in layout["columns"]]
    pairs = [key + layout["style"]["colon"] + value for key, value in zip(keys, fields)]
    return "{" + layout["delimiter"].join(pairs) + "}"


for member in manifest["members"]:
    table = member.get("table")
    if not table:
        continue
    rows = []
    for part, _, (count, *runs) in table["parts"]:
        segment = manifest["shards"][member["shard"]]["segments"][part]
        file = f"data/.sojourn-tables/{segment['digest'][7:23]}.arrow"
        if file not in opened:
            opened = {file: pyarrow.feather.read_table(file)}
        layout, columns = {"style": {}, **segment["layout"]}, []
        starts = [start for n, start in zip(runs[::2], runs[1::2]) for _ in range(n)]
        for column, strip, start in zip(layout["columns"], opened[file].columns, starts):
            values = strip.chunk(0).flatten().slice(start, count).to_pylist()
            columns.append([field(value, layout, *column) for value in values])
        rows += [line(row, layout) for row in zip(*columns)]
    style = layout["style"]
    if "colon" not in style:
        names = [quoted(n, style.get("quotes_names"), layout) for n, *_ in layout["columns"]]
        rows.insert(0, "\ufeff" * style.get("mark", False) + line(names, layout))
    lines = layout["newline"].join(rows)
    lines += layout["newline"] if table["ends_with_newline"] else ""
    path = pathlib.Path("data", member["path"])
    path.write_bytes(lines.encode(style.get("encoding", "utf-8")))
    path.chmod(int(member["mode"], 8))
```

## With sojourn

```sh
pip install sojourn
sojourn ls ADDRESS       # what is in it, without fetching it
sojourn pull ADDRESS data
```
"""
