"""From a file's bytes to a table, by the file's name and the library that is asked for."""

from __future__ import annotations

import codecs
import csv
import io
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias

from sojourn.errors import MissingPackageError, SojournError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Library: TypeAlias = Literal["pandas", "polars", "arrow"]

_MODULES = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
_KINDS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xlsb": "excel",
    ".xls": "excel",
    ".ods": "excel",
}
TABLE_ENDINGS = tuple(_KINDS)
_STREAMING_ENGINES = (None, "c", "python", "ujson")
_CHECKED_AT_ONCE_BYTES = 1 << 20

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def reads_in_part(name: str, library: Library, arguments: Mapping[str, Any]) -> bool:
    """Tell whether the library reads a part of a file, so that it needs no more than that."""
    # polars reads all of a file that is none on a disk.
    is_parquet = kind_of(name) == "parquet" and library != "polars"
    return is_parquet and any(arguments.get(key) is not None for key in ("columns", "filters"))


def reads_in_order(name: str, library: Library, arguments: Mapping[str, Any]) -> bool:
    """Tell whether the library takes a file's bytes as they come, from the first one on."""
    # The engine of pyarrow, and all other libraries, want all of them at once.
    is_pandas = library == "pandas" and arguments.get("engine") in _STREAMING_ENGINES
    return is_pandas and kind_of(name) in ("csv", "tsv", "json lines")


def reads_front(arguments: Mapping[str, Any]) -> bool:
    """Tell whether a reader of pandas may need no more than a file's first bytes at once."""
    return any(arguments.get(key) for key in ("nrows", "chunksize", "iterator"))


def kind_of(name: str) -> str | None:
    """Return what kind of table a name says; None if none."""
    return _KINDS.get(name[name.rfind(".") :].lower()) if "." in name else None


def parse_table(
    name: str, data: bytes | BinaryIO, *, library: Library, arguments: Mapping[str, Any]
) -> Any:
    """Return the table in a file's bytes.

    Args:
        name: The file's name; its ending says what it is.
        data: The whole file; or, for one that is read in part or in order, the file itself.
        library: What kind of table: a pandas or polars DataFrame, or an Arrow Table.
        arguments: Handed to the library's reader.

    Raises:
        UsageError: the name says nothing of a table, there is no such library, or it makes no
            table of these bytes with these arguments.
        MissingPackageError: the library is not installed.
    """
    kind = kind_of(name)
    if kind is None:
        raise UsageError(
            f"{name!r} is no table that can be read: its name ends in none of {', '.join(_KINDS)}.",
            remedy="`load(name)` decodes pictures, text, archives and more by their endings; "
            "`read_bytes(name)` returns its bytes.",
        )
    check_library(library)
    readers = {"pandas": _pandas, "polars": _polars, "arrow": _arrow}
    try:
        if kind == "excel":
            return _excel(data, library, dict(arguments))
        return readers[library](kind, data, dict(arguments))
    except SojournError:
        raise  # the store's, while a file is read
    except TypeError as error:  # an argument that the library's reader does not take
        raise UsageError(
            f"{name!r} cannot be read so: {error}.", remedy=_fitting(kind, library, arguments)
        ) from error
    except (ValueError, OSError, csv.Error) as error:  # what parsers raise; pandas that of csv
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UsageError(
            f"{name!r} cannot be read: {reason.rstrip('.')}.",
            remedy=_remedy(kind, data, library, arguments),
        ) from error


def check_library(library: Library) -> None:
    """Raise if a library's tables cannot be had.

    Raises:
        UsageError: there is no such library.
        MissingPackageError: it is not installed.
    """
    if library not in _MODULES:
        raise UsageError(
            f"as_={library!r} is no kind of table.", remedy="Write 'pandas', 'polars' or 'arrow'."
        )
    install = "'sojourn[pandas]'" if library == "pandas" else _MODULES[library]
    package(_MODULES[library], install=install)


def _remedy(
    kind: str, data: bytes | BinaryIO, library: Library, arguments: Mapping[str, Any]
) -> str:
    file = _file(data)
    if kind in ("parquet", "excel") or "encoding" in arguments or _is_utf8(file):
        return (
            "Look at it with `read_bytes(name)`, and give the arguments for the library's reader "
            "that fit it."
        )
    file.seek(0)
    encoding = "utf-16" if file.read(2) in _UTF16_MARKS else "cp949"
    says_so = {
        "pandas": f'encoding="{encoding}"',
        "polars": f'as_="polars", encoding="{encoding}"',
        "arrow": f'as_="arrow", read_options=pyarrow.csv.ReadOptions(encoding="{encoding}")',
    }
    if kind == "json lines" and library != "pandas":
        return "It is not in UTF-8, which it must be: convert it, and push again."
    common = ", as Korean Excel exports are" if encoding == "cp949" else ""
    return (
        f"It is not in UTF-8. Name its encoding: `read(name, {says_so[library]})` "
        f"if it is in {encoding}{common}."
    )


