"""The processes that keep a database's queues alive, told from its sessions and its ticks."""

from __future__ import annotations

from .ages import brief
from .model import SessionFacts
from .picture import DaemonRow, Level, QueueRow

TICKER = "skyconsole-ticker"
"""How our ticker calls its connections; the original's sets no name (spec/ticker.md)."""
_TRIES = "pg_try_advisory_lock"
_OURS = "skyconsole-"


def ticker_age(queues: tuple[QueueRow, ...]) -> float | None:
    """Seconds since the newest tick of any queue that should tick; None when there is none."""
    ages = [
        row.tick_age
        for row in queues
        if row.tick_age is not None and not row.facts.paused and not row.facts.external_ticker
    ]
    return min(ages, default=None)


def ticker_state(queues: tuple[QueueRow, ...]) -> tuple[Level, str]:
    """The ticker as a level and a word, told from its work alone: 'ticking', 'silent', 'paused', 'none'.

    It is silent when every queue that should tick waits for one: a ticker serves them all or none.
    """
    due = [row for row in queues if not row.facts.paused and not row.facts.external_ticker]
    if not queues:
        return Level.UNKNOWN, "none"
    if not due:
        return Level.OFF, "paused"
    best = min(row.ticker for row in due)
    return (best, "silent") if best >= Level.WARN else (Level.OK, "ticking")


def daemon_rows(queues: tuple[QueueRow, ...], sessions: tuple[SessionFacts, ...]) -> tuple[DaemonRow, ...]:
    """The ticker first, seen or inferred; then the other daemons of ours that are connected."""
    level, state = ticker_state(queues)
    age = ticker_age(queues)
    worked = "" if age is None else f"newest tick {brief(age)} ago"
    tickers = [one for one in sessions if one.application.startswith(TICKER)]
    # Beside its guarded connection a ticker opens short ones for maintenance, and a spare keeps trying for the guard.
    spares = [one for one in tickers if not one.guards and _TRIES in one.query]
    active = [one for one in tickers if one.guards] or [one for one in tickers if one not in spares]
    rows: list[DaemonRow] = []
    if active:
        rows.append(DaemonRow("ticker", level, state, active[0].pid, active[0].since, worked))
    else:
        note = f"{worked}; its session has no name" if state == "ticking" else worked or "no queue to tick"
        rows.append(DaemonRow("ticker", level, state, None, None, note))
    rows.extend(DaemonRow("ticker", Level.OK, "standby", one.pid, one.since, "waits to take over") for one in spares)
    for one in sessions:
        name = one.application
        if name.startswith(_OURS) and not name.startswith(TICKER):
            rows.append(
                DaemonRow(name.removeprefix(_OURS), Level.OK, one.state or "connected", one.pid, one.since, one.wait)
            )
    return tuple(rows)
