-- Inserting many events at once. Not in the original: one call and one statement, whatever the number of events.


-- Puts events into a table, with ids of a sequence in the order of the arrays; returns the ids. A NULL array stands for
-- NULLs; i_times NULL, or an element of it, is now. All arrays that are given have i_events elements.
create or replace function pgq.insert_arrays(
    i_table text,
    i_sequence text,
    i_events integer,
    i_times timestamptz[],
    i_types text[],
    i_datas text[],
    i_extra1s text[],
    i_extra2s text[],
    i_extra3s text[],
    i_extra4s text[]
)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    sequence constant regclass := pgq.quote_fqname(i_sequence)::regclass;
    -- Only the arrays that are there are taken apart.
    given constant text[] := array[
        case when i_times is not null then 'time' end,
        case when i_types is not null then 'type' end,
        case when i_datas is not null then 'data' end,
        case when i_extra1s is not null then 'extra1' end,
        case when i_extra2s is not null then 'extra2' end,
        case when i_extra3s is not null then 'extra3' end,
        case when i_extra4s is not null then 'extra4' end
    ];
    arrays text := '$1';
    fields text := 'id';
    names text := 'ev_id';
    expressions text := 'e.id';
    ids bigint[];
begin
    select array_agg(nextval(sequence))
    from generate_series(1, i_events)
    into ids;

    if given[1] is null then
        names := names || ', ev_time';
        expressions := expressions || ', now()';
    end if;
    for n in 1 .. 7 loop
        if given[n] is not null then
            arrays := arrays || ', $' || (n + 1);
            fields := fields || ', ' || given[n];
            names := names || ', ev_' || given[n];
            expressions := expressions || case when n = 1 then ', coalesce(e.time, now())' else ', e.' || given[n] end;
        end if;
    end loop;

    execute 'insert into ' || pgq.quote_fqname(i_table) || ' (' || names || ') select ' || expressions
        || ' from unnest(' || arrays || ') as e (' || fields || ')'
    using ids, i_times, i_types, i_datas, i_extra1s, i_extra2s, i_extra3s, i_extra4s;
    return coalesce(ids, '{}');
end;
$$;

comment on function pgq.insert_arrays(text, text, integer, timestamptz[], text[], text[], text[], text[], text[], text[]) is
    'Puts events given as arrays into an event table; returns their ids';


-- Inserts events; returns their ids in the order of the arrays, which ascend. A NULL array is NULL in every event; those
-- that are given must have one length (22023 otherwise). Limits and messages are those of insert_event: if the limit of
-- a transaction does not allow all of them, none is inserted.
create or replace function pgq.insert_events(
    queue_name text,
    ev_types text[],
    ev_datas text[],
    ev_extra1s text[] default null,
    ev_extra2s text[] default null,
    ev_extra3s text[] default null,
    ev_extra4s text[] default null,
    ev_times timestamptz[] default null
)
returns bigint[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    lengths constant integer[] := array_remove(
        array[
            cardinality(ev_types), cardinality(ev_datas), cardinality(ev_extra1s), cardinality(ev_extra2s),
            cardinality(ev_extra3s), cardinality(ev_extra4s), cardinality(ev_times)
        ],
        null
    );
    events constant integer := coalesce(lengths[1], 0);
    q record;
begin
    if array_remove(lengths, events) <> '{}' then
        raise exception 'The arrays of events have different lengths: %', array_to_string(lengths, ', ')
            using errcode = 'invalid_parameter_value';
    end if;

    select *
    from pgq.admit_events(queue_name, events)
    into q;
    if events = 0 then
        return '{}';
    end if;
    return pgq.insert_arrays(q.event_table, q.event_seq, events, ev_times, ev_types, ev_datas,
        ev_extra1s, ev_extra2s, ev_extra3s, ev_extra4s);
end;
$$;

comment on function pgq.insert_events(text, text[], text[], text[], text[], text[], text[], timestamptz[]) is
    'Inserts the events of these arrays in one statement; returns their ids in order';
