-- name: schema
create schema if not exists demo;

-- name: invoices
create table if not exists demo.invoices (id bigint primary key, paid boolean);

-- name: insert_events
select pgq.insert_event(%(queue)s, %(type)s, %(data)s)
  from pg_catalog.generate_series(1, %(count)s);

-- name: tick_at_every_call
update pgq.queue
   set queue_ticker_max_lag = interval '0',
       queue_ticker_idle_period = interval '0'
 where queue_name = %(queue)s;

-- name: settings
update pgq.queue
   set queue_ticker_max_lag = pg_catalog.make_interval(secs => %(max_lag)s),
       queue_ticker_idle_period = pg_catalog.make_interval(secs => %(idle_period)s),
       queue_rotation_period = pg_catalog.make_interval(secs => %(rotation_period)s)
 where queue_name = %(queue)s;

-- name: age_ticks
-- The sample's past: its ticks are spread over the last %(seconds)s seconds, the newest is now.
update pgq.tick t
   set tick_time = pg_catalog.now() - pg_catalog.make_interval(
           secs => %(seconds)s * (n.newest - t.tick_id)::float8 / greatest(n.newest - n.oldest, 1))
  from pgq.queue q,
       lateral (select min(x.tick_id) as oldest, max(x.tick_id) as newest
                  from pgq.tick x
                 where x.tick_queue = q.queue_id) n
 where q.queue_name = %(queue)s
   and t.tick_queue = q.queue_id;

-- name: all_ticks_are_old
update pgq.tick t
   set tick_time = t.tick_time - pg_catalog.make_interval(secs => %(seconds)s)
  from pgq.queue q
 where q.queue_name = %(queue)s
   and t.tick_queue = q.queue_id;

-- name: age_switch
update pgq.queue
   set queue_switch_time = pg_catalog.now() - pg_catalog.make_interval(secs => %(seconds)s)
 where queue_name = %(queue)s;

-- name: age_consumer
update pgq.subscription s
   set sub_active = pg_catalog.now() - pg_catalog.make_interval(secs => %(seconds)s)
  from pgq.queue q, pgq.consumer c
 where q.queue_name = %(queue)s
   and c.co_name = %(consumer)s
   and s.sub_queue = q.queue_id
   and s.sub_consumer = c.co_id;

-- name: hold_invoices
alter table demo.invoices add column if not exists note text;

-- name: touch_invoices
update demo.invoices
   set paid = true
 where id = 1;
