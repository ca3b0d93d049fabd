"""One configuration file, two programs: the PyPI packages' script framework and our daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from skyconsole.daemons.script_ini import read_script_ini, section_of

from .conftest import PeerPython

pytestmark = pytest.mark.peer

DIALECT = """\
# a comment
[DEFAULT]
host = db1
Port : 5433
[other]
x = 1
[simple_consumer3]
Job_Name = copier
src_db = dbname=a host=%(host)s port=%(port)s
dst_db: dbname=b password=a%%b : x
dst_query = select 1,
    %%(pgq.ev_data)s,
    # not this

      %%(id)s ; more
      [no section]
deep = <%(log)s>
log = %(job_name)s-%(service_name)s-%(config_dir)s-%(config_file)s
empty =
\ttabbed = 1
two = a=b:c
quoted = "as it is"
; the end
"""
KEYS = ("job_name", "src_db", "dst_db", "dst_query", "deep", "log", "empty", "two", "quoted", "host", "port")


def test_both_read_the_same_values(peer_python: PeerPython, tmp_path: Path) -> None:
    path = tmp_path / "job.ini"
    path.write_text(DIALECT)
    theirs = json.loads(peer_python.run("pypi_script.py", "values", str(path), "simple_consumer3", *KEYS))
    chosen = section_of(read_script_ini(path), "simple_consumer3")
    ours = {entry.key: entry.value for entry in (*chosen.inherited, *chosen.entries)}
    # Empty lines inside a value are kept there, where nobody needs them.
    theirs = {key: "\n".join(line for line in value.split("\n") if line or not value) for key, value in theirs.items()}
    assert {key: ours[key] for key in KEYS} == theirs


def test_they_take_turns_at_one_subscription(pgq_database: str, peer_python: PeerPython, tmp_path: Path) -> None:
    path = tmp_path / "turns.ini"
    path.write_text(
        f"[simple_consumer3]\nsrc_db = {pgq_database}\ndst_db = {pgq_database}\npgq_queue_name = q\n"
        f"pgq_consumer_id = [/c]\npidfile = {tmp_path / 'turns.pid'}\nloop_delay = 0\n"
        "dst_query = insert into ours values (%%(pgq.ev_data)s)\n"
    )
    theirs: list[str] = []
    with psycopg.connect(pgq_database, autocommit=True) as conn:
        conn.execute("create table ours (data text)")
        conn.execute("select pgq.create_queue('q'), pgq.register_consumer('q', '[/c]')")
        for number in range(6):
            conn.execute("select pgq.insert_event('q', 'I:id', %s)", (f"id={number}",))
            conn.execute("select pgq.force_tick('q')")
            conn.execute("select pgq.ticker('q')")
            if number % 2:
                theirs += [json.loads(line) for line in peer_python.run("pypi_script.py", "consume", str(path)).split()]
            else:
                command = [sys.executable, "-m", "skyconsole", "--headless", "consumer", str(path)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
                assert done.returncode == 0, done.stderr
        ours = [data for (data,) in conn.execute("select data from ours order by data")]
    assert (ours, theirs) == (["id=0", "id=2", "id=4"], ["id=1", "id=3", "id=5"])
