-- Reading the events of a batch (spec/pgq.md 1.3 to 1.5, 4.4).


-- Where the transactions between two snapshots are to be looked for: those in txid_from .. txid_to, of which some are
-- visible in both or in neither, and exactly those in txid_list, all below txid_from (spec/pgq.md 1.4).
-- While an old transaction keeps the xmin of every snapshot low, the range still begins at the previous snapshot's end.
create or replace function pgq.batch_txid_range(
    i_last txid_snapshot,
    i_cur txid_snapshot,
    out txid_from bigint,
    out txid_to bigint,
    out txid_list bigint[]
)
returns record
language plpgsql
immutable
strict
as $$
declare
    txid bigint;
begin
    txid_from := pg_catalog.txid_snapshot_xmax(i_last);
    txid_to := pg_catalog.txid_snapshot_xmax(i_cur);
    txid_list := '{}';
    for txid in
        select x
        from pg_catalog.txid_snapshot_xip(i_last) x
        where pg_catalog.txid_visible_in_snapshot(x, i_cur)
        order by x desc
    loop
        if txid >= txid_from - 100 then
            txid_from := txid;
        else
            txid_list := txid_list || txid;
        end if;
    end loop;
end;
$$;

comment on function pgq.batch_txid_range(txid_snapshot, txid_snapshot) is
    'Range and list of the transaction ids in which the events between two snapshots lie';


-- The tables that hold a batch's events: those that its snapshots and the last rotation name, and any further one with
-- an event in the batch's range of transaction ids. A producer that read which table is current, was held up, and got
-- its transaction id after a rotation has written to such a table.
-- All events of a batch were committed before its end tick, so what is not found now will not come.
create or replace function pgq.batch_event_tables(x_batch_id bigint)
returns setof text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    b record;
    r record;
    lowest_txid bigint;
    previous_table integer;
    tables integer[];
    probe text;
    further integer[];
    n integer;
begin
    select
        q.queue_data_pfx,
        q.queue_ntables,
        q.queue_cur_table,
        q.queue_switch_step1,
        q.queue_switch_step2,
        last.tick_snapshot as last_snapshot,
        cur.tick_snapshot as cur_snapshot
    from pgq.subscription s
    join pgq.queue q on q.queue_id = s.sub_queue
    join pgq.tick last on last.tick_queue = s.sub_queue and last.tick_id = s.sub_last_tick
    join pgq.tick cur on cur.tick_queue = s.sub_queue and cur.tick_id = s.sub_next_tick
    where s.sub_batch = x_batch_id
    into b;
    if not found then
        raise exception 'Cannot find data for batch %', x_batch_id;
    end if;

    previous_table := (b.queue_cur_table + b.queue_ntables - 1) % b.queue_ntables;
    if pg_catalog.txid_snapshot_xmax(b.cur_snapshot) < b.queue_switch_step1 then
        tables := array[previous_table];
    elsif pg_catalog.txid_snapshot_xmin(b.last_snapshot) > b.queue_switch_step2
        or previous_table = b.queue_cur_table
    then
        tables := array[b.queue_cur_table];
    else
        tables := array[previous_table, b.queue_cur_table];
    end if;

    select *
    from pgq.batch_txid_range(b.last_snapshot, b.cur_snapshot)
    into r;
    select coalesce(pg_catalog.min(x), r.txid_from)
    from pg_catalog.unnest(r.txid_list) x
    into lowest_txid;

    -- Ordered with a limit: the planner then always walks the index, whatever it thinks of a table without statistics.
    select pg_catalog.string_agg(
        pg_catalog.format(
            'select %s as n where (select e.ev_txid from %s e where e.ev_txid >= %s order by e.ev_txid limit 1) <= %s',
            t.n,
            pgq.quote_fqname(b.queue_data_pfx || '_' || t.n),
            lowest_txid,
            r.txid_to
        ),
        ' union all '
    )
    from pg_catalog.generate_series(0, b.queue_ntables - 1) as t (n)
    where t.n <> all (tables)
    into probe;

    if probe is not null then
        -- Undone at once, for its locks: held to the end of the reader's transaction, they would keep the next
        -- rotation from emptying a table that has nothing to do with this batch.
        begin
            execute 'select pg_catalog.array_agg(p.n order by p.n) from (' || probe || ') p'
            into further;
            raise exception 'probe done' using errcode = 'PQ001';
        exception when sqlstate 'PQ001' then
            null;
        end;
    end if;

    foreach n in array tables || further loop
        return next b.queue_data_pfx || '_' || n;
    end loop;
end;
$$;

comment on function pgq.batch_event_tables(bigint) is
    'Names of the tables that hold the events of a batch';


-- The query that reads a batch's events in order of their ids, as text for EXECUTE, a cursor or a sub-select.
create or replace function pgq.batch_event_sql(x_batch_id bigint)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    b record;
    r record;
    columns constant text :=
        'ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4';
    owner text;
    event_table text;
    parts text[] := '{}';
