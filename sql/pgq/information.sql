-- What is there, and how it goes (spec/pgq.md 4.7).


-- The release of PgQ whose interface this is. Tickers refuse a database where it does not begin with 3 or more.
create or replace function pgq.version()
returns text
language plpgsql
as $$
begin
    return '3.5.0';
end;
$$;

comment on function pgq.version() is
    'The version of the PgQ interface';


-- One row a queue, in order of their names; of all queues if the name is NULL. ev_per_sec is over the last 20 ticks.
create or replace function pgq.get_queue_info(
    i_queue_name text,
    out queue_name text,
    out queue_ntables integer,
    out queue_cur_table integer,
    out queue_rotation_period interval,
    out queue_switch_time timestamptz,
    out queue_external_ticker boolean,
    out queue_ticker_paused boolean,
    out queue_ticker_max_count integer,
    out queue_ticker_max_lag interval,
    out queue_ticker_idle_period interval,
    out ticker_lag interval,
    out ev_per_sec double precision,
    out ev_new bigint,
    out last_tick_id bigint
)
returns setof record
language plpgsql
as $$
begin
    return query
    select
        q.queue_name,
        q.queue_ntables,
        q.queue_cur_table,
        q.queue_rotation_period,
        q.queue_switch_time,
        q.queue_external_ticker,
        q.queue_ticker_paused,
        q.queue_ticker_max_count,
        q.queue_ticker_max_lag,
        q.queue_ticker_idle_period,
        current_timestamp - top.tick_time,
        case when old.tick_time < top.tick_time then
            (top.tick_event_seq - old.tick_event_seq)
            / extract(epoch from top.tick_time - old.tick_time)::double precision
        end,
        pgq.seq_getval(q.queue_event_seq) - top.tick_event_seq,
        top.tick_id
    from pgq.queue q
    left join lateral (
        select t.tick_id, t.tick_time, t.tick_event_seq
        from pgq.tick t
        where t.tick_queue = q.queue_id
        order by t.tick_id desc
        limit 1
    ) top on true
    left join lateral (
        select t.tick_time, t.tick_event_seq
        from pgq.tick t
        where t.tick_queue = q.queue_id
            and t.tick_id >= top.tick_id - 20
        order by t.tick_id
        limit 1
    ) old on true
    where i_queue_name is null
        or q.queue_name = i_queue_name
    order by q.queue_name;
end;
$$;

comment on function pgq.get_queue_info(text) is
    'Settings and state of a queue, or of all if the name is NULL';


-- The same for all queues.
create or replace function pgq.get_queue_info(
    out queue_name text,
    out queue_ntables integer,
    out queue_cur_table integer,
    out queue_rotation_period interval,
    out queue_switch_time timestamptz,
    out queue_external_ticker boolean,
    out queue_ticker_paused boolean,
    out queue_ticker_max_count integer,
    out queue_ticker_max_lag interval,
    out queue_ticker_idle_period interval,
    out ticker_lag interval,
    out ev_per_sec double precision,
    out ev_new bigint,
    out last_tick_id bigint
)
returns setof record
language plpgsql
as $$
begin
    return query
    select *
    from pgq.get_queue_info(null);
end;
$$;

comment on function pgq.get_queue_info() is
    'Settings and state of all queues';


-- One row a subscription, in order of queue and consumer; a name that is NULL stands for all.
create or replace function pgq.get_consumer_info(
    i_queue_name text,
    i_consumer_name text,
    out queue_name text,
    out consumer_name text,
    out lag interval,
    out last_seen interval,
    out last_tick bigint,
    out current_batch bigint,
    out next_tick bigint,
    out pending_events bigint
)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select
        q.queue_name,
        c.co_name,
        current_timestamp - last.tick_time,
        current_timestamp - s.sub_active,
        s.sub_last_tick,
        s.sub_batch,
        s.sub_next_tick,
        top.tick_event_seq - last.tick_event_seq
    from pgq.subscription s
    join pgq.queue q on q.queue_id = s.sub_queue
    join pgq.consumer c on c.co_id = s.sub_consumer
    left join pgq.tick last on last.tick_queue = s.sub_queue and last.tick_id = s.sub_last_tick
    left join lateral (
        select t.tick_event_seq
        from pgq.tick t
        where t.tick_queue = s.sub_queue
        order by t.tick_id desc
        limit 1
    ) top on true
    where (i_queue_name is null or q.queue_name = i_queue_name)
        and (i_consumer_name is null or c.co_name = i_consumer_name)
    order by q.queue_name, c.co_name;
end;
$$;

comment on function pgq.get_consumer_info(text, text) is
    'State of a subscription; NULL stands for all queues, all consumers';


-- The same for all consumers of a queue.
create or replace function pgq.get_consumer_info(
    i_queue_name text,
    out queue_name text,
    out consumer_name text,
    out lag interval,
    out last_seen interval,
    out last_tick bigint,
    out current_batch bigint,
    out next_tick bigint,
    out pending_events bigint
)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select *
    from pgq.get_consumer_info(i_queue_name, null);
end;
$$;

comment on function pgq.get_consumer_info(text) is
    'State of the subscriptions of a queue';


-- The same for all subscriptions.
create or replace function pgq.get_consumer_info(
    out queue_name text,
    out consumer_name text,
    out lag interval,
    out last_seen interval,
    out last_tick bigint,
    out current_batch bigint,
    out next_tick bigint,
    out pending_events bigint
)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select *
    from pgq.get_consumer_info(null, null);
end;
$$;

comment on function pgq.get_consumer_info() is
    'State of all subscriptions';
