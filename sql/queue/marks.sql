-- What a remote consumer says to its other database beside the statements of remote.sql (spec/pgq-ext.md 3, 4).

-- Two processes under one consumer's name take turns: the second sees the first one's mark.
-- name: guard
select pg_catalog.pg_advisory_xact_lock(7564153, pg_catalog.hashtext(%s::text));

-- name: is_installed
select pg_catalog.to_regprocedure('pgq_ext.get_last_tick(text, text)') is not null;

-- Which events of a batch are to be retried or set aside is recorded with the batch's mark, as marks of members that
-- do not exist: after a crash between the two commits the batch is skipped, and these are all that is known of them.
-- name: set_events_done
select pgq_ext.set_event_done(%s::text, %s::text, %s::bigint, event_id)
  from pg_catalog.unnest(%s::bigint[]) as event_id;

-- name: events_done
select event_id
  from pg_catalog.unnest(%s::bigint[]) as event_id
 where pgq_ext.is_event_done(%s::text, %s::text, %s::bigint, event_id);
