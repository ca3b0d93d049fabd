-- Inserting events (spec/pgq.md 4.2).


-- Inserts one event by dynamic SQL, whatever the queue's row says; every field but the queue's name may be NULL.
-- Returns the event's id. The id from the sequence is taken even if one is given, so that the ticker notices the event.
-- insert_event and insert_event_raw (insert_tree.sql) come here with what they have no static SQL for, and with all that
-- is to be refused.
create or replace function pgq.insert_event_checked(
    queue_name text,
    ev_id bigint,
    ev_time timestamptz,
    ev_owner integer,
    ev_retry integer,
    ev_type text,
    ev_data text,
    ev_extra1 text,
    ev_extra2 text,
    ev_extra3 text,
    ev_extra4 text
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    q record;
    event_id bigint;
    counter_name text;
    counter_scope text;
    counter_value text;
    events_in_tx bigint := 1;
begin
    if queue_name is null then
        raise exception 'Queue name must not be NULL' using errcode = 'XX000';
    end if;

    -- The transaction has its id before it reads which table is current: an event whose id lies above the second step
    -- of a rotation is then in the table that this rotation made current.
    perform pg_catalog.txid_current();

    select
        r.queue_id,
        r.queue_cur_table,
        r.queue_data_pfx,
        r.queue_disable_insert,
        r.queue_per_tx_limit,
        pg_catalog.nextval(r.queue_event_seq::regclass) as next_event_id
    from pgq.queue r
    where r.queue_name = insert_event_checked.queue_name
    into q;
    if not found then
        raise exception 'No such queue' using errcode = 'XX000';
    end if;

    if q.queue_disable_insert and pg_catalog.current_setting('session_replication_role') <> 'replica' then
        raise exception 'Insert into queue disallowed' using errcode = 'XX000';
    end if;

    event_id := coalesce(ev_id, q.next_event_id);

    if q.queue_per_tx_limit >= 0 then
        -- The counter lives in a transaction-local setting TXID:TABLE:COUNT; queue names may hold what setting names may not.
        counter_name := 'pgq.events_in_tx_' || q.queue_id;
        counter_scope := pg_catalog.txid_current() || ':' || q.queue_cur_table || ':';
        counter_value := pg_catalog.current_setting(counter_name, true);
        if pg_catalog.starts_with(counter_value, counter_scope) then
            events_in_tx := pg_catalog.split_part(counter_value, ':', 3)::bigint + 1;
        end if;
        perform pg_catalog.set_config(counter_name, counter_scope || events_in_tx, true);
        if events_in_tx > q.queue_per_tx_limit then
            raise exception 'Queue ''%'' allows max % events from one TX', queue_name, q.queue_per_tx_limit
                using errcode = 'XX000';
        end if;
    end if;

    execute 'insert into ' || pgq.quote_fqname(q.queue_data_pfx || '_' || q.queue_cur_table)
        || ' (ev_id, ev_time, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)'
        || ' values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)'
    using event_id, coalesce(ev_time, pg_catalog.now()), ev_owner, ev_retry, ev_type, ev_data,
        ev_extra1, ev_extra2, ev_extra3, ev_extra4;
    return event_id;
end;
$$;

comment on function pgq.insert_event_checked(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text) is
    'Inserts an event with every field given into a queue of any state; returns its id';


-- The same with the extra fields NULL.
create or replace function pgq.insert_event(queue_name text, ev_type text, ev_data text)
returns bigint
language plpgsql
as $$
begin
    return pgq.insert_event(queue_name, ev_type, ev_data, null, null, null, null);
end;
$$;

comment on function pgq.insert_event(text, text, text) is
    'Inserts an event; returns its id';


-- The table to write to now, as plain SCHEMA.NAME, for bulk loads. Valid until the end of the transaction.
create or replace function pgq.current_event_table(x_queue_name text)
returns text
language plpgsql
as $$
declare
    q record;
begin
    select queue_disable_insert, queue_data_pfx || '_' || queue_cur_table as event_table
    from pgq.queue
    where queue_name = x_queue_name
    into q;
    if not found then
        raise exception 'Event queue not found';
    end if;
    if q.queue_disable_insert and pg_catalog.current_setting('session_replication_role') <> 'replica' then
        raise exception 'Writing to queue disabled';
    end if;
    return q.event_table;
end;
$$;

comment on function pgq.current_event_table(text) is
    'Name of the table that producers write to now';
