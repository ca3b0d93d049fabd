"""Copying to the clipboard through the terminal (OSC 52), which never answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .shown import shown

if TYPE_CHECKING:
    from textual.app import App

LIMIT = 74_994
"""Bytes. The longest text whose base64 form stays under the 100,000 bytes that xterm and tmux take."""


def send_to_terminal(app: App[object], text: str, what: str) -> bool:
    """Sends the text to the terminal's clipboard and says so; refuses what terminals would cut off."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LIMIT:
        app.notify(
            f"{shown(what)} is {size:,} bytes, a terminal takes {LIMIT:,}. E exports to a file.",
            title="not copied",
            severity="warning",
            markup=False,
        )
        return False
    app.copy_to_clipboard(text)
    first = shown(text.strip().split("\n", 1)[0])
    app.notify(
        first if len(first) <= 60 else first[:59] + "…", title=f"{shown(what)}: sent to the terminal", markup=False
    )
    return True
