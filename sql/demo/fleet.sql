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

-- name: register_member
select pgq_coop.register_subconsumer(%(queue)s, %(consumer)s, %(member)s);

-- name: next_of_member
select pgq_coop.next_batch(%(queue)s, %(consumer)s, %(member)s);

-- name: finish_of_member
select pgq_coop.finish_batch_of(%(queue)s, %(consumer)s, %(member)s, %(batch)s);

-- name: give_some_up
-- Three events of the past that nobody could deliver, each for another reason.
select pgq.event_dead(%(batch)s, e.ev_id, (array[
           'HTTPStatusError: 410 Gone for https://hooks.example.org/orders',
           'KeyError: ''total''',
           'JSONDecodeError: Expecting value: line 1 column 1 (char 0)'])[e.number])
  from (select b.ev_id, pg_catalog.row_number() over (order by b.ev_id) as number
          from pgq.get_batch_events(%(batch)s) b) e
 where e.number <= 3;

-- name: give_up
select pgq.event_dead(%(batch)s, %(event)s, 'HTTPStatusError: 503 Service Unavailable, for the third time');

-- name: remind_tomorrow
select pgq.insert_event_at(%(queue)s, pg_catalog.now() + interval '1 day', 'reminder', '{"to": "ada@example.org"}');

-- name: customers_table
create table if not exists demo.customers (
    id      bigint primary key,
    name    text not null,
    balance numeric(12, 2),
    changed timestamptz not null default pg_catalog.now()
);

-- name: customers_trigger
create or replace trigger to_crm
    after insert or update or delete on demo.customers
    for each row execute function pgq.logutriga('customers', 'backup');

-- name: customers_write
insert into demo.customers (id, name, balance)
values (%(id)s, 'customer ' || %(id)s::text || ' & sons', %(amount)s)
    on conflict (id) do update set balance = excluded.balance, changed = pg_catalog.now();

-- name: payments_table
create table if not exists demo.payments (
    id      bigint generated always as identity primary key,
    payer   bigint not null,
    amount  numeric(12, 2) not null,
    details jsonb
);

-- name: payments_trigger
do $$
begin
    create trigger to_books
        after insert on demo.payments
        for each row execute function pgq.jsontriga('payments');
    perform pgq.compile_capture('demo.payments', 'to_books');
end;
$$;

-- name: payments_write
insert into demo.payments (payer, amount, details)
values (%(id)s, %(amount)s, pg_catalog.jsonb_build_object('method', 'card', 'attempt', %(id)s::int8 %% 3));
