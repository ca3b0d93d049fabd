-- Many events of an open batch retried or set aside at once: the batch is read once, not once for each of them.


-- Puts these events of an open batch into the retry queue, each for its seconds; returns how many were not there yet.
create or replace function pgq.events_retry(i_batch_id bigint, i_event_ids bigint[], i_seconds integer[])
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    known bigint;
    res integer;
begin
    select sub_id, sub_queue
    from pgq.subscription
    where sub_batch = i_batch_id
    into s;
    if not found then
        raise exception 'event not found';
    end if;

    with tagged as (
        select distinct on (e.ev_id) tag.seconds, e.*
        from unnest(i_event_ids, i_seconds) as tag (event_id, seconds)
        join pgq.get_batch_events(i_batch_id) e on e.ev_id = tag.event_id
        order by e.ev_id, e.ev_retry desc nulls last
    ), added as (
        insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
            ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
        select current_timestamp + make_interval(secs => t.seconds), s.sub_queue, t.ev_id, t.ev_time, s.sub_id,
            coalesce(t.ev_retry, 0) + 1, t.ev_type, t.ev_data, t.ev_extra1, t.ev_extra2, t.ev_extra3, t.ev_extra4
        from tagged t
        on conflict (ev_owner, ev_id) do nothing
        returning 1
    )
    select (select count(*) from tagged), (select count(*) from added)
    into known, res;
    if known < (select count(distinct event_id) from unnest(i_event_ids) as event_id) then
        raise exception 'event not found';
    end if;
    return res;
end;
$$;

comment on function pgq.events_retry(bigint, bigint[], integer[]) is
    'Puts events of an open batch into the retry queue for some seconds each; returns how many were not there yet';


-- Puts these events of an open batch among the dead letters, each with its reason; returns how many were not there yet.
create or replace function pgq.events_dead(i_batch_id bigint, i_event_ids bigint[], i_reasons text[])
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    known bigint;
    res integer;
begin
    -- The members of a group share sub_id with its main consumer, whose name all theirs begin with.
    select main.sub_id, main.sub_queue, main.sub_consumer, c.co_name
    from pgq.subscription open
    join pgq.subscription main on main.sub_queue = open.sub_queue and main.sub_id = open.sub_id
    join pgq.consumer c on c.co_id = main.sub_consumer
    where open.sub_batch = i_batch_id
    order by length(c.co_name)
    limit 1
    into s;
    if not found then
        raise exception 'event not found';
    end if;

    with tagged as (
        select distinct on (e.ev_id) tag.reason, e.*
        from unnest(i_event_ids, i_reasons) as tag (event_id, reason)
        join pgq.get_batch_events(i_batch_id) e on e.ev_id = tag.event_id
        order by e.ev_id, e.ev_retry desc nulls last
    ), added as (
        insert into pgq.dead_letter (dl_queue, dl_consumer, dl_consumer_name, dl_owner, dl_reason, dl_batch_id,
            ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
        select s.sub_queue, s.sub_consumer, s.co_name, s.sub_id, t.reason, i_batch_id,
            t.ev_id, t.ev_time, t.ev_txid, t.ev_retry, t.ev_type, t.ev_data, t.ev_extra1, t.ev_extra2, t.ev_extra3,
            t.ev_extra4
        from tagged t
        on conflict (dl_owner, ev_id, (coalesce(ev_retry, 0))) do nothing
        returning 1
    )
    select (select count(*) from tagged), (select count(*) from added)
    into known, res;
    if known < (select count(distinct event_id) from unnest(i_event_ids) as event_id) then
        raise exception 'event not found';
    end if;
    return res;
end;
$$;

comment on function pgq.events_dead(bigint, bigint[], text[]) is
    'Puts events of an open batch among the dead letters, with a reason each; returns how many were not there yet';
