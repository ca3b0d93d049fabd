-- Batches: opening, finishing, what they are (spec/pgq.md 1.7, 4.4, 6). Their events: batch_events.sql.


-- Opens the consumer's next batch, or gives back the open one. Always one row; all NULL if there is no batch yet.
-- Nothing is locked or written unless a batch is opened: consumers poll.
create or replace function pgq.next_batch_custom(
    i_queue_name text,
    i_consumer_name text,
    i_min_lag interval,
    i_min_count integer,
    i_min_interval interval,
    out batch_id bigint,
    out cur_tick_id bigint,
    out prev_tick_id bigint,
    out cur_tick_time timestamptz,
    out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint,
    out prev_tick_event_seq bigint
)
returns record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    locked boolean := false;
begin
    -- Looked at once without a lock, and again with it: two calls at once give the same batch.
    loop
        select
            sub.sub_queue,
            sub.sub_consumer,
            sub.sub_batch,
            sub.sub_next_tick,
            last.tick_id as last_id,
            last.tick_time as last_time,
            last.tick_event_seq as last_seq,
            next.tick_time as next_time,
            next.tick_event_seq as next_seq
        from pgq.queue q
        join pgq.subscription sub on sub.sub_queue = q.queue_id
        join pgq.consumer c on c.co_id = sub.sub_consumer
        left join pgq.tick last on last.tick_queue = sub.sub_queue and last.tick_id = sub.sub_last_tick
        left join pgq.tick next on next.tick_queue = sub.sub_queue and next.tick_id = sub.sub_next_tick
        where q.queue_name = i_queue_name
            and c.co_name = i_consumer_name
        into s;
        if not found then
            raise exception 'Not subscriber to queue: %/%',
                coalesce(i_queue_name, 'NULL'), coalesce(i_consumer_name, 'NULL');
        end if;
        if s.last_id is null then
            raise exception 'PgQ corruption: Consumer % on queue % does not see tick <NULL>',
                i_consumer_name, i_queue_name;
        end if;

        prev_tick_id := s.last_id;
        prev_tick_time := s.last_time;
        prev_tick_event_seq := s.last_seq;

        if s.sub_batch is not null then
            batch_id := s.sub_batch;
            cur_tick_id := s.sub_next_tick;
            cur_tick_time := s.next_time;
            cur_tick_event_seq := s.next_seq;
            return;
        end if;

        if i_min_count is null and i_min_interval is null then
            select tick_id, tick_time, tick_event_seq
            from pgq.tick
            where tick_queue = s.sub_queue
                and tick_id > s.last_id
            order by tick_id
            limit 1
            into cur_tick_id, cur_tick_time, cur_tick_event_seq;
        else
            select next_tick_id, next_tick_time, next_tick_seq
            from pgq.find_tick_helper(s.sub_queue, s.last_id, s.last_time, s.last_seq, i_min_count, i_min_interval)
            into cur_tick_id, cur_tick_time, cur_tick_event_seq;
        end if;

        if cur_tick_id is null or now() - cur_tick_time < i_min_lag then
            prev_tick_id := null;
            prev_tick_time := null;
            prev_tick_event_seq := null;
            cur_tick_id := null;
            cur_tick_time := null;
            cur_tick_event_seq := null;
            return;
        end if;

        exit when locked;

        perform 1
        from pgq.subscription
        where sub_queue = s.sub_queue
            and sub_consumer = s.sub_consumer
        for update;

        locked := true;
    end loop;

    batch_id := nextval('pgq.batch_id_seq');
    update pgq.subscription
    set sub_batch = batch_id,
        sub_next_tick = cur_tick_id,
        sub_active = now()
    where sub_queue = s.sub_queue
        and sub_consumer = s.sub_consumer;
end;
$$;

comment on function pgq.next_batch_custom(text, text, interval, integer, interval) is
    'Opens the next batch if it is old or big enough, or returns the open one; all NULL if there is none';


-- The same without conditions.
create or replace function pgq.next_batch_info(
    i_queue_name text,
    i_consumer_name text,
    out batch_id bigint,
    out cur_tick_id bigint,
    out prev_tick_id bigint,
    out cur_tick_time timestamptz,
    out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint,
    out prev_tick_event_seq bigint
)
returns record
language plpgsql
as $$
begin
    select
        b.batch_id,
        b.cur_tick_id,
        b.prev_tick_id,
        b.cur_tick_time,
        b.prev_tick_time,
        b.cur_tick_event_seq,
        b.prev_tick_event_seq
    from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) b
    into batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq;
end;
$$;

comment on function pgq.next_batch_info(text, text) is
    'Opens the next batch, or returns the open one, with its ticks; all NULL if there is none';


-- The same, the id only.
create or replace function pgq.next_batch(i_queue_name text, i_consumer_name text)
returns bigint
language plpgsql
as $$
declare
    res bigint;
begin
    select b.batch_id
    from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) b
    into res;
    return res;
end;
$$;

comment on function pgq.next_batch(text, text) is
    'Opens the next batch, or returns the open one; NULL if there is none';


-- The consumer has done with the batch: 1, or 0 with a warning if there is no such batch.
create or replace function pgq.finish_batch(x_batch_id bigint)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pgq.subscription
    set sub_active = now(),
        sub_last_tick = sub_next_tick,
        sub_next_tick = null,
        sub_batch = null
    where sub_batch = x_batch_id;
    if not found then
        raise warning 'finish_batch: batch % not found', x_batch_id;
        return 0;
    end if;
    return 1;
end;
$$;

comment on function pgq.finish_batch(bigint) is
    'Ends a batch: 1 = done, 0 = no such batch';


-- Whose batch it is, between which ticks. One row; all NULL for an unknown batch.
create or replace function pgq.get_batch_info(
    x_batch_id bigint,
    out queue_name text,
    out consumer_name text,
    out batch_start timestamptz,
    out batch_end timestamptz,
    out prev_tick_id bigint,
    out tick_id bigint,
    out lag interval,
    out seq_start bigint,
    out seq_end bigint
)
returns record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    select
        q.queue_name,
        c.co_name,
        last.tick_time,
        cur.tick_time,
        s.sub_last_tick,
        s.sub_next_tick,
        current_timestamp - cur.tick_time,
        last.tick_event_seq,
        cur.tick_event_seq
    from pgq.subscription s
    join pgq.queue q on q.queue_id = s.sub_queue
    join pgq.consumer c on c.co_id = s.sub_consumer
    left join pgq.tick last on last.tick_queue = s.sub_queue and last.tick_id = s.sub_last_tick
    left join pgq.tick cur on cur.tick_queue = s.sub_queue and cur.tick_id = s.sub_next_tick
    where s.sub_batch = x_batch_id
    into queue_name, consumer_name, batch_start, batch_end, prev_tick_id, tick_id, lag, seq_start, seq_end;
end;
$$;

comment on function pgq.get_batch_info(bigint) is
    'Queue, consumer and ticks of an open batch; all NULL for an unknown one';
