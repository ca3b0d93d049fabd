-- What the command language asks of dead letters, waiting events, cooperative consumers and capture triggers.
-- Source: spec/pgq.md 1.6 and 8, spec/pgq-coop.md 2, spec/qadmin.md, part 4.

-- name: keeps_letters
select pg_catalog.to_regprocedure('pgq.replay_dead_letter(bigint)') is not null

-- name: letters
select
    l.dl_id as letter,
    l.queue_name,
    l.consumer_name,
    l.dl_time as time,
    l.dl_reason as reason,
    l.ev_id,
    l.ev_retry,
    l.ev_type,
    pg_catalog.left(l.ev_data, 16384) as ev_data,
    pg_catalog.octet_length(l.ev_data) as data_bytes,
    l.ev_extra1
from pgq.get_dead_letters(%s, %s, %s) as l

-- name: letters_exist
-- Each of these letters is there.
select pg_catalog.count(*) = pg_catalog.cardinality(%s::bigint[])
from pgq.dead_letter as l
where l.dl_id = any(%s::bigint[])

-- name: replay
select pgq.replay_dead_letter(n.id)
from pg_catalog.unnest(%s::bigint[]) as n (id)

-- name: replay_all
select pgq.replay_dead_letter(l.dl_id)
from pgq.get_dead_letters(%s, %s, 2147483647) as l

-- name: purge
delete from pgq.dead_letter
where dl_id = any(%s::bigint[])

-- name: purge_all
select pgq.purge_dead_letters(%s, %s, %s::interval)

-- name: retries
-- The retry queue of every PgQ; a group's events are those of its main consumer, whose name is the shortest.
select
    q.queue_name,
    c.co_name as consumer_name,
    r.ev_retry_after as due,
    r.ev_retry,
    r.ev_id,
    r.ev_time,
    r.ev_type,
    pg_catalog.left(r.ev_data, 16384) as ev_data,
    r.ev_extra1
from pgq.retry_queue as r
join pgq.queue as q on q.queue_id = r.ev_queue
left join lateral (
    select o.co_name
    from pgq.subscription as s
    join pgq.consumer as o on o.co_id = s.sub_consumer
    where s.sub_id = r.ev_owner
      and s.sub_queue = r.ev_queue
    order by pg_catalog.length(o.co_name)
    limit 1
) as c on true
where (%s::text is null or q.queue_name = %s::text)
  and (%s::text is null or c.co_name = %s::text)
order by r.ev_retry_after, r.ev_id
limit %s

-- name: has_coop
select pg_catalog.to_regprocedure('pgq_coop.register_subconsumer(text,text,text)') is not null

-- name: members
-- Of every group, or of one: its main consumer and who shares the batches. A member's name is the main one's, a dot, its own.
select
    q.queue_name,
    main.co_name as consumer_name,
    pg_catalog.substr(c.co_name, pg_catalog.length(main.co_name) + 2) as subconsumer_name,
    s.sub_batch as current_batch,
    s.sub_last_tick as last_tick,
    s.sub_next_tick as next_tick,
    pg_catalog.now() - s.sub_active as last_seen
from pgq.subscription as s
join pgq.queue as q on q.queue_id = s.sub_queue
join pgq.consumer as c on c.co_id = s.sub_consumer
join lateral (
    select o.co_name
    from pgq.subscription as m
    join pgq.consumer as o on o.co_id = m.sub_consumer
    where m.sub_id = s.sub_id
      and m.sub_queue = s.sub_queue
    order by pg_catalog.length(o.co_name)
    limit 1
) as main on main.co_name <> c.co_name
where (%s::text is null or q.queue_name = %s::text)
  and (%s::text is null or main.co_name = %s::text)
order by q.queue_name, main.co_name, c.co_name

-- name: register_member
select pgq_coop.register_subconsumer(%s, %s, %s)

-- name: unregister_member
select pgq_coop.unregister_subconsumer(%s, %s, %s, %s)

-- name: unregister_members
select pgq_coop.unregister_subconsumer(
    q.queue_name, main.co_name, pg_catalog.substr(c.co_name, pg_catalog.length(main.co_name) + 2), %s)
