-- What the command language asks of queues. Source: spec/pgq.md 4.1, 4.7 and spec/qadmin.md, part 4.

-- name: show
select
    i.queue_name,
    i.queue_cur_table::text || '/' || i.queue_ntables::text as tables,
    i.queue_ticker_max_count as max_count,
    i.queue_ticker_max_lag as max_lag,
    i.queue_ticker_idle_period as idle_period,
    i.queue_ticker_paused as paused,
    i.ticker_lag,
    i.ev_per_sec,
    i.ev_new
from pgq.get_queue_info(%s) as i

-- name: create
select pgq.create_queue(%s)

-- name: drop
select pgq.drop_queue(%s)

-- name: drop_force
select pgq.drop_queue(%s, true)

-- name: set
select pgq.set_queue_config(%s, %s, %s)

-- name: set_every
select pgq.set_queue_config(q.queue_name, %s, %s)
from pgq.queue as q
order by q.queue_name

-- name: disable_insert
update pgq.queue
set queue_disable_insert = %s::boolean
where queue_name = %s

-- name: disable_insert_every
update pgq.queue
set queue_disable_insert = %s::boolean

-- name: per_tx_limit
update pgq.queue
set queue_per_tx_limit = %s::integer
where queue_name = %s

-- name: per_tx_limit_every
update pgq.queue
set queue_per_tx_limit = %s::integer

-- name: is_new
select not exists (
    select
    from pgq.queue as q
    where q.queue_name = %s
)

-- name: exists
select exists (
    select
    from pgq.queue as q
    where q.queue_name = %s
)

-- name: lock
-- Keeps the queue as it is until the transaction ends: nobody registers on it, changes or drops it.
select true
from pgq.queue as q
where q.queue_name = %s
for update

-- name: is_free
-- No consumer is registered.
select not exists (
    select
    from pgq.subscription as s
    join pgq.queue as q on q.queue_id = s.sub_queue
    where q.queue_name = %s
)

-- name: no_newcomer
-- Every registered consumer is one of these names.
select coalesce(array_agg(c.co_name), '{}') <@ %s::text[]
from pgq.subscription as s
join pgq.queue as q on q.queue_id = s.sub_queue
join pgq.consumer as c on c.co_id = s.sub_consumer
where q.queue_name = %s

-- name: is_unused
-- No event was ever inserted: the sequence of event ids has not been used.
select pg_catalog.pg_sequence_last_value(q.queue_event_seq::regclass) is null
from pgq.queue as q
where q.queue_name = %s

-- name: settings
select
    q.queue_ticker_idle_period::text,
    q.queue_ticker_max_count::text,
    q.queue_ticker_max_lag::text,
    q.queue_ticker_paused::text,
    q.queue_rotation_period::text,
    q.queue_external_ticker::text,
    q.queue_disable_insert::text,
    q.queue_per_tx_limit::text
from pgq.queue as q
where q.queue_name = %s
for no key update

-- name: settings_every
select
    q.queue_ticker_idle_period::text,
    q.queue_ticker_max_count::text,
    q.queue_ticker_max_lag::text,
    q.queue_ticker_paused::text,
    q.queue_rotation_period::text,
    q.queue_external_ticker::text,
    q.queue_disable_insert::text,
    q.queue_per_tx_limit::text
from pgq.queue as q
order by q.queue_name
for no key update
