"""Local consumers: the file counts, as the table of spec/pgq-clients.md 5.6 says."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from skyconsole.engine.errors import SkyError, UsageError
from skyconsole.engine.queue import Event, LocalConsumer, Step


class Local(LocalConsumer):
    """Keeps what it gets."""

    got: list[int]

    def process_event(self, db: Any, event: Event) -> None:
        self.got.append(event.ev_id)


def _made(place: Any, file: Path, **more: Any) -> Local:
    made = Local(place.dsn, place.settings(local_tracking_file=file), **more)
    made.got = []
    return made


def _position(place: Any) -> Any:
    return place.one("select last_tick from pgq.get_consumer_info(%s, %s)", place.queue, place.settings().consumer_name)


def test_the_file_follows_the_queue(place: Any, tmp_path: Path) -> None:
    expected = place.fill(3, 2)
    local = _made(place, tmp_path / "tick")
    local.run()
    assert local.got == expected
    assert int((tmp_path / "tick").read_text()) == _position(place)
    assert list(tmp_path.iterdir()) == [tmp_path / "tick"]


def test_a_crash_after_the_file_is_written_repeats_nothing(place: Any, tmp_path: Path) -> None:
    class Crash:
        def on_step(self, step: Step, batch_id: int) -> None:
            if step is Step.FINISHING:
                raise RuntimeError("dies")

    expected = place.fill(1, 2)
    crashing = _made(place, tmp_path / "tick", observer=Crash())
    with pytest.raises(RuntimeError, match="dies"):
        crashing.run()
    assert crashing.got == expected
    local = _made(place, tmp_path / "tick")
    local.run()
    assert local.got == []


@pytest.mark.parametrize(("tick", "words"), [("first", "Rewinding"), ("last", "Repositioning")])
def test_the_file_counts_more_than_the_queue(
    place: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, tick: str, words: str
) -> None:
    expected = place.fill(1, 2)
    middle = place.one("select max(tick_id) from pgq.tick")
    expected += place.fill(1, 2)
    ends = place.conn.execute("select min(tick_id), max(tick_id) from pgq.tick").fetchone()
    place.one("select pgq.register_consumer_at(%s, %s, %s)", place.queue, place.settings().consumer_name, middle)
    (tmp_path / "tick").write_text(str(ends[0] if tick == "first" else ends[1]))
    local = _made(place, tmp_path / "tick")
    with caplog.at_level(logging.WARNING):
        local.run()
    assert "Tracking out of sync" in caplog.text
    assert words in caplog.text
    assert local.got == (expected if tick == "first" else [])


def test_an_unregistered_consumer_registers_itself(place: Any, tmp_path: Path) -> None:
    place.one("select pgq.unregister_consumer(%s, %s)", place.queue, place.settings().consumer_name)
    tick = place.tick()
    expected = place.fill(1, 2)
    (tmp_path / "tick").write_text(str(tick))
    local = _made(place, tmp_path / "tick")
    local.run()
    assert local.got == expected
    assert local.unregister() == 1
    assert not (tmp_path / "tick").exists()
    local.run()
    assert _position(place) == place.one("select max(tick_id) from pgq.tick")


def test_rewind_moves_the_queue_and_reset_removes_the_file(place: Any, tmp_path: Path) -> None:
    local = _made(place, tmp_path / "tick")
    assert "no tracking file" in local.rewind()
    expected = place.fill(2, 2)
    local.run()
    (tmp_path / "tick").write_text(str(place.one("select min(tick_id) from pgq.tick")))
    local.rewind()
    local.run()
    assert local.got == expected * 2
    assert "was removed" in local.reset()
    assert "was no" in local.reset()


def test_a_file_that_cannot_be_is_refused(place: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="path does not exist"):
        _made(place, tmp_path / "nowhere" / "tick")
    with pytest.raises(UsageError, match="local_tracking_file"):
        Local(place.dsn, place.settings())
    (tmp_path / "tick").write_text("seven")
    with pytest.raises(SkyError, match="holds no tick"):
        _made(place, tmp_path / "tick").run()
