-- Handing events back, to have them again later (spec/pgq.md 1.6, 4.4, 7).


-- Puts an event of an open batch into the retry queue: 1 = done, 0 = it is there already, with the due time it had.
-- A batch may hold an event and its own retried copy under one id: the later one, with the higher count, goes.
create or replace function pgq.event_retry(x_batch_id bigint, x_event_id bigint, x_retry_time timestamptz)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    e record;
begin
    select sub_id, sub_queue
    from pgq.subscription
    where sub_batch = x_batch_id
    into s;
    if not found then
        raise exception 'event not found';
    end if;

    select *
    from pgq.get_batch_events(x_batch_id)
    where ev_id = x_event_id
    order by ev_retry desc nulls last
    limit 1
    into e;
    if not found then
        raise exception 'event not found';
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
        ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_time, s.sub_queue, e.ev_id, e.ev_time, s.sub_id, coalesce(e.ev_retry, 0) + 1,
        e.ev_type, e.ev_data, e.ev_extra1, e.ev_extra2, e.ev_extra3, e.ev_extra4)
    on conflict (ev_owner, ev_id) do nothing;
    return case when found then 1 else 0 end;
end;
$$;

comment on function pgq.event_retry(bigint, bigint, timestamptz) is
    'Puts an event of an open batch into the retry queue until a moment; 1 = done, 0 = was there';


-- The same with the due time so many seconds from now.
create or replace function pgq.event_retry(x_batch_id bigint, x_event_id bigint, x_retry_seconds integer)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return pgq.event_retry(x_batch_id, x_event_id, current_timestamp + make_interval(secs => x_retry_seconds));
end;
$$;

comment on function pgq.event_retry(bigint, bigint, integer) is
    'Puts an event of an open batch into the retry queue for some seconds; 1 = done, 0 = was there';


-- Puts all events of an open batch into the retry queue; returns how many were not there yet. The batch stays open.
create or replace function pgq.batch_retry(i_batch_id bigint, i_retry_seconds integer)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    res integer;
begin
    select sub_id, sub_queue
    from pgq.subscription
    where sub_batch = i_batch_id
    into s;
    if not found then
        raise exception 'batch_retry: batch % not found', i_batch_id;
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
        ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    select distinct on (e.ev_id)
        current_timestamp + make_interval(secs => i_retry_seconds),
        s.sub_queue, e.ev_id, e.ev_time, s.sub_id, coalesce(e.ev_retry, 0) + 1,
        e.ev_type, e.ev_data, e.ev_extra1, e.ev_extra2, e.ev_extra3, e.ev_extra4
    from pgq.get_batch_events(i_batch_id) e
    order by e.ev_id, e.ev_retry desc nulls last
    on conflict (ev_owner, ev_id) do nothing;
    get diagnostics res = row_count;
    return res;
end;
$$;

comment on function pgq.batch_retry(bigint, integer) is
    'Puts all events of an open batch into the retry queue for some seconds; returns how many';


-- Puts an event of any content into a consumer's retry queue; without an id it gets the next one. Returns the id.
create or replace function pgq.event_retry_raw(
    x_queue text,
    x_consumer text,
    x_retry_after timestamptz,
    x_ev_id bigint,
    x_ev_time timestamptz,
    x_ev_retry integer,
    x_ev_type text,
    x_ev_data text,
    x_ev_extra1 text,
    x_ev_extra2 text,
    x_ev_extra3 text,
    x_ev_extra4 text
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    event_id bigint := x_ev_id;
begin
    select sub.sub_id, q.queue_id, q.queue_event_seq
    from pgq.subscription sub
    join pgq.queue q on q.queue_id = sub.sub_queue
    join pgq.consumer c on c.co_id = sub.sub_consumer
    where q.queue_name = x_queue
        and c.co_name = x_consumer
    into s;
    if not found then
        raise exception 'consumer not registered';
    end if;

    if event_id is null then
        event_id := nextval(s.queue_event_seq::regclass);
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
        ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_after, s.queue_id, event_id, x_ev_time, s.sub_id, x_ev_retry,
        x_ev_type, x_ev_data, x_ev_extra1, x_ev_extra2, x_ev_extra3, x_ev_extra4);
    return event_id;
end;
$$;

comment on function pgq.event_retry_raw(text, text, timestamptz, bigint, timestamptz, integer,
        text, text, text, text, text, text) is
    'Puts an event into a consumer''s retry queue directly; returns its id';


-- Moves up to ten due events back into their queues, for their owners only, and delayed events that are due into theirs;
-- returns how many. Call again until it is 0. Events of a queue that is closed or limited wait without keeping the others
-- waiting; only when there is nothing else to move, it is an error that they cannot be.
create or replace function pgq.maint_retry_events()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    e record;
    moved integer[] := '{}';
    res integer;
begin
    -- One mover at a time; events may still be added.
    lock table pgq.retry_queue in share update exclusive mode;

    for e in
        select q.queue_name, q.queue_per_tx_limit, r.*
        from pgq.retry_queue r
        join pgq.queue q on q.queue_id = r.ev_queue
        where r.ev_retry_after <= current_timestamp
            and (not q.queue_disable_insert or current_setting('session_replication_role') = 'replica')
            and q.queue_per_tx_limit is distinct from 0
        order by r.ev_retry_after
        limit 10
    loop
        continue when e.queue_per_tx_limit > 0
            and cardinality(array_positions(moved, e.ev_queue)) >= e.queue_per_tx_limit;
        perform pgq.insert_event_raw(e.queue_name, e.ev_id, e.ev_time, e.ev_owner, e.ev_retry,
            e.ev_type, e.ev_data, e.ev_extra1, e.ev_extra2, e.ev_extra3, e.ev_extra4);

        delete from pgq.retry_queue
        where ev_owner = e.ev_owner
            and ev_id = e.ev_id;
        moved := moved || e.ev_queue;
    end loop;

    res := cardinality(moved) + pgq.move_delayed_events();
    if res = 0 then
        select q.queue_name, q.queue_disable_insert
        from pgq.retry_queue r
        join pgq.queue q on q.queue_id = r.ev_queue
        where r.ev_retry_after <= current_timestamp
            and ((q.queue_disable_insert and current_setting('session_replication_role') <> 'replica')
                or q.queue_per_tx_limit = 0)
        order by r.ev_retry_after
        limit 1
        into e;
        if found and e.queue_disable_insert then
            raise exception 'Insert into queue disallowed' using errcode = 'XX000';
        elsif found then
            raise exception 'Queue ''%'' allows max 0 events from one TX', e.queue_name using errcode = 'XX000';
        end if;
    end if;
    return res;
end;
$$;

comment on function pgq.maint_retry_events() is
    'Moves due retry events back into their queues and delayed ones into theirs; returns how many';
