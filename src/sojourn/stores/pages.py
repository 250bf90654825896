"""Web pages that a server gives out where a file is asked for: of a folder, or of a file.

It knows texts, not libraries, as `refusals` does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sojourn.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDINGS = (".html", ".htm", ".xhtml")
_TYPES = ("text/html", "application/xhtml+xml")
# https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type: what says
# that a text is HTML; of the elements those that begin a whole page.
_BEGINNING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*|<\?xml.*?\?>\s*)*"
    rb"<(?:!doctype\s+html|html|head|title|body|script|meta)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_LOOKED_AT_BYTES = 4096


def is_called_page(key: str, attributes: Mapping[str, str]) -> bool:
    """Tell whether a server says that an object is a page whose name does not say so.

    Some say it of every file whose ending they do not know, so that its beginning decides.

    Args:
        key: The object's.
        attributes: What stands in the head of the answer, by name.
    """
    said = next((text for name, text in attributes.items() if name.lower() == "content-type"), "")
    kind = said.partition(";")[0].strip().lower()
    return kind in _TYPES and not key.lower().endswith(_ENDINGS)


def check_no_page(beginning: bytes, *, address: str) -> None:
    """Check that what a server calls a page is none.

    Args:
        beginning: Of its bytes.
        address: Where it is.

    Raises:
        ObjectNotFoundError: it is one.
    """
    if _BEGINNING.match(beginning[:_LOOKED_AT_BYTES]):
        raise ObjectNotFoundError(
            f"{address} is a web page (HTML), not a file of data.",
            remedy="If it is the page of a folder: a web server lists nothing, so name a file or a "
            "zip in it, or the address to which a data set was pushed. If it is the page of a "
            "file, name the address that the file itself is downloaded from.",
        )
