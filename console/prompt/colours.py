"""How the words of the language look: one map for the pane and the REPL."""

from __future__ import annotations

from collections.abc import Mapping

from ...engine.language.highlight import Role

ROLE_COLOURS: Mapping[Role, tuple[str, str]] = {
    Role.VERB: ("accent", "bold"),
    Role.OBJECT: ("primary", ""),
    Role.KEYWORD: ("accent", ""),
    Role.KNOWN: ("foreground", "bold"),
    Role.NEW: ("foreground", "italic"),
    Role.NUMBER: ("success", ""),
    Role.STRING: ("success", ""),
    Role.SIGN: ("foreground-muted", ""),
    Role.COMMENT: ("foreground-muted", "italic"),
    Role.WRONG: ("text-error", "underline"),
}
"""Role -> theme variable and attributes. Without colour the attributes are left to tell them apart."""


def component(role: Role) -> str:
    """The component class that carries the role's look."""
    return f"prompt--{role.name.lower()}"


def component_css(widget: str) -> str:
    """The style sheet of a widget that paints roles."""
    rules = (
        f"& .{component(role)} {{ color: ${variable}; {f'text-style: {attributes};' if attributes else ''} }}"
        for role, (variable, attributes) in ROLE_COLOURS.items()
    )
    return f"{widget} {{\n" + "\n".join(rules) + "\n}"
