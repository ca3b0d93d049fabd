"""`skyconsole qadmin` in batch use: exit codes, what goes where, and that nothing is half done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from skyconsole.console.commands.qadmin import command


def qadmin(*args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(command, args, input=text)


def test_statements_run_in_order_and_print_their_words(pgq_database: str) -> None:
    done = qadmin("-c", "create queue orders; register consumer mailer", "-Q", "orders", pgq_database)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "CREATE\nREGISTER\n", "")
    shown = qadmin("-c", "show consumer;", pgq_database)
    title, header, dashes, row, *_ = shown.stdout.splitlines()
    assert title == 'Consumer "*" on queue "*":'
    assert header.split() == [
        "queue_name", "consumer_name", "lag", "last_seen", "last_tick", "current_batch", "next_tick", "pending_events",
    ]  # fmt: skip
    assert set(dashes) == {"-", " "}
    assert row.startswith("orders      mailer         0:00:0")


def test_a_text_with_an_error_runs_nothing_and_says_where(pgq_database: str, tmp_path: Path) -> None:
    script = tmp_path / "a script.sky"
    script.write_text("create queue orders;\nshow quue;")
    failed = qadmin("-f", str(script), pgq_database)
    assert failed.exit_code == 2
    assert f"{script}:2:6: error: quue cannot stand here" in failed.stderr
    assert "orders" not in qadmin("-c", "show queue", pgq_database).stdout


def test_a_script_stops_at_the_first_failure_and_names_line_and_statement(pgq_database: str) -> None:
    failed = qadmin(pgq_database, text="create queue a;\ncreate queue a;\ncreate queue b;")
    assert (failed.exit_code, failed.stdout) == (1, "CREATE\n")
    assert "ERROR: Queue already exists." in failed.stderr
    assert "stdin:2: statement 2 of 3 failed; 1 not run" in failed.stderr


def test_what_destroys_needs_to_be_allowed(pgq_database: str) -> None:
    qadmin("-c", "create queue a", pgq_database)
    refused = qadmin("-c", "create queue b; drop queue a;", pgq_database)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    dry = qadmin("--dry-run", "-c", "drop queue a;", pgq_database)
    assert "would delete 1 row from pgq.queue" in dry.stdout
    assert qadmin("--yes", "-c", "drop queue a;", pgq_database).stdout == "DROP\n"


def test_json_is_one_object_a_statement(pgq_database: str) -> None:
    done = qadmin("--json", "-c", 'create queue "[/x]"; show queue;', pgq_database)
    created, shown = (json.loads(line) for line in done.stdout.splitlines())
    assert created == {"statement": 'create queue "[/x]";', "ok": True, "word": "CREATE"}
    assert (shown["rows"][0]["queue_name"], shown["rows"][0]["max_lag"]) == ("[/x]", 3.0)


def test_read_only_refuses_what_changes(pgq_database: str) -> None:
    refused = qadmin("--read-only", "-c", "create queue a", pgq_database)
    assert (refused.exit_code, refused.stdout) == (1, "")


def test_an_unquoted_name_finds_the_queue_that_is_so_called(pgq_database: str) -> None:
    qadmin("-c", 'create queue "MyQ"', pgq_database)
    assert "MyQ" in qadmin("-c", "show queue MyQ", pgq_database).stdout.splitlines()[3]


@pytest.mark.parametrize(("args", "code"), [(("-c", "x", "-f", "y"), 2), (("-f", "/nowhere/x"), 2), (("--bad",), 2)])
def test_a_wrong_call_is_a_usage_error(args: tuple[str, ...], code: int) -> None:
    done = qadmin(*args)
    assert getattr(done.exception, "exit_code", done.exit_code) == code


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    assert qadmin("-h", str(tmp_path), "-d", "x", "-c", "show queue").exit_code == 3
