"""What the ticker costs: many databases of many queues, from one process.

`python tests/bench/ticker_scale.py [--databases 100] [--queues 100] [--seconds 60] [--period 1]`
starts a server and a ticker of its own, lets all queues idle as they would after hours, and prints the CPU time of
both, the memory of the ticker, the WAL and the transactions of the server, and the same as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from skyconsole.engine.postgres.binaries import find_binaries
from skyconsole.engine.postgres.cluster import Cluster
from skyconsole.engine.postgres.modules import install

TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Figures:
    """One measurement; CPU in seconds a minute."""

    databases: int
    queues: int
    period: float
    server_version: int
    ticker_cpu: float
    server_cpu: float
    ticker_memory_mb: float
    wal_bytes_a_minute: int
    transactions_a_second: float
    looks_a_second: float
    ticks_a_second: float
    connections: int
    states: dict[str, int]


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu(pid: int, *, children: bool = False) -> float:
    fields = _stat(pid)
    return sum(map(int, fields[11 : 15 if children else 13])) / TICK


def _server_cpu(postmaster: int) -> float:
    """Of the postmaster, its living children and those it has reaped."""
    total = _cpu(postmaster, children=True)
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(_stat(int(path.name))[1]) == postmaster:
                total += _cpu(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


async def _template(cluster: Cluster, queues: int) -> None:
    """A database whose queues have idled for long: ticks a minute apart, their phases spread."""
    async with await psycopg.AsyncConnection.connect(cluster.dsn(), autocommit=True) as conn:
        await conn.execute("create database idle")
    async with await psycopg.AsyncConnection.connect(cluster.dsn("idle"), autocommit=True) as conn:
        await install(conn, "pgq")
        for number in range(queues):
            await conn.execute("select pgq.create_queue(%s)", (f"queue {number}",))
        await conn.execute("delete from pgq.tick")
        await conn.execute(
            """insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)
               select q.queue_id, nextval(q.queue_tick_seq::regclass),
                      now() - make_interval(secs => 60 * (q.queue_id::float8 / %s + 1 - t.n)), 1
               from pgq.queue as q, generate_series(0, 1) as t (n)""",
            (queues,),
        )


def _query(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(query).fetchone()  # type: ignore[call-overload]
        assert row is not None
        return row[0]


def _status(ini: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "skyconsole", "--headless", "ticker", "--status", "--json", str(ini)],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    if done.returncode == 2:
        return {"databases": []}
    status: dict[str, Any] = json.loads(done.stdout)
    return status


def measure(cluster: Cluster, folder: Path, databases: int, queues: int, seconds: float, period: float) -> Figures:
    asyncio.run(_template(cluster, queues))
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("alter database idle allow_connections false")
        for number in range(databases):
            conn.execute(sql.SQL("create database {} template idle").format(sql.Identifier(f"db{number}")))
        conn.execute("checkpoint")
    parts = {k: str(v) for k, v in conninfo_to_dict(cluster.dsn()).items() if k != "dbname"}
    ini = folder / "bench.ini"
    ini.write_text(
        f"[pgqd]\nbase_connstr = {make_conninfo('', **parts)}\nsyslog = 0\nticker_period = {period}\n"
        f"pidfile = {folder / 'bench.pid'}\nlogfile = {folder / 'bench.log'}\nmax_connections = {databases + 5}\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "skyconsole", "--headless", "ticker", "-q", str(ini)], cwd="/"
    ) as ticker:
        deadline = time.monotonic() + 120
        while sum(d["state"] == "ticking" for d in _status(ini)["databases"]) < databases:
            assert time.monotonic() < deadline, "not all databases tick"
            time.sleep(1)
        time.sleep(15)  # what was due at the start is over
        dsn = cluster.dsn()
        transactions = "select sum(xact_commit + xact_rollback)::bigint from pg_stat_database"
        status = cluster.status()
        assert status.pid is not None

        def counters() -> tuple[float, float, float, int, int, dict[str, Any]]:
            state = _status(ini)
            return (
                time.monotonic(), _cpu(ticker.pid), _server_cpu(status.pid or 0),
                int(_query(dsn, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")),
                int(_query(dsn, transactions)), state,
            )  # fmt: skip

        before = counters()
        time.sleep(seconds)
        after = counters()
        memory = int(Path(f"/proc/{ticker.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        connections = _query(dsn, "select count(*) from pg_stat_activity where application_name = 'skyconsole-ticker'")
        ticker.send_signal(signal.SIGINT)
    span = after[0] - before[0]

    def total(state: dict[str, Any], key: str) -> int:
        return sum(int(d[key]) for d in state["databases"])

    states = [d["state"] for d in after[5]["databases"]]
    return Figures(
        databases, queues, period, cluster.binaries.version[0],
        round((after[1] - before[1]) / span * 60, 2), round((after[2] - before[2]) / span * 60, 2),
        round(memory / 2**20, 1), round((after[3] - before[3]) / span * 60),
        round((after[4] - before[4]) / span, 1),
        round((total(after[5], "looks") - total(before[5], "looks")) / span, 1),
        round((total(after[5], "ticks") - total(before[5], "ticks")) / span, 1),
        connections, {s: states.count(s) for s in sorted(set(states))},
    )  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--databases", type=int, default=100)
    options.add_argument("--queues", type=int, default=100)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--period", type=float, default=1.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="ticker-scale-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster = Cluster(folder / "data", find_binaries())
        cluster.create(options=["--no-sync"])
        settings = {
            "max_connections": str(chosen.databases + 50), "fsync": "off", "shared_buffers": "512MB",
            "max_locks_per_transaction": "256",
        }  # fmt: skip
        cluster.start(settings)
        try:
            figures = measure(cluster, folder, chosen.databases, chosen.queues, chosen.seconds, chosen.period)
        finally:
            cluster.kill()
    for key, value in asdict(figures).items():
        print(f"{key:24} {value}")
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
