"""What is installed, reachable and permitted on this machine: what `sojourn doctor` shows.

Each examination gives one line, with the remedy where it is not well. None of them imports torch or
repeats the value of a credential; none writes, but `examine_live`, which removes what it wrote.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Protocol

import platformdirs
import psutil

from sojourn.catalog import load_catalog
from sojourn.dataset.manifest import MANIFEST_KEY
from sojourn.errors import (
    AccessDeniedError,
    CatalogError,
    SojournError,
    StoreError,
    UsageError,
)
from sojourn.stores.huggingface_credentials import find_huggingface_credentials
from sojourn.stores.kaggle_credentials import find_kaggle_credentials
from sojourn.stores.probing import probe_store
from sojourn.stores.url import open_store
from sojourn.tracing.versions import TESTED_RANGE, TESTED_TORCH, is_tested
from sojourn.units import GIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sojourn.progress import Progress

_OLDEST_PYTHON = (3, 11)
# What planning the sample job may take, and room for one shard and its parts.
_ENOUGH_MEMORY_BYTES = 4 * GIB
_ENOUGH_DISK_BYTES = 2 * GIB

# What can be left uninstalled, and what needs it; torch and pandas have lines of their own.
_EXTRAS = {
    "media": "`Dataset.load` of pictures, films, sound and PDF, and Excel",
    "fsspec": "`sojourn://` in pandas, pyarrow and others",
    "kaggle": "`kaggle://`",
    "hf": "`hf://`",
    "ray": "`sojourn push --engine ray`",
}

_USAGE = UsageError.exit_code
_ERRORS = {kind.exit_code: kind for kind in (UsageError, CatalogError, StoreError)}
_KEY_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_MORE_NAMES = (
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at.

    Attributes:
        name: What was looked at.
        ok: Whether it is well.
        detail: What was found, with the value.
        remedy: What to do where it is not well, else empty.
        exit_code: The command's exit status where this is not well; 0 if only some verbs need it.
        error: What was raised, where that is why it is not well.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    exit_code: int = 0
    error: SojournError | None = None

    @property
    def required(self) -> bool:
        """Whether nothing works without it."""
        return self.exit_code != 0


def examine_machine(
    *,
    overlay: Path,
    environment: Mapping[str, str],
    store_url: str | None = None,
    progress: Progress | None = None,
) -> tuple[Check, ...]:
    """Examine this machine, and a store if one is named.

    Args:
        overlay: Where the user's catalog is looked for.
        environment: The variables that credentials are looked up in.
        store_url: A store to list; None: none.
        progress: Is told when the store is waited for.
    """
    cache = platformdirs.user_cache_path("sojourn", appauthor=False)
    checks = [
        examine_python(sys.version_info[:3]),
        Check(name="sojourn", ok=True, detail=metadata.version("sojourn")),
        examine_packages(packages_of(None), installed=installed_version),
        examine_torch(installed_version("torch")),
        examine_pandas(installed_version("pandas")),
        *(
            examine_extra(extra, packages_of(extra), needed_by=verb, installed=installed_version)
            for extra, verb in _EXTRAS.items()
        ),
        examine_catalog(overlay),
        examine_folder("config folder", overlay.parent),
        examine_folder("state folder", platformdirs.user_state_path("sojourn", appauthor=False)),
        examine_folder("cache folder", cache),
        examine_disk(shutil.disk_usage(_nearest_existing(cache)).free),
        examine_memory(psutil.virtual_memory().available),
        examine_s3_credentials(environment),
        examine_credentials("Kaggle credentials", find_kaggle_credentials, environment, "kaggle"),
        examine_credentials(
            "Hugging Face credentials", find_huggingface_credentials, environment, "hf"
        ),
    ]
    if store_url is not None:
        checks.append(examine_store(store_url, progress=progress))
    return tuple(checks)


def find_failure(checks: Iterable[Check]) -> SojournError | None:
    """Find the first required check that is not well, as an error with its exit status."""
    failed = next((check for check in checks if check.required and not check.ok), None)
    if failed is None:
        return None
    kind = _ERRORS.get(failed.exit_code, UsageError)
    return failed.error or kind(f"{failed.name}: {failed.detail}.", remedy=failed.remedy)


def installed_version(package: str) -> str | None:
    """Return a package's version without importing it; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def packages_of(extra: str | None) -> tuple[str, ...]:
    """Return the packages that an extra brings, as sojourn's own metadata tells.

    Args:
        extra: Its name; None for what sojourn cannot do without.
    """
    try:
        requirements = metadata.requires("sojourn") or []
    except metadata.PackageNotFoundError:
        return ()
    parsed = (re.match(r"([\w.-]+)[^;]*(?:;.*extra == .([\w-]+))?", line) for line in requirements)
    return tuple(found[1] for found in parsed if found and found[2] == extra)


