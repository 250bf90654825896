"""What a person finds beside the shards: how to open them with plain tools."""

from __future__ import annotations

README = b"""# A data set, as shards

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

Tables (CSV, TSV) may be in `data/.sojourn-tables` instead, as columns in Arrow files with one row:
each column holds a list, in which a table has a stretch. `pandas.read_feather` opens them. This
writes the tables' text again, byte for byte; it needs `pip install pyarrow`:

```python
import json, pathlib, pyarrow.feather

manifest, opened = json.load(open("sojourn.json")), {}


def text(value, kind, decimals):
    if value is None or kind == "text":
        return value or ""
    if kind == "decimal":
        digits = str(0 if value == -(2**31) else abs(value)).zfill(decimals + 1)
        return "-" * (value < 0) + digits[:-decimals] + "." + digits[-decimals:]
    return repr(value)  # integers, floats, True and False


for member in manifest["members"]:
    table = member.get("table")
    if not table:
        continue
    rows = []
    for number, _, (count, *runs) in table["parts"]:
        segment = manifest["shards"][member["shard"]]["segments"][number]
        file = f"data/.sojourn-tables/{segment['digest'][7:23]}.arrow"
        if file not in opened:
            opened = {file: pyarrow.feather.read_table(file)}
        layout, columns = segment["layout"], []
        starts = [start for n, start in zip(runs[::2], runs[1::2]) for _ in range(n)]
        for (_, kind, decimals), strip, start in zip(layout["columns"], opened[file], starts):
            values = strip.chunk(0).flatten().slice(start, count).to_pylist()
            columns.append([text(value, kind, decimals) for value in values])
        rows += [layout["delimiter"].join(row) for row in zip(*columns)]
    header = layout["delimiter"].join(name for name, _, _ in layout["columns"])
    lines = layout["newline"].join([header, *rows])
    lines += layout["newline"] if table["ends_with_newline"] else ""
    path = pathlib.Path("data", member["path"])
    path.write_bytes(lines.encode())
    path.chmod(int(member["mode"], 8))
```

## With sojourn

```sh
pip install sojourn
sojourn ls ADDRESS       # what is in it, without fetching it
sojourn pull ADDRESS data
```
"""
