-- name: prepare_session
select
    pg_catalog.set_config('default_transaction_isolation', 'read committed', false),
    pg_catalog.set_config('default_transaction_read_only', 'off', false),
    pg_catalog.set_config('lock_timeout', %(lock_timeout)s, false),
    pg_catalog.set_config('statement_timeout', %(statement_timeout)s, false),
    pg_catalog.set_config('jit', 'off', false)

-- name: own_names_only
-- For sessions that run our own statements: operators that somebody made in the schema public are not found.
select pg_catalog.set_config('search_path', 'pg_catalog', false)

-- name: names_of_the_role
reset search_path

-- name: probe
select
    pg_catalog.pg_is_in_recovery() as in_recovery,
    pg_catalog.to_regnamespace('pgq') is not null as has_schema,
    pg_catalog.to_regprocedure('pgq.version()') is not null as has_version,
    pg_catalog.to_regprocedure('pgq.maint_operations()') is not null as has_maintenance,
    pg_catalog.current_setting('max_connections')::int as max_connections

-- name: version
select pgq.version()

-- name: in_recovery
select pg_catalog.pg_is_in_recovery()

-- name: guard
select pg_catalog.pg_try_advisory_lock(%(class)s, %(object)s)

-- name: guard_holder
select l.pid, a.application_name, a.usename, a.backend_start
from pg_catalog.pg_locks as l
left join pg_catalog.pg_stat_activity as a on a.pid = l.pid
where l.locktype = 'advisory'
    and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
    and l.classid = %(class)s::oid
    and l.objid = %(object)s::oid
    and l.objsubid = 2
    and l.granted

-- name: listen
listen pgq_ticker

-- name: look
-- Which queues are due, by the rules of pgq.ticker(queue) itself, and when the next ones will be.
-- Reads only: no transaction id is taken and no WAL is written.
with newest as materialized (
    select
        q.queue_id,
        q.queue_name,
        q.queue_ticker_max_count as max_count,
        q.queue_ticker_max_lag as max_lag,
        q.queue_ticker_idle_period as idle_period,
        t.tick_id,
        s.event_seq,
        s.event_seq - t.tick_event_seq as new,
        pg_catalog.now() - t.tick_time as lag,
        t.tick_time - p.tick_time as prevlag
    from pgq.queue as q
    cross join lateral (
        -- offset 0: the sequence is read once a queue, not once for each place the value is used in.
        select coalesce(
            pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass(q.queue_event_seq)::oid), 1
        ) as event_seq
        offset 0
    ) as s
    left join lateral (
        select k.tick_id, k.tick_time, k.tick_event_seq
        from pgq.tick as k
        where k.tick_queue = q.queue_id
        order by k.tick_id desc
        limit 1
    ) as t on true
    left join lateral (
        select k.tick_time
        from pgq.tick as k
        where k.tick_queue = q.queue_id
            and k.tick_id < t.tick_id
        order by k.tick_id desc
        limit 1
    ) as p on true
    where not q.queue_external_ticker
        and not q.queue_ticker_paused
        and q.queue_id <> all (%(excluded)s::int[])
),
decided as (
    select
        n.queue_id,
        n.queue_name,
        n.tick_id,
        n.event_seq,
        n.new,
        n.lag,
        n.max_count,
        greatest(n.max_lag / 2, least(2 * n.prevlag, n.idle_period)) as idle_gap,
        extract(epoch from n.max_lag)::float8 as max_lag_seconds,
        greatest(extract(epoch from n.lag)::float8, 0) as lag_seconds,
        case
            when n.tick_id is null then true
            when n.new > 0 then not (n.new < n.max_count and n.lag < n.max_lag)
            when n.prevlag is null then true
            else not (n.lag < n.max_lag / 2 or (n.lag < 2 * n.prevlag and n.lag < n.idle_period))
        end as due
    from newest as n
)
select
    count(*) as queues,
    sum(d.event_seq) as mark,
    array_agg(d.queue_id order by d.new > 0 desc, d.lag desc) filter (where d.due) as due_ids,
    array_agg(d.queue_name order by d.new > 0 desc, d.lag desc) filter (where d.due) as due_names,
    count(*) filter (where d.due and d.new > 0) as waiting,
    min(
        least(d.max_lag_seconds, d.max_count * d.lag_seconds / d.new)
    ) filter (where d.new > 0) as expected_gap,
    min(
        least(d.max_lag_seconds - d.lag_seconds, (d.max_count - d.new) * d.lag_seconds / d.new)
    ) filter (where d.new > 0 and not d.due) as next_due,
    extract(epoch from min(d.idle_gap))::float8 as idle_gap
from decided as d

-- name: glance
-- The sum of all event sequences: it is another one when an event came in since the last look.
select
    sum(
        coalesce(pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass(q.queue_event_seq)::oid), 1)
    ) as mark
from pgq.queue as q
where not q.queue_external_ticker
    and not q.queue_ticker_paused
    and q.queue_id <> all (%(excluded)s::int[])

-- name: locked_queues
-- The queues whose event sequence somebody holds an exclusive lock on: a drop that has not ended yet.
select q.queue_id, q.queue_name
from pgq.queue as q
inner join pg_catalog.pg_locks as l on l.relation = pg_catalog.to_regclass(q.queue_event_seq)::oid
where l.locktype = 'relation'
    and l.granted
    and l.mode in ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
    and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())

-- name: tick
-- Ticks these queues in one transaction and tells the listeners of each that got a tick.
select
    d.queue_id,
    t.tick_id,
    pg_catalog.pg_notify('pgq_tick_' || d.queue_id, t.tick_id::text)
from rows from (
    pg_catalog.unnest(%(queue_ids)s::int[]),
    pg_catalog.unnest(%(queue_names)s::text[])
) as d (queue_id, queue_name)
cross join lateral pgq.ticker(d.queue_name) as t (tick_id)
where t.tick_id is not null

-- name: newest_ticks
select
    array_agg(q.queue_id) as queue_ids,
    array_agg(q.queue_name) as queue_names,
    array_agg(t.tick_id) as tick_ids
from pgq.queue as q
inner join lateral (
    select k.tick_id
    from pgq.tick as k
    where k.tick_queue = q.queue_id
    order by k.tick_id desc
    limit 1
) as t on true
where not q.queue_external_ticker

-- name: ticker_sessions
-- Sessions whose last statement called the tick function and which do not hold the guard.
select a.pid, a.application_name
from pg_catalog.pg_stat_activity as a
where a.datname = pg_catalog.current_database()
    and a.pid <> pg_catalog.pg_backend_pid()
    and a.query ilike '%%pgq.ticker(%%'
    and a.query not ilike '%%pg_stat_activity%%'
order by a.pid
