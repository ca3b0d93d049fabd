-- What --check of a consumer looks at (spec/pgq.md 4).

-- name: version
select to_regproc('pgq.next_batch_custom')::text;

-- name: queue
select queue_name
  from pgq.get_queue_info(%s);

-- name: consumer
select date_trunc('second', lag),
       pending_events
  from pgq.get_consumer_info(%s, %s);
