-- What the command language asks of consumers. Source: spec/pgq.md 4.3, 4.7 and spec/qadmin.md, part 4.

-- name: show
select
    i.queue_name,
    i.consumer_name,
    i.lag,
    i.last_seen,
    i.last_tick,
    i.current_batch,
    i.next_tick,
    i.pending_events
from pgq.get_consumer_info(%s, %s) as i

-- name: register
select pgq.register_consumer(%s, %s)

-- name: register_at
select pgq.register_consumer_at(%s, %s, %s)

-- name: register_copy
select pgq.register_consumer_at(%s, %s, (
    select coalesce(i.next_tick, i.last_tick)
    from pgq.get_consumer_info(%s, %s) as i
))

-- name: unregister
select pgq.unregister_consumer(%s, %s)

-- name: unregister_every
select pgq.unregister_consumer(i.queue_name, i.consumer_name)
from pgq.get_consumer_info(%s) as i

-- name: is_new
select not exists (
    select
    from pgq.get_consumer_info(%s, %s)
)

-- name: has_position
select exists (
    select
    from pgq.get_consumer_info(%s, %s) as i
    where coalesce(i.next_tick, i.last_tick) is not null
)

-- name: is_same
-- The registration that was shown, or none: not one made since.
select not exists (
    select
    from pgq.subscription as s
    join pgq.queue as q on q.queue_id = s.sub_queue
    join pgq.consumer as c on c.co_id = s.sub_consumer
    where q.queue_name = %s
      and c.co_name = %s
      and s.sub_id <> %s
)

-- name: no_newcomer
-- Every registered consumer is one of these names.
select coalesce(array_agg(i.consumer_name), '{}') <@ %s::text[]
from pgq.get_consumer_info(%s) as i

-- name: position
-- The last finished tick, and how many registrations share this one (more than one: subconsumers).
select
    s.sub_last_tick,
    (
        select count(*)
        from pgq.subscription as o
        where o.sub_id = s.sub_id
    ) as members
from pgq.subscription as s
join pgq.queue as q on q.queue_id = s.sub_queue
join pgq.consumer as c on c.co_id = s.sub_consumer
where q.queue_name = %s
  and c.co_name = %s

-- name: position_locked
-- The same, and the registration stays as it is until the transaction ends; needs the right to update it.
select
    s.sub_last_tick,
    (
        select count(*)
        from pgq.subscription as o
        where o.sub_id = s.sub_id
    ) as members
from pgq.subscription as s
join pgq.queue as q on q.queue_id = s.sub_queue
join pgq.consumer as c on c.co_id = s.sub_consumer
where q.queue_name = %s
  and c.co_name = %s
for update of s
