"""The form that changes a queue's settings: only what is changed goes into the command."""

from __future__ import annotations

from collections.abc import Mapping

from ...engine.language.commands import AlterQueue
from ...engine.language.model import Command, Context
from ...engine.language.settings import SETTINGS, Setting, ValueKind, normalise, of_facts
from ...engine.monitor.picture import QueueRow
from ..shown import named
from ..widgets.command_form import CommandForm, Field


class AlterQueueForm(CommandForm):
    """Shows every setting with its value; the command below says what changes."""

    DEFAULT_CSS = """
    AlterQueueForm.-low #form-preview { max-height: 3; }
    """

    def __init__(self, row: QueueRow, source: str, context: Context, *, production: bool = False) -> None:
        self._queue = row.facts.name
        self._before = {setting.name: of_facts(setting.name, row.facts) for setting in SETTINGS}
        fields = tuple(_field(setting, self._before[setting.name]) for setting in SETTINGS)
        about = f"queue {named(self._queue)}"
        super().__init__("change settings", source, context, fields, about=about, production=production)

    def command_of(self, values: Mapping[str, str]) -> Command | None:
        changed = tuple(
            (setting.name, value)
            for setting in SETTINGS
            if (value := _value(setting, values[setting.name])) != self._before[setting.name]
        )
        return AlterQueue(self._queue, changed) if changed else None


def _field(setting: Setting, value: str | None) -> Field:
    choices = ("0", "1") if setting.kind is ValueKind.BOOLEAN else ()
    hint = "empty: any" if setting.nullable else setting.kind.value
    return Field(setting.name, setting.name, value or "", hint, choices)


def _value(setting: Setting, text: str) -> str | None:
    """Raises UsageError for a value of the wrong kind."""
    if setting.nullable and not text.strip():
        return None
    return normalise(setting.name, text)
