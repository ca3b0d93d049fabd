-- name: queues
select
    q.queue_name,
    extract(epoch from pg_catalog.clock_timestamp() - t.tick_time)::float8 as tick_age,
    coalesce(pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass(q.queue_event_seq)::oid), 1)
        - t.tick_event_seq as new_events,
    extract(epoch from pg_catalog.clock_timestamp() - q.queue_switch_time)::float8 as rotation_age
from pgq.queue as q
left join lateral (
    select k.tick_time, k.tick_event_seq
    from pgq.tick as k
    where k.tick_queue = q.queue_id
    order by k.tick_id desc
    limit 1
) as t on true
order by q.queue_name

-- name: consumers
select
    q.queue_name,
    c.co_name,
    extract(epoch from pg_catalog.clock_timestamp() - l.tick_time)::float8 as lag,
    greatest(t.tick_event_seq - l.tick_event_seq, 0) as pending
from pgq.subscription as s
inner join pgq.queue as q on q.queue_id = s.sub_queue
inner join pgq.consumer as c on c.co_id = s.sub_consumer
left join pgq.tick as l on l.tick_queue = s.sub_queue and l.tick_id = s.sub_last_tick
left join lateral (
    select k.tick_event_seq
    from pgq.tick as k
    where k.tick_queue = s.sub_queue
    order by k.tick_id desc
    limit 1
) as t on true
order by q.queue_name, c.co_name

-- name: retry_backlog
select q.queue_name, count(*) as events
from pgq.retry_queue as r
inner join pgq.queue as q on q.queue_id = r.ev_queue
group by q.queue_name
order by q.queue_name
