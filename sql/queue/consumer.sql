-- What every consumer says to the database its queue is in (spec/pgq.md 4.4, spec/pgq-clients.md 3).

-- name: capabilities
select to_regprocedure('pgq.event_dead(bigint, bigint, text)') is not null,
       to_regprocedure('pgq_coop.next_batch(text, text, text)') is not null,
       to_regprocedure('pgq_coop.finish_batch_of(text, text, text, bigint)') is not null,
       to_regprocedure('pgq_coop.touch(text, text, text)') is not null,
       to_regprocedure('pgq_coop.hand_back(text, text, text, bigint)') is not null,
       current_setting('server_encoding'),
       to_regprocedure('pgq.events_dead(bigint, bigint[], text[])') is not null
         and to_regprocedure('pgq.events_retry(bigint, bigint[], integer[])') is not null;

-- name: queue_id
select queue_id
  from pgq.queue
 where queue_name = %s;

-- name: listen
listen {channel};

-- name: register
select pgq.register_consumer(%s, %s);

-- name: register_at
select pgq.register_consumer_at(%s, %s, %s);

-- name: unregister
select pgq.unregister_consumer(%s, %s);

-- name: next_batch
select batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq
  from pgq.next_batch_custom(%s, %s, %s::interval, %s::integer, %s::interval);

-- name: position
select last_tick, current_batch
  from pgq.get_consumer_info(%s, %s);

-- name: short_events
select *
  from pgq.get_batch_events({batch})

-- name: event_sql
select pgq.batch_event_sql(%s);

-- A binary cursor: its rows are binary in whichever way they are asked for.
-- name: begin_reading
begin;
{room}
declare sky_events binary no scroll cursor for
select {columns}
  from ({events}) as ev
 where {condition}
 order by ev_id;
{fetch}

-- Room to sort a long batch without a file, on a connection of our own.
-- name: room
select set_config('work_mem', '32MB', true)
 where pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('32MB');

-- Which batch this transaction works on. A handler that commits keeps the setting, one that rolls back takes it away.
-- name: claim
select set_config('skyconsole.batch', {batch}, false);

-- name: claimed
select current_setting('skyconsole.batch', true);

-- name: begin
begin;

-- name: fetch
fetch {count} from sky_events;

-- name: commit
commit;

-- What comes next: the open batch is finished, if there is a newer tick, and the next one opened; all of it is taken back.
-- name: foresee
begin;
select pgq.finish_batch({batch})
 where exists (
         select
           from pgq.tick t
           join pgq.queue q on q.queue_id = t.tick_queue
          where q.queue_name = {queue}
            and t.tick_id > {tick}
       );
select b.batch_id, b.cur_tick_id, b.prev_tick_id, b.cur_tick_time, b.prev_tick_time, b.cur_tick_event_seq,
       b.prev_tick_event_seq,
       case
         when b.batch_id is not null then pgq.batch_event_sql(b.batch_id)
       end
  from pgq.next_batch_custom(
         {queue}, {consumer}, {min_lag}::interval, {min_count}::integer, {min_interval}::interval
       ) as b;
rollback;

-- name: event_retry
select pgq.event_retry(%s, tag.event_id, tag.seconds)
  from unnest(%s::bigint[], %s::integer[]) as tag (event_id, seconds);

-- name: event_dead
select pgq.event_dead(%s, tag.event_id, tag.reason)
  from unnest(%s::bigint[], %s::text[]) as tag (event_id, reason);

-- name: events_retry
select pgq.events_retry(%s, %s, %s);

-- name: events_dead
select pgq.events_dead(%s, %s, %s);

-- name: finish_batch
select pgq.finish_batch(%s);

-- name: still_open
select queue_name is not null
  from pgq.get_batch_info(%s);