def _fitting(kind: str, library: Library, arguments: Mapping[str, Any]) -> str:
    """Return what to do about arguments that fit no reader."""
    if library == "pandas" and kind in ("csv", "tsv") and "columns" in arguments:
        return "Write `usecols=` for `columns=`: arguments go to `pandas.read_csv`."
    return f"Arguments go to the reader that {library} has for {kind}: give those that it takes."


def _is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while data := file.read(_CHECKED_AT_ONCE_BYTES):
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _file(data: bytes | BinaryIO) -> BinaryIO:
    return io.BytesIO(data) if isinstance(data, bytes) else data


def package(name: str, *, install: str) -> Any:
    """Return a module that may not be installed.

    Args:
        name: The module.
        install: What pip is to install for it, as one types it.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise MissingPackageError(
            f"Reading this needs {name}, which is not installed.",
            remedy=f"Install it with `pip install {install}`.",
        ) from error


def _pandas(kind: str, data: bytes | BinaryIO, arguments: dict[str, Any]) -> Any:
    pandas = package("pandas", install="'sojourn[pandas]'")
    file = _file(data)
    if kind == "parquet":
        return _parquet(file, "pandas", arguments)
    if kind == "json lines":
        return pandas.read_json(file, **({"lines": True} | arguments))
    if kind == "tsv" and not {"sep", "delimiter"} & arguments.keys():
        arguments["sep"] = "\t"
    # The other engines take no such argument.
    if arguments.get("engine", "c") == "c" and not _always_exact(pandas.__version__):
        arguments.setdefault("float_precision", "round_trip")
    return pandas.read_csv(file, **arguments)


def _always_exact(pandas_version: str) -> bool:
    """Tell whether every float comes out as round_trip gives it, and asking for that warns.

    Source: https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html, float_precision:
    deprecated since 3.1.0, where all of its values mean one converter.
    """
    major, minor = (int(part) for part in pandas_version.split(".")[:2])
    return (major, minor) >= (3, 1)


def _polars(kind: str, data: bytes | BinaryIO, arguments: dict[str, Any]) -> Any:
    polars = package("polars", install="polars")
    try:
        if kind == "parquet":
            return polars.read_parquet(_file(data), **arguments)
        if kind == "json lines":
            return polars.read_ndjson(data, **arguments)
        if kind == "tsv":
            arguments.setdefault("separator", "\t")
        return polars.read_csv(data, **arguments)
    except polars.exceptions.PolarsError as error:
        # The other libraries' errors are ValueErrors already.
        raise ValueError(str(error)) from error


def _parquet(file: BinaryIO, library: Library, arguments: dict[str, Any]) -> Any:
    if library == "arrow":
        return package("pyarrow.parquet", install="pyarrow").read_table(file, **arguments)
    return package("pandas", install="'sojourn[pandas]'").read_parquet(file, **arguments)


def _excel(data: bytes | BinaryIO, library: Library, arguments: dict[str, Any]) -> Any:
    pandas = package("pandas", install="'sojourn[pandas]'")
    calamine = package("python_calamine", install="'sojourn[media]'")
    try:
        tables = pandas.read_excel(_file(data), **({"engine": "calamine"} | arguments))
    except (calamine.CalamineError, LookupError) as error:
        raise ValueError(str(error)) from error
    if isinstance(tables, dict):  # sheet_name=None, or a list of names
        return {name: _converted(table, library) for name, table in tables.items()}
    return _converted(tables, library)


def _converted(table: Any, library: Library) -> Any:
    if library == "pandas":
        return table
    arrow = package("pyarrow", install="pyarrow").Table.from_pandas(table, preserve_index=False)
    return arrow if library == "arrow" else package("polars", install="polars").from_arrow(arrow)


def _arrow(kind: str, data: bytes | BinaryIO, arguments: dict[str, Any]) -> Any:
    file = _file(data)
    if kind == "parquet":
        return _parquet(file, "arrow", arguments)
    if kind == "json lines":
        return package("pyarrow.json", install="pyarrow").read_json(file, **arguments)
    arrow_csv = package("pyarrow.csv", install="pyarrow")
    if kind == "tsv":
        arguments.setdefault("parse_options", arrow_csv.ParseOptions(delimiter="\t"))
    return arrow_csv.read_csv(file, **arguments)
