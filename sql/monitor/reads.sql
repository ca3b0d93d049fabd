-- What the console reads of a database. Each statement is one part; all of them work on our own PgQ and on
-- the original extension, on PostgreSQL 14 to 18, and need no right beyond what PgQ grants to public unless it
-- says so. Times are sent as seconds since 1970 (float8): the cheapest form for both sides.

-- name: session
-- Settings of the reading session.
select
    pg_catalog.set_config('default_transaction_read_only', 'on', false),
    pg_catalog.set_config('statement_timeout', %s, false),
    pg_catalog.set_config('lock_timeout', '1s', false),
    pg_catalog.set_config('jit', 'off', false),
    pg_catalog.set_config('search_path', 'pg_catalog', false)

-- name: server
-- Works without PgQ. `pgq_oid` changes when PgQ is dropped and installed again.
select
    pg_catalog.current_setting('server_version_num')::int4 as version_num,
    pg_catalog.current_database()::text as database,
    current_user::text as "user",
    pg_catalog.pg_is_in_recovery() as in_recovery,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) as now,
    pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) as started,
    pg_catalog.to_regclass('pgq.queue')::oid::int8 as pgq_oid,
    (
        select e.extversion
        from pg_catalog.pg_extension as e
        where e.extname = 'pgq'
    ) as extension_version,
    pg_catalog.to_regprocedure('pgq.skyconsole_version()') is not null as ours,
    coalesce(
        pg_catalog.has_function_privilege(
            pg_catalog.to_regprocedure('pgq.create_queue(text)')::oid, 'execute'),
        false) as may_create,
    coalesce(
        pg_catalog.has_table_privilege(pg_catalog.to_regclass('pgq.retry_queue')::oid, 'select'),
        false) as may_count_retries,
    coalesce(
        pg_catalog.has_function_privilege(
            pg_catalog.to_regprocedure('pgq.get_dead_letter_counts()')::oid, 'execute'),
        false) as may_count_letters

-- name: own_version
-- Only where the function exists.
select pgq.skyconsole_version()

-- name: size
select pg_catalog.pg_database_size(pg_catalog.current_database())

-- name: queues
-- Every queue with its newest tick. The sequence's last value as spec/pgq.md 4.8 has it: 1 when never used.
select
    q.queue_id::int8,
    q.queue_name,
    q.queue_ntables,
    q.queue_cur_table,
    pg_catalog.date_part('epoch', q.queue_rotation_period),
    pg_catalog.date_part('epoch', q.queue_switch_time),
    q.queue_switch_step2 is null,
    q.queue_external_ticker,
    q.queue_ticker_paused,
    q.queue_disable_insert,
    q.queue_ticker_max_count,
    pg_catalog.date_part('epoch', q.queue_ticker_max_lag),
    pg_catalog.date_part('epoch', q.queue_ticker_idle_period),
    q.queue_per_tx_limit,
    t.tick_id,
    pg_catalog.date_part('epoch', t.tick_time),
    t.tick_event_seq,
    coalesce(pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass(q.queue_event_seq)), 1)
from pgq.queue as q
left join lateral (
    select
        k.tick_id,
        k.tick_time,
        k.tick_event_seq
    from pgq.tick as k
    where k.tick_queue = q.queue_id
    order by k.tick_queue desc, k.tick_id desc
    limit 1
) as t on true
order by q.queue_name collate "C"

-- name: retries
-- Needs the right to read pgq.retry_queue (pgq_admin).
select
    r.ev_queue::int8,
    r.ev_owner::int8,
    pg_catalog.count(*)
from pgq.retry_queue as r
group by r.ev_queue, r.ev_owner

-- name: letters
-- Only where the function exists: the original keeps no dead letters.
select
    l.queue_name,
    l.consumer_name,
    l.letters
from pgq.get_dead_letter_counts() as l

-- name: consumers
-- Every subscription with the ticks it stands on. The limits keep the lookups of ticks on their index, whatever
-- the statistics say: there may be millions of ticks.
select
    s.sub_queue::int8 << 32 | s.sub_consumer::int8,
    s.sub_last_tick,
    s.sub_batch,
    s.sub_next_tick,
    pg_catalog.date_part('epoch', s.sub_active),
    s.sub_id,
    pg_catalog.date_part('epoch', l.tick_time),
    l.tick_event_seq,
    pg_catalog.date_part('epoch', n.tick_time),
    q.queue_name,
    c.co_name
from pgq.subscription as s
join pgq.queue as q
    on q.queue_id = s.sub_queue
join pgq.consumer as c
    on c.co_id = s.sub_consumer
left join lateral (
    select
        k.tick_time,
        k.tick_event_seq
    from pgq.tick as k
    where k.tick_queue = s.sub_queue
        and k.tick_id = s.sub_last_tick
    limit 1
) as l on true
left join lateral (
    select k.tick_time
    from pgq.tick as k
    where k.tick_queue = s.sub_queue
        and k.tick_id = s.sub_next_tick
    limit 1
) as n on true
order by q.queue_name collate "C", c.co_name collate "C"

-- name: sessions
-- Backends of this database that have to do with PgQ, those that wait for a lock or hold a transaction open for
-- minutes, and whoever blocks one of them; `guards` marks the one ticker of the database. Without pg_read_all_stats other users' sessions have no name and no query.
with activity as materialized (
    select
        a.pid,
        a.application_name,
        a.usename,
        a.state,
        case
            when a.state = 'active' and a.wait_event_type is not null then a.wait_event_type || ':' || a.wait_event
            else ''
        end as wait,
        left(a.query, 1000) as query,
        pg_catalog.date_part('epoch', a.query_start) as query_start,
        pg_catalog.date_part('epoch', a.xact_start) as xact_start,
        pg_catalog.date_part('epoch', a.backend_start) as backend_start,
        case
            when a.wait_event_type = 'Lock' then pg_catalog.pg_blocking_pids(a.pid)
            else '{}'
        end as blocked_by,
        case
            when a.application_name like 'skyconsole-ticker%%' then exists (
                select
                from pg_catalog.pg_locks as l
                where l.locktype = 'advisory'
                    and l.database = a.datid
                    and l.classid = %(guard_class)s::int8::oid
                    and l.objid = %(guard_object)s::int8::oid
                    and l.objsubid = 2
                    and l.granted
                    and l.pid = a.pid)
            else false
        end as guards,
        a.application_name like 'skyconsole%%'
            or a.query ilike '%%pgq%%'
            or a.wait_event_type = 'Lock'
            or a.xact_start < pg_catalog.now() - interval '5 minutes' as concerned
    from pg_catalog.pg_stat_activity as a
    where a.datname = pg_catalog.current_database()
        and a.backend_type = 'client backend'
        and a.pid <> pg_catalog.pg_backend_pid()
)
select
    a.pid,
    coalesce(a.application_name, ''),
    coalesce(a.usename, ''),
    coalesce(a.state, ''),
    a.wait,
    coalesce(a.query, ''),
    a.query_start,
    a.blocked_by,
    a.backend_start,
    a.xact_start,
    a.guards
from activity as a
where a.concerned
    or exists (
        select
        from activity as b
        where a.pid = any (b.blocked_by)
    )
order by a.pid
limit 500
