-- Who may do what (spec/pgq-ext.md 3, the stricter scheme): marks are kept by writers. version() is everybody's. The
-- tables are reached through the functions only.

grant usage on schema pgq_ext to public;

revoke execute on function
    pgq_ext.get_last_tick(text),
    pgq_ext.get_last_tick(text, text),
    pgq_ext.get_last_tick_digest(text, text),
    pgq_ext.get_tick_digests(text, text),
    pgq_ext.is_batch_done(text, bigint),
    pgq_ext.is_batch_done(text, text, bigint),
    pgq_ext.is_event_done(text, bigint, bigint),
    pgq_ext.is_event_done(text, text, bigint, bigint),
    pgq_ext.set_batch_done(text, bigint),
    pgq_ext.set_batch_done(text, text, bigint),
    pgq_ext.set_event_done(text, bigint, bigint),
    pgq_ext.set_event_done(text, text, bigint, bigint),
    pgq_ext.set_last_tick(text, bigint),
    pgq_ext.set_last_tick(text, text, bigint),
    pgq_ext.set_last_tick_digest(text, text, bigint, text),
    pgq_ext.upgrade_schema()
from public;

grant execute on function
    pgq_ext.get_last_tick(text),
    pgq_ext.get_last_tick(text, text),
    pgq_ext.get_last_tick_digest(text, text),
    pgq_ext.get_tick_digests(text, text),
    pgq_ext.is_batch_done(text, bigint),
    pgq_ext.is_batch_done(text, text, bigint),
    pgq_ext.is_event_done(text, bigint, bigint),
    pgq_ext.is_event_done(text, text, bigint, bigint),
    pgq_ext.set_batch_done(text, bigint),
    pgq_ext.set_batch_done(text, text, bigint),
    pgq_ext.set_event_done(text, bigint, bigint),
    pgq_ext.set_event_done(text, text, bigint, bigint),
    pgq_ext.set_last_tick(text, bigint),
    pgq_ext.set_last_tick(text, text, bigint),
    pgq_ext.set_last_tick_digest(text, text, bigint, text),
    pgq_ext.upgrade_schema()
to pgq_writer;
