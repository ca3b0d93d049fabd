-- name: operations
select o.func_name, o.func_arg
from pgq.maint_operations() as o

-- name: call_without_argument
select {function}()

-- name: call_with_argument
select {function}(%(argument)s::text)

-- name: vacuum
vacuum {table}

-- name: vacuum_analyze
vacuum (analyze) {table}

-- name: retry_due
-- And whether there are delayed events beside: the original has none.
select
    exists (
        select
        from pgq.retry_queue as r
        where r.ev_retry_after <= pg_catalog.now()
    ) as due,
    pg_catalog.to_regclass('pgq.delayed_event') is not null as delays

-- name: delay_due
-- Those of a disabled queue stay where they are.
select exists (
    select
    from pgq.delayed_event as d
    inner join pgq.queue as q on q.queue_id = d.de_queue
    where d.de_at <= pg_catalog.now()
        and not q.queue_disable_insert
)

-- name: retry
select pgq.maint_retry_events()

-- name: rotation_held
-- Queues whose rotation is overdue, and the subscription whose last tick is the oldest.
select
    q.queue_name,
    s.co_name,
    extract(epoch from pg_catalog.now() - s.tick_time)::float8 as lag,
    extract(
        epoch from pg_catalog.now() - (q.queue_switch_time + q.queue_rotation_period)
    )::float8 as overdue,
    coalesce(pg_catalog.txid_snapshot_xmin(s.tick_snapshot) <= q.queue_switch_step2, false) as behind
from pgq.queue as q
left join lateral (
    select c.co_name, t.tick_time, t.tick_snapshot
    from pgq.subscription as u
    inner join pgq.consumer as c on c.co_id = u.sub_consumer
    inner join pgq.tick as t on t.tick_queue = u.sub_queue and t.tick_id = u.sub_last_tick
    where u.sub_queue = q.queue_id
    order by pg_catalog.txid_snapshot_xmin(t.tick_snapshot), t.tick_id
    limit 1
) as s on true
where q.queue_switch_step2 is not null
    and q.queue_switch_time + q.queue_rotation_period < pg_catalog.now()
order by q.queue_name
