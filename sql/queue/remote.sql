-- What a consumer asks that works in another database than the queue's (spec/pgq-ext.md 4).

-- name: tick_digest
-- On the queue's side, with the original's tables too: what a tick looks like, the same in every time zone. A tick that was
-- made again under the same id, after the database had lost its last moments, looks different.
select pg_catalog.md5(
           t.tick_id
           || '|' || extract(epoch from t.tick_time)
           || '|' || t.tick_snapshot::text
       )
  from pgq.tick t
  join pgq.queue q
    on q.queue_id = t.tick_queue
 where q.queue_name = %s
   and t.tick_id = %s;

-- name: keeps_digests
-- On the other side: whether ticks can be recorded with their digests there.
select pg_catalog.to_regprocedure('pgq_ext.set_last_tick_digest(text, text, bigint, text)') is not null;

-- name: is_batch_done
select pgq_ext.is_batch_done(%s::text, %s::text, %s::bigint);

-- name: set_batch_done
select pgq_ext.set_batch_done(%s::text, %s::text, %s::bigint);

-- name: get_last_tick
select pgq_ext.get_last_tick(%s::text, %s::text);

-- name: set_last_tick
select pgq_ext.set_last_tick(%s::text, %s::text, %s::bigint);

-- name: get_last_tick_digest
select tick_id, digest
  from pgq_ext.get_last_tick_digest(%s::text, %s::text);

-- name: set_last_tick_digest
select pgq_ext.set_last_tick_digest(%s::text, %s::text, %s::bigint, %s::text);

-- name: get_tick_digests
-- The latest first.
select tick_id, digest
  from pgq_ext.get_tick_digests(%s::text, %s::text);

-- name: last_shared_tick
-- On the queue's side: the newest of these ticks, given with their digests, that looks here as it did there.
select max(t.tick_id)
  from rows from (pg_catalog.unnest(%s::bigint[]), pg_catalog.unnest(%s::text[])) as applied (tick_id, digest)
  join pgq.tick t
    on t.tick_id = applied.tick_id
  join pgq.queue q
    on q.queue_id = t.tick_queue
 where q.queue_name = %s
   and applied.digest = pg_catalog.md5(
           t.tick_id
           || '|' || extract(epoch from t.tick_time)
           || '|' || t.tick_snapshot::text
       );
