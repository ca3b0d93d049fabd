-- Making ticks (spec/pgq.md 4.5, 5).


-- Makes a tick if one is due; returns its id, or NULL. Costs no transaction id when none is due.
-- Two calls at once make their ticks one after the other, so that a higher id always has a newer snapshot: whoever does
-- not get the queue's tick lock leaves the tick to the one who has it.
create or replace function pgq.ticker(i_queue_name text)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    newest record;
    previous_time timestamptz;
    txid bigint;
    new_events bigint;
    lag interval;
    previous_lag interval;
    locked boolean := false;
    res bigint;
begin
    -- Decided once without a lock, and again with it: another ticker may have been faster.
    loop
        select
            queue_id,
            queue_tick_seq,
            queue_external_ticker,
            queue_ticker_paused,
            queue_ticker_max_count,
            queue_ticker_max_lag,
            queue_ticker_idle_period,
            pgq.seq_getval(queue_event_seq) as event_seq
        from pgq.queue
        where queue_name = i_queue_name
        into q;
        if not found then
            raise exception 'no such queue';
        end if;
        if q.queue_external_ticker then
            raise exception 'This queue has external tick source.';
        end if;
        if q.queue_ticker_paused then
            raise exception 'Ticker has been paused for this queue';
        end if;

        select
            tick_id,
            tick_time,
            tick_event_seq,
            txid_snapshot_xmin(tick_snapshot) as xmin,
            txid_snapshot_xmax(tick_snapshot) as xmax
        from pgq.tick
        where tick_queue = q.queue_id
        order by tick_id desc
        limit 1
        into newest;

        if found then
            -- The next id to be given out, read without taking one.
            txid := txid_snapshot_xmax(txid_current_snapshot());
            if newest.xmin > txid then
                raise exception 'Invalid PgQ state: old xmin=%, old xmax=%, cur txid=%', newest.xmin, newest.xmax, txid;
            end if;
            if newest.xmax > txid and not locked then
                raise warning 'Dubious PgQ state: old xmax=%, cur txid=%', newest.xmax, txid;
            end if;

            new_events := q.event_seq - newest.tick_event_seq;
            lag := now() - newest.tick_time;
            if new_events > 0 then
                if new_events < q.queue_ticker_max_count and lag < q.queue_ticker_max_lag then
                    return null;
                end if;
            else
                if new_events < 0 and not locked then
                    raise warning 'Negative new_events?  old=% cur=%', newest.tick_event_seq, q.event_seq;
                end if;

                select tick_time
                from pgq.tick
                where tick_queue = q.queue_id
                    and tick_id < newest.tick_id
                order by tick_id desc
                limit 1
                into previous_time;

                -- The distance of an idle queue's ticks doubles up to the idle period.
                if found then
                    previous_lag := newest.tick_time - previous_time;
                    if lag < q.queue_ticker_max_lag / 2
                        or (lag < previous_lag * 2 and lag < q.queue_ticker_idle_period)
                    then
                        return null;
                    end if;
                end if;
            end if;
        end if;

        exit when locked;

        if not pg_try_advisory_xact_lock('pgq.tick'::regclass::oid::integer, q.queue_id) then
            return null;
        end if;

        -- Held before the snapshot is taken: a rotation is then either over, and the tick sees what it emptied as
        -- finished, or it begins after the tick and finds it.
        perform 1
        from pgq.queue
        where queue_id = q.queue_id
        for key share;

        locked := true;
    end loop;

    -- Above READ COMMITTED our snapshot may be older than the one of a tick that we do not see; a higher id with an
    -- older snapshot would give events out twice.
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted')
        and pgq.seq_getval(q.queue_tick_seq) > newest.tick_id
    then
        return null;
    end if;

    insert into pgq.tick (tick_queue, tick_id, tick_event_seq)
    values (q.queue_id, nextval(q.queue_tick_seq::regclass), q.event_seq)
    returning tick_id
    into res;
    return res;
end;
$$;

comment on function pgq.ticker(text) is
    'Makes a tick if one is due; returns its id, or NULL';


-- Ticks every queue that is neither external nor paused, in one transaction; returns how many made a tick.
create or replace function pgq.ticker()
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
    res bigint := 0;
