"""What a person finds beside the shards: how to open them with plain tools."""

from __future__ import annotations

README = b"""# A data set, as shards

`sojourn.json` lists what is here. Each object that it names under `shards/` is a tar archive,
compressed with zstd; together they hold the whole folder. (Objects that it does not name belong
to earlier revisions, which `revisions/` lists in the same way.)

## With plain tools

Copy everything here to a folder on a machine that has tar and zstd, and run there:

```sh
mkdir -p data
python3 -c 'import json; [print(s["key"]) for s in json.load(open("sojourn.json"))["shards"]]' |
while read -r shard; do tar --zstd -xf "$shard" -C data; done
```

`sha256sum shards/NAME.tar.zst` prints NAME where the shard is whole. The digest of each file
stands in `sojourn.json`.

## With sojourn

```sh
pip install sojourn
sojourn ls ADDRESS       # what is in it, without fetching it
sojourn pull ADDRESS data
```
"""