def examine_python(version: tuple[int, int, int]) -> Check:
    """Tell whether this Python is recent enough."""
    return Check(
        name="python",
        ok=version >= _OLDEST_PYTHON,
        detail=".".join(map(str, version)),
        remedy="" if version >= _OLDEST_PYTHON else "Install Python 3.11 or newer.",
        exit_code=_USAGE,
    )


def examine_packages(names: Iterable[str], *, installed: Callable[[str], str | None]) -> Check:
    """Tell whether the packages that every verb may load are there."""
    versions = {name: installed(name) for name in names}
    missing = sorted(name for name, version in versions.items() if version is None)
    if missing:
        return Check(
            name="packages",
            ok=False,
            detail=f"not installed: {', '.join(missing)}",
            remedy=f"pip install {' '.join(missing)}",
            exit_code=_USAGE,
        )
    detail = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Check(name="packages", ok=True, detail=detail, exit_code=_USAGE)


def examine_torch(version: str | None) -> Check:
    """Tell whether torch is there, and one that tracing is tested with."""
    if version is None:
        return Check(
            name="torch",
            ok=False,
            detail="not installed; `sojourn plan` needs it",
            remedy='pip install "sojourn[torch]" (the CPU build will do)',
        )
    ok = is_tested(version)
    tested = ", ".join(TESTED_TORCH)
    return Check(
        name="torch",
        ok=ok,
        detail=version if ok else f"{version}; `sojourn plan` is tested with {tested}",
        remedy="" if ok else f'pip install "{TESTED_RANGE}"',
    )


def examine_pandas(version: str | None) -> Check:
    """Tell whether tables can be read as pandas tables."""
    if version is not None:
        return Check(name="pandas", ok=True, detail=version)
    return Check(
        name="pandas",
        ok=False,
        detail='not installed; `Dataset.read` needs it unless asked for as_="arrow"',
        remedy='pip install "sojourn[pandas]"',
    )


def examine_extra(
    extra: str,
    packages: Iterable[str],
    *,
    needed_by: str,
    installed: Callable[[str], str | None],
) -> Check:
    """Tell whether packages are there that only some calls need.

    Args:
        extra: What pip calls them together: `sojourn[EXTRA]`.
        packages: Their names.
        needed_by: What needs them.
        installed: Returns a package's version; None if it is not installed.
    """
    versions = {name: installed(name) for name in packages}
    missing = sorted(name for name, version in versions.items() if version is None)
    name = f"packages [{extra}]"
    if missing:
        return Check(
            name=name,
            ok=False,
            detail=f"not installed: {', '.join(missing)}; for {needed_by}",
            remedy=f'pip install "sojourn[{extra}]"',
        )
    return Check(
        name=name, ok=True, detail=", ".join(f"{one} {found}" for one, found in versions.items())
    )


def examine_catalog(overlay: Path) -> Check:
    """Tell whether the catalog loads with the user's own figures laid over it."""
    try:
        catalog = load_catalog(overlay)
    except CatalogError as error:
        return _failed("catalog", error)
    where = str(overlay) if overlay.exists() else f"no figures of your own in {overlay}"
    detail = f"{len(catalog.runtime_types)} runtime types; {where}"
    return Check(name="catalog", ok=True, detail=detail, exit_code=CatalogError.exit_code)


def examine_folder(name: str, folder: Path) -> Check:
    """Tell whether a folder can be written to, or made; makes nothing."""
    nearest = _nearest_existing(folder)
    ok = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return Check(
        name=name,
        ok=ok,
        detail=str(folder) if ok else f"{folder}: {nearest} cannot be written to",
        remedy="" if ok else f"Make {nearest} a folder that you may write to.",
        exit_code=_USAGE,
    )


