"""A producer: performs the planned transactions and tells the ledger what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
from psycopg import sql

from .ledger import Claim, Ledger, Outcome
from .plan import (
    Bulk,
    Insert,
    Look,
    Pause,
    ProducerTemper,
    Step,
    Subtransaction,
    Transaction,
    transactions,
)
from .session import Session, pause, undone

Keys = list[tuple[str, str]]

_WRITTEN_TABLES = """
select coalesce(array_agg(c.relname::text order by c.relname), '{}')
from pg_catalog.pg_locks l
    join pg_catalog.pg_class c on c.oid = l.relation
where l.pid = pg_backend_pid()
    and l.mode = 'RowExclusiveLock'
    and c.relkind = 'r'
    and c.relname like 'event\\_%'
"""


class Producer:
    """One connection that inserts events, transaction after transaction, until it is told to stop."""

    def __init__(
        self, number: int, temper: ProducerTemper, seed: int, dsn: str, ledger: Ledger, surprise: Callable[[str], None]
    ) -> None:
        self._number = number
        self._plan = transactions(seed, number, temper)
        self._ledger = ledger
        self._surprise = surprise
        self._session = Session(dsn, f"producer {number}")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; leaves no transaction open, prepared or in doubt."""
        await self._session.reopen()
        serial = 0
        while not stop.is_set():
            serial += 1
            planned = next(self._plan)
            claim = Claim(f"p{self._number}-{serial}", planned.isolation, planned.ending)
            if await self._write(planned, claim, stop):
                await self._end(planned, claim, stop)
            await pause(stop, planned.rest)
        await self._session.close()

    async def _write(self, planned: Transaction, claim: Claim, stop: asyncio.Event) -> bool:
        """Perform the steps; False if the transaction is rolled back already."""
        connection = self._session.connection
        try:
            await connection.execute(sql.SQL("begin isolation level {}").format(sql.SQL(planned.isolation)))
            claim.kept = await self._perform(planned.steps, claim, stop)
            # The transaction id is read last: reading it earlier would close the very window the torture looks into.
            await connection.execute("insert into torture.marker (name) values (%s)", (claim.name,))
            cursor = await connection.execute(f"select txid_current(), ({_WRITTEN_TABLES})")
            row = await cursor.fetchone()
            assert row is not None
            claim.xid, claim.tables = row
        except psycopg.Error as error:
            self._ledger.claim(claim)
            self._ledger.settle(claim.name, Outcome.ROLLED_BACK)
            await self._recover(error)
            return False
        self._ledger.claim(claim)
        return True

    async def _perform(self, steps: tuple[Step, ...], claim: Claim, stop: asyncio.Event) -> Keys:
        """Perform the steps and give the events that stay if the transaction commits."""
        connection = self._session.connection
        kept: Keys = []
        for step in steps:
            match step:
                case Pause():
                    await pause(stop, step.seconds)
                case Look():
                    await connection.execute("select from pgq.queue where queue_name = %s", (step.queue,))
                case Insert():
                    keys = self._new_keys(claim, step.queue, step.count)
                    for queue, key in keys:
                        await connection.execute("select pgq.insert_event(%s, 'torture', %s)", (queue, key))
                    kept.extend(keys)
                case Bulk():
                    kept.extend(await self._copy(step, claim, stop))
                case Subtransaction():
                    await connection.execute("savepoint here")
                    inner = await self._perform(step.steps, claim, stop)
                    if not step.keeps:
                        await connection.execute("rollback to here")
                    await connection.execute("release here")
                    kept.extend(inner if step.keeps else ())
                    claim.undone.extend(() if step.keeps else inner)
        return kept

    async def _copy(self, step: Bulk, claim: Claim, stop: asyncio.Event) -> Keys:
        connection = self._session.connection
        cursor = await connection.execute("select pgq.current_event_table(%s), now()", (step.queue,))
        row = await cursor.fetchone()
        assert row is not None
        table, now = row
        await pause(stop, step.held)
        keys = self._new_keys(claim, step.queue, step.count)
        command = sql.SQL("copy {} (ev_time, ev_type, ev_data) from stdin").format(sql.Identifier(*table.split(".", 1)))
        async with connection.cursor().copy(command) as copy:
            for _, key in keys:
                await copy.write_row((now, "torture", key))
        return keys

    def _new_keys(self, claim: Claim, queue: str, wanted: int) -> Keys:
        used = len(claim.kept) + len(claim.undone)
        keys = [(queue, f"{claim.name}/{used + number}") for number in range(wanted)]
        # Until the steps are done every key counts as kept; an early end of the transaction undoes them all.
        claim.kept.extend(keys)
        return keys

    async def _end(self, planned: Transaction, claim: Claim, stop: asyncio.Event) -> None:
        if planned.ending.prepares:
            prepared = await self._prepare(claim)
            if not prepared:
                self._ledger.settle(claim.name, Outcome.ROLLED_BACK)
                return
            await pause(stop, planned.prepared_for)
            await self._finish_prepared(claim, planned.ending.value)
            kept = planned.ending.keeps
        elif planned.ending.keeps:
            kept = await self._commit(claim)
        else:
            kept = False
            try:
                await self._session.connection.execute("rollback")
            except psycopg.Error as error:
                await self._recover(error)
        self._ledger.settle(claim.name, Outcome.COMMITTED if kept else Outcome.ROLLED_BACK)

    async def _commit(self, claim: Claim) -> bool:
        try:
            cursor = await self._session.connection.execute("commit")
        except psycopg.Error as error:
            if not self._session.lost(error):
                await self._recover(error)
                return False
            self._ledger.note("commit in doubt", name=claim.name)
            return await self._ask("select from torture.marker where name = %s", claim.name)
        return cursor.statusmessage == "COMMIT"

    async def _prepare(self, claim: Claim) -> bool:
        command = sql.SQL("prepare transaction {}").format(sql.Literal(claim.name))
        try:
            cursor = await self._session.connection.execute(command)
        except psycopg.Error as error:
            if not self._session.lost(error):
                await self._recover(error)
                return False
            self._ledger.note("prepare in doubt", name=claim.name)
            return await self._ask("select from pg_catalog.pg_prepared_xacts where gid = %s", claim.name)
        return cursor.statusmessage == "PREPARE TRANSACTION"

    async def _finish_prepared(self, claim: Claim, ending: str) -> None:
        command = sql.SQL("{} {}").format(sql.SQL(ending), sql.Literal(claim.name))
        waits = True
        while waits:
            try:
                await self._session.connection.execute(command)
                return
            except psycopg.Error as error:
                if not self._session.lost(error):
                    raise
            waits = await self._ask("select from pg_catalog.pg_prepared_xacts where gid = %s", claim.name)

    async def _ask(self, question: str, name: str) -> bool:
        """After a lost connection: whether the question finds a row, asked when the lost backend is gone.

        The status by transaction id would not do: after a crash an id that never reached the disk is given out again.
        """
        while True:
            connection = await self._session.reopen_after_loss()
            try:
                cursor = await connection.execute(question, (name,))
            except psycopg.Error as error:
                if not self._session.lost(error):
                    raise
            else:
                return cursor.rowcount > 0

    async def _recover(self, error: psycopg.Error) -> None:
        if self._session.lost(error):
            await self._session.reopen_after_loss()
            return
        if not undone(error):
            self._surprise(f"producer {self._number}: {type(error).__name__}: {error}")
        try:
            await self._session.connection.execute("rollback")
        except psycopg.Error:
            await self._session.reopen_after_loss()
