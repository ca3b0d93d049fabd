-- name: create_queue
select pgq.create_queue(%s);

-- name: drop_queue
select pgq.drop_queue(%s, %s);

-- name: set_queue_config
select pgq.set_queue_config(%s, %s, %s);

-- name: queue_id
select queue_id
  from pgq.queue
 where queue_name = %s;

-- name: insert_event
select pgq.insert_event(%s, %s, %s, %s, %s, %s, %s);

-- name: register_consumer
select pgq.register_consumer(%s, %s);

-- name: register_consumer_at
select pgq.register_consumer_at(%s, %s, %s);

-- name: unregister_consumer
select pgq.unregister_consumer(%s, %s);

-- name: next_batch
select batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq
  from pgq.next_batch_custom(%s, %s, %s, %s, %s);

-- name: batch_events
select ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4
  from pgq.get_batch_events(%s);

-- name: event_retry
select pgq.event_retry(%s, %s, %s::integer);

-- name: finish_batch
select pgq.finish_batch(%s);

-- name: ticker
select pgq.ticker(%s);

-- name: force_tick
select pgq.force_tick(%s);