from pgq.queue as q
join pgq.subscription as m on m.sub_queue = q.queue_id
join pgq.consumer as main on main.co_id = m.sub_consumer
join pgq.subscription as s on s.sub_queue = q.queue_id and s.sub_id = m.sub_id and s.sub_consumer <> m.sub_consumer
join pgq.consumer as c on c.co_id = s.sub_consumer
where q.queue_name = %s
  and main.co_name = %s
  and pg_catalog.starts_with(c.co_name, main.co_name || '.')

-- name: is_new_member
select not exists (
    select
    from pgq.subscription as s
    join pgq.queue as q on q.queue_id = s.sub_queue
    join pgq.consumer as c on c.co_id = s.sub_consumer
    where q.queue_name = %s
      and c.co_name = %s
)

-- name: member
-- The member's batch, and whether its main consumer is registered; one row always.
select
    m.batch,
    m.member,
    exists (
        select
        from pgq.subscription as s
        join pgq.queue as q on q.queue_id = s.sub_queue
        join pgq.consumer as c on c.co_id = s.sub_consumer
        where q.queue_name = %s
          and c.co_name = %s
    ) as main
from (
    select
        pg_catalog.max(s.sub_batch) as batch,
        pg_catalog.count(*) = 1 as member
    from pgq.subscription as s
    join pgq.queue as q on q.queue_id = s.sub_queue
    join pgq.consumer as c on c.co_id = s.sub_consumer
    where q.queue_name = %s
      and c.co_name = %s
) as m

-- name: tells_captures
select pg_catalog.to_regprocedure('pgq.get_capture_info(regclass)') is not null

-- name: tells_no_captures
select pg_catalog.to_regprocedure('pgq.get_capture_info(regclass)') is null

-- name: table_exists
select pg_catalog.to_regclass(%s) is not null

-- name: captures
select
    i.schema_name,
    i.table_name,
    i.trigger_name,
    i.queue_name,
    i.kind,
    i.form,
    i.state,
    pg_catalog.array_to_string(i.arguments[2:], ', ') as arguments,
    i.events
from pgq.get_capture_info(pg_catalog.to_regclass(%s)) as i
order by i.schema_name, i.table_name, i.trigger_name

-- name: trigger_captures
-- Of a PgQ that cannot tell: the triggers that call its capture functions. For `tgargs` and `tgtype` see monitor/asides.sql.
select
    n.nspname as schema_name,
    r.relname as table_name,
    t.tgname as trigger_name,
    a.arguments[1] as queue_name,
    p.proname as kind,
    'generic' as form,
    case when t.tgenabled = 'D' then 'disabled' else 'current' end as state,
    pg_catalog.array_to_string(a.arguments[2:], ', ') as arguments,
    pg_catalog.concat_ws(' ',
        case when t.tgtype & 64 <> 0 then 'instead of' when t.tgtype & 2 <> 0 then 'before' else 'after' end,
        pg_catalog.concat_ws(' or ',
            case when t.tgtype & 4 <> 0 then 'insert' end,
            case when t.tgtype & 16 <> 0 then 'update' end,
            case when t.tgtype & 8 <> 0 then 'delete' end,
            case when t.tgtype & 32 <> 0 then 'truncate' end)) as events
from pg_catalog.pg_trigger as t
join pg_catalog.pg_proc as p on p.oid = t.tgfoid
join pg_catalog.pg_namespace as f on f.oid = p.pronamespace
join pg_catalog.pg_class as r on r.oid = t.tgrelid
join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
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
  and (%s::text is null or r.oid = pg_catalog.to_regclass(%s))
order by n.nspname, r.relname, t.tgname

-- name: compiles
select pg_catalog.to_regprocedure('pgq.compile_capture(regclass,text,text)') is not null

-- name: form
select i.form
from pgq.get_capture_info(pg_catalog.to_regclass(%s)) as i
where i.trigger_name = %s

-- name: compile
select pgq.compile_capture(%s::regclass, %s, %s) as form

-- name: uncompile
select pgq.uncompile_capture(%s::regclass, %s)