begin
    for name in
        select queue_name
        from pgq.queue
        where not queue_external_ticker
            and not queue_ticker_paused
        order by queue_name
    loop
        if pgq.ticker(name) is not null then
            res := res + 1;
        end if;
    end loop;
    return res;
end;
$$;

comment on function pgq.ticker() is
    'Ticks all queues that tick themselves; returns how many ticks were made';


-- Stores a tick that comes from elsewhere, with this moment's snapshot; returns its id.
create or replace function pgq.ticker(
    i_queue_name text,
    i_tick_id bigint,
    i_orig_timestamp timestamptz,
    i_event_seq bigint
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
begin
    -- Locked before the snapshot is taken, as in ticker(text).
    select queue_id, queue_tick_seq, queue_event_seq
    from pgq.queue
    where queue_name = i_queue_name
        and queue_external_ticker
        and not queue_ticker_paused
    for key share
    into q;
    if not found then
        raise exception 'queue not found or ticker disabled: %', i_queue_name;
    end if;

    insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)
    values (q.queue_id, i_tick_id, i_orig_timestamp, i_event_seq);

    perform pgq.seq_setval(q.queue_tick_seq, i_tick_id);
    perform pgq.seq_setval(q.queue_event_seq, i_event_seq);
    return i_tick_id;
end;
$$;

comment on function pgq.ticker(text, bigint, timestamptz, bigint) is
    'Stores an external tick with the present snapshot; returns its id';


-- Moves the event sequence so far that the next ticker() makes a tick. Returns the newest tick's id, NULL if none.
create or replace function pgq.force_tick(i_queue_name text)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    res bigint;
begin
    select
        queue_id,
        queue_event_seq,
        queue_ticker_max_count,
        queue_external_ticker or queue_ticker_paused as ticks_elsewhere
    from pgq.queue
    where queue_name = i_queue_name
    into q;
    if not found then
        return null;
    end if;

    if not q.ticks_elsewhere then
        perform pgq.seq_setval(
            q.queue_event_seq,
            nextval(q.queue_event_seq::regclass) + q.queue_ticker_max_count * 2::bigint + 1000
        );
    end if;

    select tick_id
    from pgq.tick
    where tick_queue = q.queue_id
    order by tick_id desc
    limit 1
    into res;
    return res;
end;
$$;

comment on function pgq.force_tick(text) is
    'Makes the next ticker() tick; returns the newest tick of this moment';


-- The tick that ends a batch after the given one, when a least count or a least interval is asked for (spec/pgq.md 6).
-- No row is ever missing: all NULL means none yet.
create or replace function pgq.find_tick_helper(
    i_queue_id integer,
    i_prev_tick_id bigint,
    i_prev_tick_time timestamptz,
    i_prev_tick_seq bigint,
    i_min_count bigint,
    i_min_interval interval,
    out next_tick_id bigint,
    out next_tick_time timestamptz,
    out next_tick_seq bigint
)
returns record
language plpgsql
stable
as $$
declare
    new_events bigint;
    distance interval;
begin
    select t.tick_id, t.tick_time, t.tick_event_seq
    from pgq.tick t
    where t.tick_queue = i_queue_id
        and t.tick_id > i_prev_tick_id
    order by t.tick_id desc
    limit 1
    into next_tick_id, next_tick_time, next_tick_seq;
    if not found then
        return;
    end if;

    new_events := next_tick_seq - i_prev_tick_seq;
    distance := next_tick_time - i_prev_tick_time;

    -- Far behind: batches of about the size that was asked for, not one huge one.
    if new_events > i_min_count * 2 or distance > i_min_interval * 2 then
        select t.tick_id, t.tick_time, t.tick_event_seq
        from pgq.tick t
        where t.tick_queue = i_queue_id
            and t.tick_id > i_prev_tick_id
            and (t.tick_event_seq - i_prev_tick_seq >= i_min_count
                or t.tick_time - i_prev_tick_time >= i_min_interval)
        order by t.tick_id
        limit 1
        into next_tick_id, next_tick_time, next_tick_seq;
        return;
    end if;

    if new_events >= i_min_count or distance >= i_min_interval then
        return;
    end if;
    next_tick_id := null;
    next_tick_time := null;
    next_tick_seq := null;
end;
$$;

comment on function pgq.find_tick_helper(integer, bigint, timestamptz, bigint, bigint, interval) is
    'The tick that ends a batch with a least count or interval; all NULL if there is none yet';
