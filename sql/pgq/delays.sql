-- Events that are to appear later. Not in the original; its ticker moves them all the same, with maint_retry_events().

create table if not exists pgq.delayed_event (
    de_id     bigserial,
    de_queue  integer not null,
    de_at     timestamptz not null,
    de_time   timestamptz not null default pg_catalog.now(),
    ev_type   text,
    ev_data   text,
    ev_extra1 text,
    ev_extra2 text,
    ev_extra3 text,
    ev_extra4 text,
    constraint delayed_event_pkey primary key (de_id),
    constraint delayed_event_queue_fkey foreign key (de_queue) references pgq.queue (queue_id) on delete cascade
);

create index if not exists delayed_event_at_idx on pgq.delayed_event using btree (de_at, de_id);
create index if not exists delayed_event_queue_idx on pgq.delayed_event using btree (de_queue);

comment on table pgq.delayed_event is 'Events that wait for the time at which they are to be inserted';


-- Inserts an event that appears in the queue at i_at, or when maintenance comes next after that; never before. Its
-- ev_time is then i_at. Returns the id of the delay; the event gets its own when it appears.
-- Limits and messages are those of insert_event, at this call; a queue that is disabled later gets the event when it is
-- enabled again.
create or replace function pgq.insert_event_at(
    queue_name text,
    ev_at timestamptz,
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
    res bigint;
begin
    if ev_at is null then
        raise exception 'The time of a delayed event must not be NULL' using errcode = 'null_value_not_allowed';
    end if;

    insert into pgq.delayed_event as d (de_queue, de_at, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    select a.queue_id, ev_at, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4
    from pgq.admit_events(queue_name, 1) a
    returning d.de_id
    into res;
    return res;
end;
$$;

comment on function pgq.insert_event_at(text, timestamptz, text, text, text, text, text, text) is
    'Inserts an event that appears at a given time; returns the id of the delay';


-- Inserts up to a thousand events that are due; returns how many. Within maint_retry_events().
create or replace function pgq.move_delayed_events()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    res integer := 0;
begin
    perform 1
    from pgq.delayed_event
    where de_at <= current_timestamp
    limit 1;
    if not found then
        return 0;
    end if;

    -- Before it is read which tables are current, as in insert_event.
    perform txid_current();

    for q in
        with due as (
            select d.de_id
            from pgq.delayed_event d
            join pgq.queue r on r.queue_id = d.de_queue
            where d.de_at <= current_timestamp
                and (not r.queue_disable_insert or current_setting('session_replication_role') = 'replica')
            order by d.de_at, d.de_id
            limit 1000
            for update of d skip locked
        ),
        moved as (
            delete from pgq.delayed_event d
            using due
            where d.de_id = due.de_id
            returning d.*
        )
        select
            r.queue_data_pfx || '_' || r.queue_cur_table as event_table,
            r.queue_event_seq as event_seq,
            count(*)::integer as events,
            array_agg(m.de_at order by m.de_at, m.de_id) as times,
            array_agg(m.ev_type order by m.de_at, m.de_id) as types,
            array_agg(m.ev_data order by m.de_at, m.de_id) as datas,
            array_agg(m.ev_extra1 order by m.de_at, m.de_id) as extra1s,
            array_agg(m.ev_extra2 order by m.de_at, m.de_id) as extra2s,
            array_agg(m.ev_extra3 order by m.de_at, m.de_id) as extra3s,
            array_agg(m.ev_extra4 order by m.de_at, m.de_id) as extra4s
        from moved m
        join pgq.queue r on r.queue_id = m.de_queue
        group by r.queue_id
        order by r.queue_id
    loop
        perform pgq.insert_arrays(q.event_table, q.event_seq, q.events, q.times, q.types, q.datas,
            q.extra1s, q.extra2s, q.extra3s, q.extra4s);
        res := res + q.events;
    end loop;
    return res;
end;
$$;

comment on function pgq.move_delayed_events() is
    'Inserts delayed events whose time has come; returns how many';
