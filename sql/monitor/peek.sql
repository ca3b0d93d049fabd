-- Looking at events without consuming them; needs membership in pgq_reader.

-- name: event
-- The fields of the event row `e`; of long texts the first {most} characters. Nothing long is unpacked for it.
e.ev_id,
e.ev_time,
e.ev_txid,
e.ev_retry,
e.ev_type,
pg_catalog.left(e.ev_data, {most}) as ev_data,
pg_catalog.left(e.ev_extra1, {most}) as ev_extra1,
pg_catalog.left(e.ev_extra2, {most}) as ev_extra2,
pg_catalog.left(e.ev_extra3, {most}) as ev_extra3,
pg_catalog.left(e.ev_extra4, {most}) as ev_extra4,
pg_catalog.octet_length(e.ev_data) as data_bytes

-- name: batch_text
-- The query of an open batch, as text.
select pgq.batch_event_sql(%s)

-- name: batch_events
-- The first events of a batch; {batch} is that text.
select
    {event}
from ({batch}) as e
order by e.ev_id
limit {limit}

-- name: queue_table
-- The parent of a queue's event tables.
select q.queue_data_pfx
from pgq.queue as q
where q.queue_name = %s

-- name: queue_events
-- The newest events by transaction, which the tables' only index gives without reading them whole.
select
    {event}
from (
    select *
    from {table}
    order by ev_txid desc
    limit {limit}
) as e
order by e.ev_id desc
