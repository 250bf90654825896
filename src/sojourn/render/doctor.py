"""What the doctor found, as text and as the contract's JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.health import Check

SCHEMA = "sojourn.doctor/1"


def doctor_document(checks: Sequence[Check]) -> dict[str, Any]:
    """Return the checks as a JSON document."""
    return {
        "schema": SCHEMA,
        "checks": [
            {
                "name": check.name,
                "ok": check.ok,
                "required": check.required,
                "detail": check.detail,
                "remedy": check.remedy,
            }
            for check in checks
        ],
    }


def doctor_text(checks: Sequence[Check]) -> Text:
    """Return a line per check, and the remedy below each that is not well."""
    width = max((len(check.name) for check in checks), default=0)
    text = Text()
    for check in checks:
        word, style = _verdict(check)
        text.append(f"{word:<4}", style=style)
        text.append(f"  {check.name:<{width}}  {check.detail}\n")
        if check.remedy and not check.ok:
            text.append(f"{'':<{width + 8}}{check.remedy}\n", style="bold")
    text.rstrip()
    return text


def _verdict(check: Check) -> tuple[str, str]:
    if check.ok:
        return "ok", "green"
    return ("FAIL", "red") if check.required else ("note", "yellow")
