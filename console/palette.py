"""What `ctrl+p` finds: the actions of the row first, then the screens; each hit shows the key that does the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import Hit, Hits, Provider
from textual.content import Content
from textual.fuzzy import FuzzySearch
from textual.markup import escape

from . import actions
from .shown import shown
from .widgets.action_menu import key_text

if TYPE_CHECKING:
    from .running import CommandRunner


_NOT_OFFERED = frozenset({"palette", "screen.copy_text", "app.focus_next", "app.focus_previous"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing the palette can do."""

    text: str
    key: str
    help: str
    run: Callable[[], object]
    weight: float = 1.0
    """What belongs to the row stands before the rest, however well the rest matches."""

    def rank(self, score: float) -> float:
        """The place of a hit, between 0 and 1: by weight, then by the score of the match, which has no upper bound."""
        return self.weight - 0.1 / (1 + score)


class EntryProvider(Provider):
    """Offers entries; subclasses say which."""

    def entries(self) -> Iterator[Entry]:
        """All entries, best first."""
        raise NotImplementedError

    @property
    def runner(self) -> CommandRunner:
        return cast("CommandRunner", self.app)

    async def discover(self) -> Hits:
        for number, entry in enumerate(self.entries()):
            score = entry.weight * (1 - number / 1000)  # the palette sorts by score
            yield Hit(score, _with_key(Content(entry.text), entry), entry.run, entry.text, escape(entry.help) or None)

    async def search(self, query: str) -> Hits:
        search, style = FuzzySearch(case_sensitive=False), self.match_style
        for entry in self.entries():
            score, offsets = search.match(query, entry.text)
            if score > 0:
                text = Content(entry.text)  # Matcher.highlight would read a name as markup
                for offset in offsets:
                    text = text.stylize(style or "bold", offset, offset + 1)
                display = _with_key(text, entry)
                yield Hit(entry.rank(score), display, entry.run, entry.text, escape(entry.help) or None)


class ActionProvider(EntryProvider):
    """The actions of the row under the cursor; what is disabled says why and does nothing."""

    def entries(self) -> Iterator[Entry]:
        runner = self.runner
        row = runner.action_row()
        subject = shown(actions.subject_text(row))
        for offer in runner.offers():
            action = offer.action
            about = f": {subject}" if subject and action.id != "create" else ""
            if offer.enabled:
                run: Callable[[], object] = partial(runner.act, action, row)
            else:
                run = partial(runner.notify, offer.reason, title=action.title, severity="warning", markup=False)
            help_text = action.help if offer.enabled else f"{offer.reason}. {action.help}"
            yield Entry(f"{action.title}{about}", key_text(action.key), help_text, run)


class PlaceProvider(EntryProvider):
    """What else a key does on the screen or everywhere: the modes, sort, filter; and the themes."""

    def entries(self) -> Iterator[Entry]:
        runner = self.runner
        own = {action.key for action in actions.ACTIONS}
        seen: set[str] = set()
        for key, active in self.screen.active_bindings.items():
            binding = active.binding
            if binding.system or not binding.description or key in own or binding.action in seen or not active.enabled:
                continue
            if (active.node is not runner and active.node is not self.screen) or binding.action in _NOT_OFFERED:
                continue
            seen.add(binding.action)
            run = partial(runner.call_later, runner.run_action, binding.action, active.node)
            yield Entry(binding.description, runner.get_key_display(binding), active.tooltip, run, weight=0.8)
        for name in sorted(runner.available_themes):
            yield Entry(f"Theme {name}", "", "", partial(setattr, runner, "theme", name), weight=0.6)


def _with_key(text: Content, entry: Entry) -> Content:
    return Content.assemble(text, ("   " + entry.key, "bold $text-accent")) if entry.key else text
