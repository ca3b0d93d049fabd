-- Who may do what (spec/pgq.md 2.3).

grant usage on schema pgq to public;

grant select on pgq.queue, pgq.consumer, pgq.tick, pgq.subscription to public, pgq_reader;
grant select, insert, update, delete on pgq.queue, pgq.consumer, pgq.tick, pgq.subscription to pgq_admin;
grant select on pgq.event_template to pgq_reader;
grant select, insert, truncate on pgq.event_template to pgq_admin;
grant select, insert, update, delete on pgq.retry_queue to pgq_admin;
grant select on pgq.queue_option to public, pgq_reader;
grant select on pgq.dead_letter to pgq_reader;
grant select, insert, update, delete on pgq.queue_option, pgq.event_key, pgq.delayed_event, pgq.dead_letter to pgq_admin;


-- Everybody: quote_fqname, seq_getval, version, get_queue_info, get_consumer_info,
-- get_dead_letter_counts keep the right they are created with.

revoke execute on function
    pgq._grant_perms_from(text, text, text, text),
    pgq.add_to_insert_tree(integer),
    pgq.admit_events(text, bigint),
    pgq.batch_event_sql(bigint),
    pgq.batch_event_tables(bigint),
    pgq.batch_retry(bigint, integer),
    pgq.batch_txid_range(txid_snapshot, txid_snapshot),
    pgq.count_in_transaction(text, integer, integer, bigint, bigint),
    pgq.create_queue(text),
    pgq.current_event_table(text),
    pgq.drop_queue(text),
    pgq.drop_queue(text, boolean),
    pgq.event_dead(bigint, bigint, text),
    pgq.event_keys_are_due(),
    pgq.event_retry(bigint, bigint, integer),
    pgq.event_retry(bigint, bigint, timestamptz),
    pgq.event_retry_raw(text, text, timestamptz, bigint, timestamptz, integer, text, text, text, text, text, text),
    pgq.events_dead(bigint, bigint[], text[]),
    pgq.events_retry(bigint, bigint[], integer[]),
    pgq.find_tick_helper(integer, bigint, timestamptz, bigint, bigint, interval),
    pgq.finish_batch(bigint),
    pgq.force_tick(text),
    pgq.get_batch_cursor(bigint, text, integer),
    pgq.get_batch_cursor(bigint, text, integer, text),
    pgq.get_batch_events(bigint),
    pgq.get_batch_info(bigint),
    pgq.get_dead_letters(text, text, integer, bigint),
    pgq.grant_perms(text),
    pgq.insert_arrays(text, text, integer, timestamptz[], text[], text[], text[], text[], text[], text[]),
    pgq.insert_branches(integer[], text[]),
    pgq.insert_event(text, text, text),
    pgq.insert_event(text, text, text, text, text, text, text),
    pgq.insert_event_at(text, timestamptz, text, text, text, text, text, text),
    pgq.insert_event_checked(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text),
    pgq.insert_event_once(text, text, text, text, text, text, text, text),
    pgq.insert_event_raw(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text),
    pgq.insert_event_source(text),
    pgq.insert_events(text, text[], text[], text[], text[], text[], text[], timestamptz[]),
    pgq.insert_group_name(integer),
    pgq.insert_statements(integer, text),
    pgq.insert_tree_changes(),
    pgq.insert_tree_is_due(),
    pgq.maint_insert_tree(),
    pgq.maint_operations(),
    pgq.maint_purge_event_keys(),
    pgq.maint_retry_events(),
    pgq.maint_rotate_tables_step1(text),
    pgq.maint_rotate_tables_step2(),
    pgq.maint_tables_to_vacuum(),
    pgq.make_insert_event(boolean),
    pgq.make_insert_group(integer),
    pgq.move_delayed_events(),
    pgq.next_batch(text, text),
    pgq.next_batch_custom(text, text, interval, integer, interval),
    pgq.next_batch_info(text, text),
    pgq.purge_dead_letters(text, text, interval),
    pgq.register_consumer(text, text),
    pgq.register_consumer_at(text, text, bigint),
    pgq.replay_dead_letter(bigint),
    pgq.seq_setval(text, bigint),
    pgq.set_queue_config(text, text, text),
    pgq.ticker(),
    pgq.ticker(text),
    pgq.ticker(text, bigint, timestamptz, bigint),
    pgq.tune_storage(text),
    pgq.unregister_consumer(text, text),
    pgq.upgrade_schema()
from public;

grant execute on function
    pgq.batch_event_sql(bigint),
    pgq.batch_event_tables(bigint),
    pgq.batch_retry(bigint, integer),
    pgq.batch_txid_range(txid_snapshot, txid_snapshot),
    pgq.event_dead(bigint, bigint, text),
    pgq.event_retry(bigint, bigint, integer),
    pgq.event_retry(bigint, bigint, timestamptz),
    pgq.events_dead(bigint, bigint[], text[]),
    pgq.events_retry(bigint, bigint[], integer[]),
    pgq.find_tick_helper(integer, bigint, timestamptz, bigint, bigint, interval),
    pgq.finish_batch(bigint),
    pgq.force_tick(text),
    pgq.get_batch_cursor(bigint, text, integer),
    pgq.get_batch_cursor(bigint, text, integer, text),
    pgq.get_batch_events(bigint),
    pgq.get_batch_info(bigint),
    pgq.get_dead_letters(text, text, integer, bigint),
    pgq.next_batch(text, text),
    pgq.next_batch_custom(text, text, interval, integer, interval),
    pgq.next_batch_info(text, text),
    pgq.register_consumer(text, text),
    pgq.register_consumer_at(text, text, bigint),
    pgq.replay_dead_letter(bigint),
    pgq.unregister_consumer(text, text)
to pgq_reader;

grant execute on function
    pgq.current_event_table(text),
    pgq.insert_event(text, text, text),
    pgq.insert_event(text, text, text, text, text, text, text),
    pgq.insert_event_at(text, timestamptz, text, text, text, text, text, text),
    pgq.insert_event_once(text, text, text, text, text, text, text, text),
    pgq.insert_events(text, text[], text[], text[], text[], text[], text[], timestamptz[])
to pgq_writer;

grant execute on function
    pgq._grant_perms_from(text, text, text, text),
    pgq.count_in_transaction(text, integer, integer, bigint, bigint),
    pgq.create_queue(text),
    pgq.drop_queue(text),
    pgq.drop_queue(text, boolean),
    pgq.event_keys_are_due(),
    pgq.event_retry_raw(text, text, timestamptz, bigint, timestamptz, integer, text, text, text, text, text, text),
    pgq.grant_perms(text),
    pgq.insert_arrays(text, text, integer, timestamptz[], text[], text[], text[], text[], text[], text[]),
    pgq.insert_event_checked(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text),
    pgq.insert_event_raw(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text),
    pgq.insert_tree_is_due(),
    pgq.maint_insert_tree(),
    pgq.maint_operations(),
    pgq.maint_purge_event_keys(),
    pgq.maint_retry_events(),
    pgq.maint_rotate_tables_step1(text),
    pgq.maint_rotate_tables_step2(),
    pgq.maint_tables_to_vacuum(),
    pgq.move_delayed_events(),
    pgq.purge_dead_letters(text, text, interval),
    pgq.seq_setval(text, bigint),
    pgq.set_queue_config(text, text, text),
    pgq.ticker(),
    pgq.ticker(text),
    pgq.ticker(text, bigint, timestamptz, bigint),
    pgq.tune_storage(text),
    pgq.upgrade_schema()
to pgq_admin;
