"""The sample configurations that --ini prints."""

from __future__ import annotations

from collections.abc import Sequence

from ...engine.errors import UsageError
from ..ini import overrides, sample
from .keys import KEYS, OPTION_SECTION, SECTIONS, Kind


def sample_ini(section: str | None, settings: Sequence[str]) -> str:
    """Every key with its default, commented out; those of `--set` as they are set. Raises UsageError."""
    name = section or next(iter(SECTIONS))
    if name not in SECTIONS:
        raise UsageError(f"There is no sample of [{name}].", f"There is one of {', '.join(SECTIONS)}.")
    text = sample(name, KEYS[SECTIONS[name]])
    for entry in overrides(settings, name):
        lines = text.splitlines()
        at = [number for number, line in enumerate(lines) if line.startswith(f"#{entry.key} =")]
        if not at:
            raise UsageError(f"--set {entry.key}: [{name}] has no such key.")
        lines.insert(at[0] + 1, f"{entry.key} = {entry.value}")
        text = "\n".join(lines) + "\n"
    if SECTIONS[name] is Kind.CLASS:
        text += f"\n# What the class is given by name when it is made.\n#[{OPTION_SECTION}]\n#smtp_host = localhost\n"
    return text
