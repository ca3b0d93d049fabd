-- Inserting events (spec/pgq.md 4.2).


-- Counts further events of this transaction in a queue and refuses those beyond the limit. The count begins anew when the
-- queue's current table changes. It lives in a transaction-local setting TXID:TABLE:COUNT, named by the queue's id: queue
-- names may hold what setting names may not.
create or replace function pgq.count_in_transaction(
    i_queue_name text,
    i_queue_id integer,
    i_table integer,
    i_limit bigint,
    i_events bigint
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    counter constant text := 'pgq.events_in_tx_' || i_queue_id;
    scope constant text := txid_current() || ':' || i_table || ':';
    counted constant text := current_setting(counter, true);
    events bigint := i_events;
begin
    if starts_with(counted, scope) then
        events := events + split_part(counted, ':', 3)::bigint;
    end if;
    perform set_config(counter, scope || events, true);
    if events > i_limit then
        raise exception 'Queue ''%'' allows max % events from one TX', i_queue_name, i_limit using errcode = 'XX000';
    end if;
end;
$$;

comment on function pgq.count_in_transaction(text, integer, integer, bigint, bigint) is
    'Counts events of the present transaction in a queue and refuses too many';


-- Whether so many events may be inserted into a queue now, with the messages of insert_event if not; tells where they go.
create or replace function pgq.admit_events(
    i_queue_name text,
    i_events bigint,
    out queue_id integer,
    out event_table text,
    out event_seq text
)
returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
begin
    if i_queue_name is null then
        raise exception 'Queue name must not be NULL' using errcode = 'XX000';
    end if;

    -- As in insert_event: the transaction has its id before it reads which table is current.
    perform txid_current();

    select r.queue_id, r.queue_cur_table, r.queue_data_pfx, r.queue_event_seq, r.queue_disable_insert,
        r.queue_per_tx_limit
    from pgq.queue r
    where r.queue_name = i_queue_name
    into q;
    if not found then
        raise exception 'No such queue' using errcode = 'XX000';
    end if;
    if q.queue_disable_insert and current_setting('session_replication_role') <> 'replica' then
        raise exception 'Insert into queue disallowed' using errcode = 'XX000';
    end if;
    if q.queue_per_tx_limit >= 0 and i_events > 0 then
        perform pgq.count_in_transaction(
            i_queue_name, q.queue_id, q.queue_cur_table, q.queue_per_tx_limit, i_events);
    end if;

    queue_id := q.queue_id;
    event_table := q.queue_data_pfx || '_' || q.queue_cur_table;
    event_seq := q.queue_event_seq;
end;
$$;

comment on function pgq.admit_events(text, bigint) is
    'Checks that events may be inserted into a queue; tells its current table and sequence';


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
        perform pgq.count_in_transaction(queue_name, q.queue_id, q.queue_cur_table, q.queue_per_tx_limit, 1);
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
