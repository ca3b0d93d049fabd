-- What stands aside of the queues: dead letters, events that wait for their time, and the triggers that write events.
-- Each list is read when a person looks at it. The payload of an event is
-- {event}, the fragment of peek.sql.

-- name: present
-- What this PgQ has of what the original lacks.
select
    pg_catalog.to_regprocedure('pgq.get_dead_letters(text,text,integer,bigint)') is not null as letters,
    pg_catalog.to_regclass('pgq.delayed_event') is not null as delayed,
    pg_catalog.to_regprocedure('pgq.get_capture_info(regclass)') is not null as captures

-- name: letters
-- Needs pgq_reader. NULL: of every queue, of every consumer. Oldest first.
select
    e.dl_id,
    e.queue_name,
    e.consumer_name,
    e.dl_time,
    e.dl_reason,
    e.dl_batch_id,
    {event}
from pgq.get_dead_letters({queue}::text, {consumer}::text, {limit}) as e

-- name: retries
-- Needs the right to read pgq.retry_queue (pgq_admin). A group's events are those of its main consumer, whose name
-- is the shortest. Due first.
select
    q.queue_name,
    c.co_name,
    e.ev_retry_after,
    {event}
from pgq.retry_queue as e
join pgq.queue as q
    on q.queue_id = e.ev_queue
left join lateral (
    select o.co_name
    from pgq.subscription as s
    join pgq.consumer as o
        on o.co_id = s.sub_consumer
    where s.sub_id = e.ev_owner
        and s.sub_queue = e.ev_queue
    order by pg_catalog.length(o.co_name)
    limit 1
) as c on true
where ({queue}::text is null or q.queue_name = {queue}::text)
    and ({consumer}::text is null or c.co_name = {consumer}::text)
order by e.ev_retry_after, e.ev_id
limit {limit}

-- name: delayed
-- Only where the table is: events that nobody has had yet. Due first.
select
    q.queue_name,
    null::text as co_name,
    e.ev_at,
    {event}
from (
    select
        d.de_queue,
        d.de_at as ev_at,
        d.de_id as ev_id,
        d.de_time as ev_time,
        null::bigint as ev_txid,
        null::integer as ev_retry,
        d.ev_type,
        d.ev_data,
        d.ev_extra1,
        d.ev_extra2,
        d.ev_extra3,
        d.ev_extra4
    from pgq.delayed_event as d
) as e
join pgq.queue as q
    on q.queue_id = e.de_queue
where ({queue}::text is null or q.queue_name = {queue}::text)
order by e.ev_at, e.ev_id
limit {limit}

-- name: captures
-- Of our own PgQ: generic and compiled triggers alike. The first argument is the queue.
select
    i.schema_name,
    i.table_name,
    i.trigger_name,
    i.queue_name,
    i.kind,
    i.form,
    i.state,
    coalesce(i.arguments[2:], '{{}}') as arguments,
    i.events
from pgq.get_capture_info() as i
order by i.schema_name, i.table_name, i.trigger_name

-- name: trigger_captures
-- Of any PgQ: the triggers that call its capture functions. `tgargs` holds the arguments, each ended by a zero byte;
-- `tgtype` is a sum of 2 before, 4 insert, 8 delete, 16 update, 32 truncate, 64 instead (PostgreSQL: pg_trigger.h).
select
    n.nspname as schema_name,
    r.relname as table_name,
    t.tgname as trigger_name,
    coalesce(a.arguments[1], '') as queue_name,
    p.proname as kind,
    'generic' as form,
    case when t.tgenabled = 'D' then 'disabled' else 'current' end as state,
    coalesce(a.arguments[2:], '{{}}') as arguments,
    pg_catalog.concat_ws(' ',
        case when t.tgtype & 64 <> 0 then 'instead of' when t.tgtype & 2 <> 0 then 'before' else 'after' end,
        pg_catalog.concat_ws(' or ',
            case when t.tgtype & 4 <> 0 then 'insert' end,
            case when t.tgtype & 16 <> 0 then 'update' end,
            case when t.tgtype & 8 <> 0 then 'delete' end,
            case when t.tgtype & 32 <> 0 then 'truncate' end)) as events
from pg_catalog.pg_trigger as t
join pg_catalog.pg_proc as p
    on p.oid = t.tgfoid
join pg_catalog.pg_namespace as f
    on f.oid = p.pronamespace
join pg_catalog.pg_class as r
    on r.oid = t.tgrelid
join pg_catalog.pg_namespace as n
    on n.oid = r.relnamespace
left join lateral (
    select pg_catalog.array_agg(
        pg_catalog.convert_from(pg_catalog.decode(x.part[1], 'hex'), pg_catalog.getdatabaseencoding())
        order by x.place) as arguments
    from pg_catalog.regexp_matches(
        pg_catalog.encode(t.tgargs, 'hex'), '((?:[1-9a-f].|.[1-9a-f])*)00', 'g') with ordinality as x (part, place)
) as a on true
where f.nspname = 'pgq'
    and p.proname in ('logutriga', 'sqltriga', 'jsontriga')
    and not t.tgisinternal
order by n.nspname, r.relname, t.tgname
