"""What a login did, as text and as a JSON document. Neither holds the credential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from sojourn.stores.login import WHERE_TO_GET

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sojourn.stores.login import LoginReport


def login_document(report: LoginReport) -> dict[str, Any]:
    """Return what a login did as a JSON document."""
    return {
        "schema": "sojourn.login/1",
        "service": report.service,
        "file": str(report.path),
        "unchanged": report.unchanged,
        "overridden_by": report.overridden_by or None,
        "doubt": report.doubt or None,
    }


def login_text(report: LoginReport) -> RenderableType:
    """Return what a login did, in a line or two."""
    did = "holds this already" if report.unchanged else "holds it now, for you alone to read"
    lines = f"{report.path} {did}."
    if report.overridden_by:
        lines += f"\nBut {report.overridden_by} goes before it: unset or remove that to use it."
    if report.doubt:
        where = WHERE_TO_GET[report.service]
        lines += f"\n{report.doubt}: if it is not accepted, make one at {where}."
    return Text(lines)
