-- Rotating event tables (spec/pgq.md 1.5, 7).
--
-- Emptying goes by facts. A table is truncated only when its greatest transaction id, read under the lock that keeps
-- every writer out, lies below the xmin of the tick of every subscription: each of its events is then visible in each of
-- these ticks, and belongs to batches that are finished. Which table a producer chose, and when it got its transaction
-- id, does not matter.


-- Empties the table after the current one and makes it current, if the period is over and no consumer needs it any
-- more. Always returns 0. To be followed by step 2 in a later transaction.
create or replace function pgq.maint_rotate_tables_step1(i_queue_name text)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    missing_tick bigint;
    lowest_xmin bigint;
    next_number integer;
    next_table text;
    greatest_txid bigint;
begin
    -- A snapshot older than the locks below could miss a subscription, or the last events of the table.
    if pg_catalog.current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise warning 'maint_rotate_tables_step1: tables are rotated in isolation level read committed only, not in %',
            pg_catalog.current_setting('transaction_isolation');
        return 0;
    end if;

    -- Waits for subscribers and tickers that hold the row, and keeps them waiting until we commit.
    select
        queue_id,
        queue_ntables,
        queue_cur_table,
        queue_data_pfx,
        queue_switch_step1,
        queue_switch_step2
    from pgq.queue
    where queue_name = i_queue_name
        and queue_switch_step2 is not null
        and queue_switch_time + queue_rotation_period < current_timestamp
    for update
    into q;
    if not found then
        return 0;
    end if;

    if pg_catalog.txid_current() < q.queue_switch_step1 then
        raise exception 'queue % maint failure: step1=%, current=%',
            i_queue_name, q.queue_switch_step1, pg_catalog.txid_current();
    end if;

    select s.sub_last_tick
    from pgq.subscription s
    where s.sub_queue = q.queue_id
        and s.sub_last_tick is not null
        and not exists (
            select 1
            from pgq.tick t
            where t.tick_queue = s.sub_queue
                and t.tick_id = s.sub_last_tick
        )
    order by s.sub_last_tick
    limit 1
    into missing_tick;
    if found then
        raise exception 'queue % maint failure: tick % not found', i_queue_name, missing_tick;
    end if;

    -- By xmin, not by tick id: external ticks may come out of order. The end of an open batch counts as well, for the
    -- subscription's next position must survive the deletion of ticks below.
    select pg_catalog.min(pg_catalog.txid_snapshot_xmin(t.tick_snapshot))
    from pgq.subscription s
    join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id in (s.sub_last_tick, s.sub_next_tick)
    where s.sub_queue = q.queue_id
    into lowest_xmin;
    if lowest_xmin <= q.queue_switch_step2 then
        return 0;
    end if;

    next_number := (q.queue_cur_table + 1) % q.queue_ntables;
    next_table := pgq.quote_fqname(q.queue_data_pfx || '_' || next_number);

    -- Asked first without the lock: nobody waits for a table that cannot be emptied yet.
    execute 'select pg_catalog.max(ev_txid) from ' || next_table
    into greatest_txid;
    if greatest_txid >= lowest_xmin then
        return 0;
    end if;

    begin
        execute 'lock table ' || next_table || ' in access exclusive mode nowait';
    exception when lock_not_available then
        return 0;
    end;

    -- A writer holds its lock on the table until it is finished, prepared ones too: this snapshot sees all of them.
    execute 'select pg_catalog.max(ev_txid) from ' || next_table
    into greatest_txid;
    if greatest_txid >= lowest_xmin then
        return 0;
    end if;

    execute 'truncate table ' || next_table;

    update pgq.queue
    set queue_cur_table = next_number,
        queue_switch_time = current_timestamp,
        queue_switch_step1 = pg_catalog.txid_current(),
        queue_switch_step2 = null
    where queue_id = q.queue_id;

    -- Nobody may be placed on a tick whose following events are gone. A tick that a subscription refers to stays: its
    -- xmin is not below lowest_xmin, which is above both limits.
    delete from pgq.tick t
    where t.tick_queue = q.queue_id
        and (pg_catalog.txid_snapshot_xmin(t.tick_snapshot) < q.queue_switch_step2
            or pg_catalog.txid_snapshot_xmin(t.tick_snapshot) <= greatest_txid);
    return 0;
end;
$$;

comment on function pgq.maint_rotate_tables_step1(text) is
    'Empties the next event table of a queue and makes it current, if every consumer is past it; returns 0';


-- Records that the switches of step 1 are committed. Always returns 0.
create or replace function pgq.maint_rotate_tables_step2()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update pgq.queue
    set queue_switch_step2 = pg_catalog.txid_current()
    where queue_switch_step2 is null;
    return 0;
end;
$$;

comment on function pgq.maint_rotate_tables_step2() is
    'Records the end of all switches made by step 1, in a later transaction; returns 0';