begin
    select s.sub_id, last.tick_snapshot as last_snapshot, cur.tick_snapshot as cur_snapshot
    from pgq.subscription s
    join pgq.tick last on last.tick_queue = s.sub_queue and last.tick_id = s.sub_last_tick
    join pgq.tick cur on cur.tick_queue = s.sub_queue and cur.tick_id = s.sub_next_tick
    where s.sub_batch = x_batch_id
    into b;
    if not found then
        raise exception 'batch not found';
    end if;

    select *
    from pgq.batch_txid_range(b.last_snapshot, b.cur_snapshot)
    into r;

    owner := ' and (ev_owner is null or ev_owner = ' || b.sub_id || ')';
    for event_table in
        select pgq.quote_fqname(t)
        from pgq.batch_event_tables(x_batch_id) t
    loop
        parts := parts || (
            'select ' || columns || ' from ' || event_table
            || ' where ev_txid between ' || r.txid_from || ' and ' || r.txid_to
            || ' and not pg_catalog.txid_visible_in_snapshot(ev_txid, '
            || pg_catalog.quote_literal(b.last_snapshot::text) || '::pg_catalog.txid_snapshot)'
            || ' and pg_catalog.txid_visible_in_snapshot(ev_txid, '
            || pg_catalog.quote_literal(b.cur_snapshot::text) || '::pg_catalog.txid_snapshot)'
            || owner
        );
        if r.txid_list <> '{}' then
            -- The range says nothing new about the rows; it tells a planner without statistics that they are few.
            parts := parts || (
                'select ' || columns || ' from ' || event_table
                || ' where ev_txid = any (' || pg_catalog.quote_literal(r.txid_list::text) || '::bigint[])'
                || ' and ev_txid between ' || r.txid_list[pg_catalog.array_upper(r.txid_list, 1)]
                || ' and ' || r.txid_list[1]
                || owner
            );
        end if;
    end loop;

    if parts = '{}' then
        raise exception 'could not construct sql for batch %', x_batch_id;
    end if;
    return pg_catalog.array_to_string(parts, ' union all ') || ' order by 1';
end;
$$;

comment on function pgq.batch_event_sql(bigint) is
    'The query that reads the events of a batch';


-- All events of a batch. None is normal.
create or replace function pgq.get_batch_events(
    x_batch_id bigint,
    out ev_id bigint,
    out ev_time timestamptz,
    out ev_txid bigint,
    out ev_retry integer,
    out ev_type text,
    out ev_data text,
    out ev_extra1 text,
    out ev_extra2 text,
    out ev_extra3 text,
    out ev_extra4 text
)
returns setof record
language plpgsql
as $$
begin
    return query execute pgq.batch_event_sql(x_batch_id);
end;
$$;

comment on function pgq.get_batch_events(bigint) is
    'The events of a batch';


-- Declares a cursor over a batch's events in the caller's transaction and returns the first rows from it; the caller
-- goes on with FETCH and CLOSE. The extra condition over the ten columns is put into the query as it is.
create or replace function pgq.get_batch_cursor(
    i_batch_id bigint,
    i_cursor_name text,
    i_quick_limit integer,
    i_extra_where text,
    out ev_id bigint,
    out ev_time timestamptz,
    out ev_txid bigint,
    out ev_retry integer,
    out ev_type text,
    out ev_data text,
    out ev_extra1 text,
    out ev_extra2 text,
    out ev_extra3 text,
    out ev_extra4 text
)
returns setof record
language plpgsql
as $$
declare
    batch_query text;
begin
    if i_batch_id is null or i_cursor_name is null or i_quick_limit is null then
        return;
    end if;

    batch_query := pgq.batch_event_sql(i_batch_id);
    if i_extra_where is not null then
        batch_query := 'select * from (' || batch_query || ') ev where ' || i_extra_where || E'\norder by 1';
    end if;
    execute 'declare ' || pg_catalog.quote_ident(i_cursor_name) || ' no scroll cursor for ' || batch_query;

    if i_quick_limit <= 0 then
        return;
    end if;
    for ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 in
        execute 'fetch ' || i_quick_limit || ' from ' || pg_catalog.quote_ident(i_cursor_name)
    loop
        return next;
    end loop;
end;
$$;

comment on function pgq.get_batch_cursor(bigint, text, integer, text) is
    'Opens a cursor over those events of a batch that meet a condition; returns the first rows';


-- The same without a condition.
create or replace function pgq.get_batch_cursor(
    i_batch_id bigint,
    i_cursor_name text,
    i_quick_limit integer,
    out ev_id bigint,
    out ev_time timestamptz,
    out ev_txid bigint,
    out ev_retry integer,
    out ev_type text,
    out ev_data text,
    out ev_extra1 text,
    out ev_extra2 text,
    out ev_extra3 text,
    out ev_extra4 text
)
returns setof record
language plpgsql
strict
as $$
begin
    return query
    select *
    from pgq.get_batch_cursor(i_batch_id, i_cursor_name, i_quick_limit, null);
end;
$$;

comment on function pgq.get_batch_cursor(bigint, text, integer) is
    'Opens a cursor over the events of a batch; returns the first rows';
