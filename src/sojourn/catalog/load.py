"""Read the shipped tables and lay the user's own over them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType, Subscription
from sojourn.catalog.rows import Place, RowValues, meant, read_row, readers_of
from sojourn.errors import CatalogError
from sojourn.localpath import read_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SHIPPED = ("accelerators.toml", "subscriptions.toml", "runtime_types.toml")
_RECORDS = {
    "accelerators": Accelerator,
    "runtime_types": RuntimeType,
    "subscriptions": Subscription,
}
_RUNTIME_TYPE_ID = re.compile(r"[^\s/]+/[^\s/]+")

Row = TypeVar("Row", Accelerator, RuntimeType, Subscription)


def default_overlay_path() -> Path:
    """Return where the user's own figures are looked for: `~/.config/sojourn/catalog.toml`."""
    import platformdirs

    return platformdirs.user_config_path("sojourn", appauthor=False) / "catalog.toml"


def load_catalog(overlay: Path | None = None) -> Catalog:
    """Load the shipped tables, and lay the user's own figures over them.

    Args:
        overlay: The user's catalog.toml; a file that is not there changes nothing. A key that it
            gives replaces the shipped one, a new id adds a row. None: the shipped tables alone.

    Raises:
        CatalogError: a file cannot be read, is not TOML, or holds what no catalog holds.
    """
    catalog = Catalog(accelerators={}, runtime_types={}, subscriptions={})
    shipped = resources.files("sojourn.catalog")
    for name in _SHIPPED:
        text = shipped.joinpath(name).read_text(encoding="utf-8")
        catalog = _laid_over(catalog, text, file=name, is_overlay=False)
    if overlay is not None:
        text = _read_overlay(overlay)
        file = str(overlay)
        catalog = _laid_over(catalog, text, file=file, is_overlay=True)
    return catalog


def _read_overlay(path: Path) -> str:
    try:
        text = read_file(path).decode("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CatalogError(
            f"The catalog {path} cannot be read: {error.strerror}.",
            remedy="Make it a file that you may read, or move it away.",
        ) from error
    except UnicodeDecodeError as error:
        raise CatalogError(
            f"The catalog {path} is not UTF-8 text: byte {error.start} is none.",
            remedy="Save it as UTF-8, or move it away.",
        ) from error
    return text.replace("\r\n", "\n")


def _parse(text: str, *, file: str) -> dict[str, Any]:
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise CatalogError(
            f"The catalog {file} is not TOML: {error}.",
            remedy="Mend that line, or move the file away. docs/catalog.md shows the form.",
        ) from error
    for name in tables:
        if name not in _RECORDS:
            raise CatalogError(
                f"In {file}, the table [{name}] is not known.", remedy=meant(name, _RECORDS)
            )
    return tables


def _laid_over(catalog: Catalog, text: str, *, file: str, is_overlay: bool) -> Catalog:
    tables = _parse(text, file=file)

    def place_of(section: str, row_id: str) -> Place:
        row = _header(section, row_id)
        return Place(file=file, row=row, is_overlay=is_overlay, text=text)

    def rows(section: str, record: type[Row], standing: Mapping[str, Row]) -> dict[str, Row]:
        given = tables.get(section, {})
        if not isinstance(given, dict):
            raise CatalogError(
                f"In {file}, `{section}` is not a table.",
                remedy=f"Write [{section}.ID] on a line of its own and the keys below it.",
            )
        laid = dict(standing)
        readers = readers_of(record)
        for row_id, table in given.items():
            place = place_of(section, row_id)
            values = read_row(table, readers=readers, place=place)
            laid[row_id] = _row(row_id, values, record=record, standing=standing, place=place)
        return laid

    result = Catalog(
        accelerators=rows("accelerators", Accelerator, catalog.accelerators),
        runtime_types=rows("runtime_types", RuntimeType, catalog.runtime_types),
        subscriptions=rows("subscriptions", Subscription, catalog.subscriptions),
    )
    for row_id in tables.get("runtime_types", {}):
        place = place_of("runtime_types", row_id)
        _check_references(result, result.runtime_types[row_id], place=place)
    return result


def _header(section: str, row_id: str) -> str:
    """Return the row's header as TOML writes it."""
    return f"{section}.{row_id}" if re.fullmatch(r"[\w-]+", row_id) else f'{section}."{row_id}"'


def _row(
    row_id: str, values: RowValues, *, record: type[Row], standing: Mapping[str, Row], place: Place
) -> Row:
    arguments = dict(values.arguments)
    if row_id in standing:
        row = standing[row_id]
        return replace(row, **arguments, sources={**row.sources, **values.sources})
    arguments.setdefault("name", row_id)
    if record is RuntimeType:
        if _RUNTIME_TYPE_ID.fullmatch(row_id) is None:
            raise place.error(
                f'the id "{row_id}" is not of the form PROVIDER/NAME.',
                'Write an id such as "local/rtx3060".',
            )
        arguments.setdefault("provider", row_id.partition("/")[0])
    if record is Subscription and "provider" not in arguments:
        raise place.error("the key `provider` is missing.", 'Write provider = "colab" or another.')
    return record(id=row_id, sources=values.sources, **arguments)


def _check_references(catalog: Catalog, runtime_type: RuntimeType, *, place: Place) -> None:
    accelerator = runtime_type.accelerator
    if accelerator is not None and accelerator not in catalog.accelerators:
        raise place.error(
            f'`accelerator = "{accelerator}"` names no accelerator of the catalog.',
            f"{meant(accelerator, catalog.accelerators)} "
            f"Or describe it in a table [accelerators.{accelerator}].",
            key="accelerator",
        )
    for subscription in runtime_type.subscriptions:
        if subscription not in catalog.subscriptions:
            raise place.error(
                f'`subscriptions` names "{subscription}", which the catalog does not hold.',
                meant(subscription, catalog.subscriptions),
                key="subscriptions",
            )
