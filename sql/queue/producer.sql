-- What a producer says (spec/pgq.md 4.2). The functions beside insert_event are our additions; the original lacks them.

-- name: capabilities
select to_regprocedure('pgq.insert_events(text, text[], text[], text[], text[], text[], text[], timestamptz[])') is not null,
       to_regprocedure('pgq.insert_event_at(text, timestamptz, text, text, text, text, text, text)') is not null,
       to_regprocedure('pgq.insert_event_once(text, text, text, text, text, text, text, text)') is not null;

-- name: insert_event
select pgq.insert_event(%s, %s, %s, %s, %s, %s, %s);

-- The same, and an idle ticker is told to look now instead of up to a second later.
-- name: insert_event_waking
select pgq.insert_event(%s, %s, %s, %s, %s, %s, %s), pg_catalog.pg_notify('pgq_ticker', '');

-- name: wake
select pg_catalog.pg_notify('pgq_ticker', '');

-- name: insert_event_at
select pgq.insert_event_at(%s, %s, %s, %s, %s, %s, %s, %s);

-- name: insert_event_once
select pgq.insert_event_once(%s, %s, %s, %s, %s, %s, %s, %s);

-- name: insert_events
select pg_catalog.cardinality(pgq.insert_events(
    %s, %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[]));

-- The transaction has its id before it reads which table is current: a rotation between the two could lose its events.
-- name: transaction_id
select pg_catalog.txid_current();

-- Where events may be copied to, and this moment; no row where only insert_event does what is right: COPY knows no limit
-- of a transaction, and needs rights that producers do not have as a rule.
-- name: copy_target
select t.event_table, pg_catalog.now()
  from pgq.queue q
 cross join lateral (
           select q.queue_data_pfx || '_' || q.queue_cur_table as event_table
       ) t
 where q.queue_name = %s
   and not q.queue_disable_insert
   and coalesce(q.queue_per_tx_limit, -1) < 0
   and pg_catalog.has_table_privilege(pg_catalog.to_regclass(t.event_table), 'insert')
   and pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(q.queue_event_seq), 'usage');

-- name: copy
copy {table} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4) from stdin