def _nearest_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def examine_disk(free_bytes: int) -> Check:
    """Tell whether the disk of the cache has room for shards."""
    return _enough("free disk", free_bytes, enough_bytes=_ENOUGH_DISK_BYTES, so="Free some space.")


def examine_memory(available_bytes: int) -> Check:
    """Tell whether there is host memory enough to trace a script in."""
    return _enough(
        "host memory",
        available_bytes,
        enough_bytes=_ENOUGH_MEMORY_BYTES,
        so="Close other programs before `sojourn plan`.",
    )


def _enough(name: str, found_bytes: int, *, enough_bytes: int, so: str) -> Check:
    ok = found_bytes >= enough_bytes
    detail = f"{format_bytes(found_bytes)} available"
    return Check(
        name=name,
        ok=ok,
        detail=detail if ok else f"{detail}, less than {format_bytes(enough_bytes)}",
        remedy="" if ok else so,
    )


def examine_s3_credentials(environment: Mapping[str, str]) -> Check:
    """Tell which variables with S3 credentials are set; their values are not looked at."""
    keys = [name for name in _KEY_NAMES if environment.get(name)]
    missing = [name for name in _KEY_NAMES if name not in keys]
    found = [*keys, *(name for name in _MORE_NAMES if environment.get(name))]
    detail = f"set: {', '.join(found)}" if found else "no variables set"
    if missing:
        detail += "; without them s3:// works only by this machine's own role"
        remedy = f"Set {' and '.join(missing)}."
        if environment.get("AWS_PROFILE"):
            remedy += " AWS_PROFILE is not read."
        return Check(name="S3 credentials", ok=False, detail=detail, remedy=remedy)
    return Check(name="S3 credentials", ok=True, detail=detail)


class _Found(Protocol):
    """Credentials that know where they were found."""

    @property
    def found_in(self) -> str: ...


def examine_credentials(
    name: str,
    find: Callable[[Mapping[str, str]], _Found],
    environment: Mapping[str, str],
    service: str,
) -> Check:
    """Tell where a service's credentials are found; their values are not told.

    Args:
        name: What the line is called.
        find: Looks for them.
        environment: The variables that they are looked up in.
        service: What `sojourn login` calls it.
    """
    try:
        found = find(environment)
    except AccessDeniedError as error:
        return Check(name=name, ok=False, detail=error.message, remedy=error.remedy)
    if not found.found_in:
        return Check(
            name=name,
            ok=False,
            detail="none; public data sets need none",
            remedy=f"sojourn login {service}",
        )
    return Check(name=name, ok=True, detail=f"found in {found.found_in}")


def examine_store(store_url: str, *, progress: Progress | None = None) -> Check:
    """Tell whether a store lets itself be listed; if it never does, whether it answers."""
    try:
        store = open_store(store_url, progress=progress)
        if store.capabilities.can_list and not store.capabilities.lists_slowly:
            holds_any = next(iter(store.list()), None) is not None
        else:
            holds_any = store.find(MANIFEST_KEY) is not None
            if holds_any:
                # A server that answers this, but gives whole files only, would fail a pull.
                store.get_range(MANIFEST_KEY, offset=0, size_bytes=1)
    except SojournError as error:
        return _failed("store", error)
    nothing = "no data set is there" if store.capabilities.read_only else "it holds nothing yet"
    detail = f"{store.url} answers" + ("" if holds_any else f"; {nothing}")
    return Check(name="store", ok=True, detail=detail, exit_code=StoreError.exit_code)


def examine_live(store_url: str, *, progress: Progress) -> tuple[Check, ...]:
    """Try a store out with something small, which is removed again; each thing tried is a line."""
    try:
        findings = probe_store(store_url, progress=progress)
    except SojournError as error:
        return (_failed("live", error),)
    return tuple(
        Check(
            name=finding.name,
            ok=finding.ok,
            detail=finding.detail,
            remedy=finding.remedy,
            exit_code=StoreError.exit_code,
        )
        for finding in findings
    )


def _failed(name: str, error: SojournError) -> Check:
    return Check(
        name=name,
        ok=False,
        detail=error.message,
        remedy=error.remedy,
        exit_code=error.exit_code,
        error=error,
    )
