-- Inserting an event once only, by a key of the caller's. Not in the original.

-- Settings of a queue that the original does not have; a queue without a row has the defaults.
create table if not exists pgq.queue_option (
    queue_id   integer,
    key_period interval not null default '7 days',
    constraint queue_option_pkey primary key (queue_id),
    constraint queue_option_queue_fkey foreign key (queue_id) references pgq.queue (queue_id) on delete cascade
);

comment on table pgq.queue_option is 'Settings of queues beside those in pgq.queue: how long event keys are kept';


-- No reference to the queue: it would lock the queue's row for each key. Keys of a dropped queue go with drop_queue.
create table if not exists pgq.event_key (
    ek_queue    integer,
    ek_key      text,
    ek_time     timestamptz not null,
    ek_event_id bigint,
    constraint event_key_pkey primary key (ek_queue, ek_key)
);

create index if not exists event_key_time_idx on pgq.event_key using btree (ek_queue, ek_time);

comment on table pgq.event_key is 'Keys by which events were inserted once only';


-- Inserts an event unless one was inserted with the same key within the queue's key period; returns the id of the one or
-- the other. A second caller waits until the first one's transaction ends, and inserts if that was rolled back.
-- Above READ COMMITTED such a second caller gets a serialization failure instead of the first one's id.
create or replace function pgq.insert_event_once(
    queue_name text,
    event_key text,
    ev_type text,
    ev_data text,
    ev_extra1 text default null,
    ev_extra2 text default null,
    ev_extra3 text default null,
    ev_extra4 text default null
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    q record;
    res bigint;
begin
    if queue_name is null then
        raise exception 'Queue name must not be NULL' using errcode = 'XX000';
    end if;
    if event_key is null then
        raise exception 'The key of an event must not be NULL' using errcode = 'null_value_not_allowed';
    end if;
    if octet_length(event_key) > 1000 then
        raise exception 'The key of an event may have 1000 bytes, not %', octet_length(event_key)
            using errcode = 'string_data_right_truncation',
                hint = 'A digest of it will do.';
    end if;

    select r.queue_id, coalesce(o.key_period, '7 days') as key_period
    from pgq.queue r
    left join pgq.queue_option o on o.queue_id = r.queue_id
    where r.queue_name = queue_name
    into q;
    if not found then
        raise exception 'No such queue' using errcode = 'XX000';
    end if;

    -- Again only if the key that was in the way has been removed meanwhile.
    loop
        select k.ek_event_id
        from pgq.event_key k
        where k.ek_queue = q.queue_id
            and k.ek_key = event_key
            and k.ek_time > now() - q.key_period
        into res;
        if found then
            return res;
        end if;

        insert into pgq.event_key as k (ek_queue, ek_key, ek_time)
        values (q.queue_id, event_key, now())
        on conflict (ek_queue, ek_key) do update
        set ek_time = excluded.ek_time
        where k.ek_time <= now() - q.key_period;
        exit when found;
    end loop;

    res := pgq.insert_event(queue_name, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4);
    update pgq.event_key k
    set ek_event_id = res
    where k.ek_queue = q.queue_id
        and k.ek_key = event_key;
    return res;
end;
$$;

comment on function pgq.insert_event_once(text, text, text, text, text, text, text, text) is
    'Inserts an event unless there was one with the same key; returns the id of the one that counts';


-- Whether there are keys whose period is over.
create or replace function pgq.event_keys_are_due()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from pgq.event_key)
        and exists (
            select
            from pgq.queue r
            left join pgq.queue_option o on o.queue_id = r.queue_id
            cross join lateral (
                select k.ek_time
                from pgq.event_key k
                where k.ek_queue = r.queue_id
                order by k.ek_time
                limit 1
            ) oldest
            where oldest.ek_time <= now() - coalesce(o.key_period, '7 days')
        );
$$;

comment on function pgq.event_keys_are_due() is
    'Whether there are event keys to remove';


-- Removes up to ten thousand keys whose period is over; returns how many. Call again until it is 0.
create or replace function pgq.maint_purge_event_keys()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    res integer;
begin
    -- One that is being used again at this moment is not waited for.
    with due as (
        select k.ek_queue, k.ek_key
        from pgq.queue r
        left join pgq.queue_option o on o.queue_id = r.queue_id
        join pgq.event_key k on k.ek_queue = r.queue_id
            and k.ek_time <= now() - coalesce(o.key_period, '7 days')
        limit 10000
        for update of k skip locked
    )
    delete from pgq.event_key k
    using due
    where k.ek_queue = due.ek_queue
        and k.ek_key = due.ek_key;
    get diagnostics res = row_count;
    return res;
end;
$$;

comment on function pgq.maint_purge_event_keys() is
    'Removes event keys whose period is over, at most ten thousand; returns how many';
