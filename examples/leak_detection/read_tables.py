"""Read tables of a pushed data set, and compare them with the files that they came from.

python read_tables.py STORE FOLDER
"""

import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import sojourn


def main(store: str, folder: Path) -> None:
    """Show shapes and times; end with an error if a table differs."""
    dataset = sojourn.open(store)
    for name in ("train/TRAIN_A.csv", "train/TRAIN_B.csv"):
        start_s = time.perf_counter()
        table = dataset.read(name)
        print(f"{name}: {table.shape}, read in {time.perf_counter() - start_s:.2f} s")
        pd.testing.assert_frame_equal(table, read_file(folder / name), check_exact=True)

    start_s = time.perf_counter()
    tables = dict(dataset.read_many("test/C/*.csv"))
    rows = sum(len(table) for table in tables.values())
    print(f"test/C: {len(tables)} tables, {rows:,} rows, {time.perf_counter() - start_s:.2f} s")
    start_s = time.perf_counter()
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, read_file(folder / name), check_exact=True)
    print(f"The same as pandas reads from the files ({time.perf_counter() - start_s:.2f} s).")


def read_file(path: Path) -> pd.DataFrame:
    """Read a file as `Dataset.read` promises to."""
    with warnings.catch_warnings():
        # Newer pandas deprecates the argument.
        warnings.filterwarnings("ignore", message="The 'float_precision' argument")
        return pd.read_csv(path, float_precision="round_trip")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
