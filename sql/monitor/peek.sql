-- Looking at events without consuming them; needs membership in pgq_reader.

-- name: batch_text
-- The query of an open batch, as text.
select pgq.batch_event_sql(%s)

-- name: batch_events
-- The first events of a batch; {batch} is that text.
select
    e.ev_id,
    e.ev_time,
    e.ev_txid,
    e.ev_retry,
    e.ev_type,
    e.ev_data,
    e.ev_extra1,
    e.ev_extra2,
    e.ev_extra3,
    e.ev_extra4
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
    e.ev_id,
    e.ev_time,
    e.ev_txid,
    e.ev_retry,
    e.ev_type,
    e.ev_data,
    e.ev_extra1,
    e.ev_extra2,
    e.ev_extra3,
    e.ev_extra4
from (
    select *
    from {table}
    order by ev_txid desc
    limit {limit}
) as e
order by e.ev_id desc
