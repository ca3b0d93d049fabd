-- Batches of a group: opened for one worker, taken over from a dead one, finished, handed back (spec/pgq-coop.md 2).
--
-- A batch keeps its id when another worker takes it over, and finish_batch is told nothing but the id. So a session
-- remembers the batches it was given, and for which worker, in a setting of its own: what was taken from it meanwhile it
-- cannot finish. The setting follows the session's transactions; who finishes in another session than the one that was
-- given the batch says who he is with finish_batch_of.


-- The batches that this session was given and has not finished: batch id -> co_id of the worker.
create or replace function pgq_coop.claims()
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(nullif(current_setting('pgq_coop.claims', true), ''), '{}')::jsonb;
$$;

comment on function pgq_coop.claims() is
    'The batches that this session was given and has not finished';


-- Notes that this session was given a batch for a worker; a NULL worker: that it has nothing more to do with it.
-- Of batches that were never finished here, because they were lost or are finished elsewhere, the newest are kept.
create or replace function pgq_coop.claim(i_batch_id bigint, i_consumer_id integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    most constant integer := 32;
    claims jsonb := pgq_coop.claims();
begin
    if i_consumer_id is null then
        if not claims ? i_batch_id::text then
            return;
        end if;
        claims := claims - i_batch_id::text;
    else
        claims := claims || jsonb_build_object(i_batch_id, i_consumer_id);
        if (select count(*) from jsonb_object_keys(claims)) > most then
            select jsonb_object_agg(c.key, c.value)
            from (
                select key, value
                from jsonb_each(claims)
                order by key::bigint desc
                limit most
            ) c
            into claims;
        end if;
    end if;
    perform set_config('pgq_coop.claims', claims::text, false);
end;
$$;

comment on function pgq_coop.claim(bigint, integer) is
    'Notes for which worker this session was given a batch';


-- Opens a batch of the group for a worker, or gives back the one it has; NULL if there is none. With a dead interval, a
-- worker that has been silent for longer loses its row, and its batch goes to the caller, who gets it under the same id.
-- Who is not in the group is registered.
create or replace function pgq_coop.next_batch_custom(
    i_queue_name text,
    i_consumer_name text,
    i_subconsumer_name text,
    i_min_lag interval,
    i_min_count integer,
    i_min_interval interval,
    i_dead_interval interval
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    -- When a batch was handed back, its worker was last seen at this time.
    handed_back constant timestamptz := 'epoch';
    main record;
    member record;
    dead record;
    batch record;
begin
    -- Idle workers poll: they neither write nor wait for each other when there is nothing to be had.
    perform 1
    from pgq.queue q
    join pgq.subscription m on m.sub_queue = q.queue_id
    join pgq.consumer m_name on m_name.co_id = m.sub_consumer
    join pgq.subscription s on s.sub_queue = m.sub_queue and s.sub_id = m.sub_id
    join pgq.consumer s_name on s_name.co_id = s.sub_consumer
    where q.queue_name = i_queue_name
        and m_name.co_name = i_consumer_name
        and s_name.co_name = i_consumer_name || '.' || i_subconsumer_name
        and m.sub_next_tick is null
        and s.sub_batch is null
        and not exists (
            select 1
            from pgq.tick t
            where t.tick_queue = m.sub_queue
                and t.tick_id > m.sub_last_tick
        )
        and not exists (
            select 1
            from pgq.subscription other
            where other.sub_queue = m.sub_queue
                and other.sub_id = m.sub_id
                and other.sub_consumer not in (m.sub_consumer, s.sub_consumer)
                and (other.sub_active < now() - i_dead_interval or other.sub_active = handed_back)
        );
    if found then
        return null;
    end if;

    -- The workers of a group follow one another from here to their commits.
    loop
        select s.sub_queue, s.sub_consumer, s.sub_id, s.sub_next_tick
        from pgq.queue q
        join pgq.subscription s on s.sub_queue = q.queue_id
        join pgq.consumer c on c.co_id = s.sub_consumer
        where q.queue_name = i_queue_name
            and c.co_name = i_consumer_name
        for update of s
        into main;
        exit when found;
        perform pgq_coop.register_subconsumer(i_queue_name, i_consumer_name, i_subconsumer_name);
    end loop;
    if main.sub_next_tick is not null then
        raise exception 'main consumer has batch open?';
    end if;

    loop
        select s.sub_consumer, s.sub_id, s.sub_batch
        from pgq.subscription s
        join pgq.consumer c on c.co_id = s.sub_consumer
        where s.sub_queue = main.sub_queue
            and c.co_name = i_consumer_name || '.' || i_subconsumer_name
        for update of s
        into member;
        exit when found;
        perform pgq_coop.register_subconsumer(i_queue_name, i_consumer_name, i_subconsumer_name);
    end loop;
    if member.sub_id <> main.sub_id then
        -- Its position would be lost with the first batch.
        raise exception 'consumer "%.%" of queue "%" is not a worker of "%": it has a position of its own',
            i_consumer_name, i_subconsumer_name, i_queue_name, i_consumer_name;
    end if;

    if member.sub_batch is not null then
        update pgq.subscription
        set sub_active = now()
        where sub_queue = main.sub_queue
            and sub_consumer = member.sub_consumer;
        perform pgq_coop.claim(member.sub_batch, member.sub_consumer);
        return member.sub_batch;
    end if;

    -- The oldest batch first. Who holds his row locked is just about to finish, or to say that he is alive.
    select s.sub_consumer, s.sub_batch, s.sub_last_tick, s.sub_next_tick
    from pgq.subscription s
    where s.sub_queue = main.sub_queue
        and s.sub_id = main.sub_id
        and s.sub_consumer not in (main.sub_consumer, member.sub_consumer)
        and (s.sub_active < now() - i_dead_interval or s.sub_active = handed_back)
    order by s.sub_batch is null, s.sub_last_tick, s.sub_active
    limit 1
    for update skip locked
    into dead;
    if found then
        delete from pgq.subscription
        where sub_queue = main.sub_queue
            and sub_consumer = dead.sub_consumer;
        if dead.sub_batch is not null then
            update pgq.subscription
            set sub_batch = dead.sub_batch,
                sub_last_tick = dead.sub_last_tick,
                sub_next_tick = dead.sub_next_tick,
                sub_active = now()
            where sub_queue = main.sub_queue
                and sub_consumer = member.sub_consumer;
            perform pgq_coop.claim(dead.sub_batch, member.sub_consumer);
            return dead.sub_batch;
        end if;
    end if;

    select b.batch_id, b.prev_tick_id, b.cur_tick_id
    from pgq.next_batch_custom(i_queue_name, i_consumer_name, i_min_lag, i_min_count, i_min_interval) b
    into batch;
    if batch.batch_id is null then
        return null;
    end if;

    update pgq.subscription
    set sub_last_tick = batch.cur_tick_id,
        sub_batch = null,
        sub_next_tick = null,
        sub_active = now()
    where sub_queue = main.sub_queue
        and sub_consumer = main.sub_consumer;

    update pgq.subscription
    set sub_batch = batch.batch_id,
        sub_last_tick = batch.prev_tick_id,
        sub_next_tick = batch.cur_tick_id,
        sub_active = now()
    where sub_queue = main.sub_queue
        and sub_consumer = member.sub_consumer;
    perform pgq_coop.claim(batch.batch_id, member.sub_consumer);
    return batch.batch_id;
end;
$$;

comment on function pgq_coop.next_batch_custom(text, text, text, interval, integer, interval, interval) is
    'Opens a batch of the group for a worker, or takes one over from a worker that was silent for the dead interval';


-- The same without taking over.
create or replace function pgq_coop.next_batch_custom(
    i_queue_name text,
    i_consumer_name text,
    i_subconsumer_name text,
    i_min_lag interval,
    i_min_count integer,
    i_min_interval interval
)
returns bigint
language plpgsql
as $$
begin
    return pgq_coop.next_batch_custom(
        i_queue_name, i_consumer_name, i_subconsumer_name, i_min_lag, i_min_count, i_min_interval, null
    );
end;
$$;

comment on function pgq_coop.next_batch_custom(text, text, text, interval, integer, interval) is
    'Opens a batch of the group for a worker if it is old or big enough, or gives back the one it has';


-- The same without conditions.
create or replace function pgq_coop.next_batch(
    i_queue_name text,
    i_consumer_name text,
    i_subconsumer_name text,
    i_dead_interval interval
)
returns bigint
language plpgsql
as $$
begin
    return pgq_coop.next_batch_custom(
        i_queue_name, i_consumer_name, i_subconsumer_name, null, null, null, i_dead_interval
    );
end;
$$;

comment on function pgq_coop.next_batch(text, text, text, interval) is
    'Opens a batch of the group for a worker, or takes one over from a worker that was silent for the dead interval';


-- The same with neither.
create or replace function pgq_coop.next_batch(i_queue_name text, i_consumer_name text, i_subconsumer_name text)
returns bigint
language plpgsql
as $$
begin
    return pgq_coop.next_batch_custom(i_queue_name, i_consumer_name, i_subconsumer_name, null, null, null, null);
end;
$$;

comment on function pgq_coop.next_batch(text, text, text) is
    'Opens a batch of the group for a worker, or gives back the one it has; NULL if there is none';


-- The worker has done with the batch: 1, or 0 with a warning if there is no such batch. A session that was given the batch
-- and has lost it to another worker meanwhile is refused with an error, which undoes what its transaction did as well.
-- A batch that an ordinary consumer opened is finished as an ordinary one.
create or replace function pgq_coop.finish_batch(i_batch_id bigint)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    claimant constant integer := pgq_coop.claims() ->> i_batch_id::text;
begin
    update pgq.subscription s
    set sub_active = now(),
        sub_last_tick = case when pgq_coop.is_member(s.sub_queue, s.sub_consumer) then null else s.sub_next_tick end,
        sub_next_tick = null,
        sub_batch = null
    where s.sub_batch = i_batch_id
        and (claimant is null or s.sub_consumer = claimant);
    if found then
        perform pgq_coop.claim(i_batch_id, null);
        return 1;
    end if;

    if claimant is not null then
        raise exception 'coop_finish_batch: batch % was taken over from this worker', i_batch_id
            using errcode = 'object_not_in_prerequisite_state',
                hint = 'What was done for it must be rolled back: the worker that has it now does it, or has done it.';
    end if;
    raise warning 'coop_finish_batch: batch % not found', i_batch_id;
    return 0;
end;
$$;

comment on function pgq_coop.finish_batch(bigint) is
    'Ends a batch: 1 = done, 0 = no such batch; an error if it was taken over from this session';


-- Whether a subscription is a worker's: another one of its group has the name that its own name begins with.
create or replace function pgq_coop.is_member(i_queue_id integer, i_consumer_id integer)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select 1
        from pgq.subscription member
        join pgq.consumer member_name on member_name.co_id = member.sub_consumer
        join pgq.subscription main on main.sub_queue = member.sub_queue and main.sub_id = member.sub_id
        join pgq.consumer main_name on main_name.co_id = main.sub_consumer
        where member.sub_queue = i_queue_id
            and member.sub_consumer = i_consumer_id
            and starts_with(member_name.co_name, main_name.co_name || '.')
    );
$$;

comment on function pgq_coop.is_member(integer, integer) is
    'Whether a subscription is that of a worker in a group';


-- The same for a worker that says who he is, in whatever session: 1 = done, 0 = the batch is not, or not any more, this
-- worker's; nothing is changed then, and what was done for the batch is to be rolled back.
create or replace function pgq_coop.finish_batch_of(
    i_queue_name text,
    i_consumer_name text,
    i_subconsumer_name text,
    i_batch_id bigint
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pgq.subscription s
    set sub_active = now(),
        sub_last_tick = null,
        sub_next_tick = null,
        sub_batch = null
    from pgq_coop.member(i_queue_name, i_consumer_name, i_subconsumer_name) m
    where s.sub_queue = m.queue_id
        and s.sub_consumer = m.consumer_id
        and s.sub_batch = i_batch_id;
    if not found then
        return 0;
    end if;
    perform pgq_coop.claim(i_batch_id, null);
    return 1;
end;
$$;

comment on function pgq_coop.finish_batch_of(text, text, text, bigint) is
    'Ends the batch of a worker: 1 = done, 0 = it is not this worker''s batch any more';


-- Gives the batch up unfinished, for the next worker of the group that asks, whatever its dead interval: 1, or 0 if the
-- batch is not, or not any more, this worker's. The worker itself may be the next.
create or replace function pgq_coop.hand_back(
    i_queue_name text,
    i_consumer_name text,
    i_subconsumer_name text,
    i_batch_id bigint
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pgq.subscription s
    set sub_active = 'epoch'
    from pgq_coop.member(i_queue_name, i_consumer_name, i_subconsumer_name) m
    where s.sub_queue = m.queue_id
        and s.sub_consumer = m.consumer_id
        and s.sub_batch = i_batch_id;
    if not found then
        return 0;
    end if;
    return 1;
end;
$$;

comment on function pgq_coop.hand_back(text, text, text, bigint) is
    'Gives a batch up unfinished, for the next worker of the group that asks; 1 = done, 0 = not this worker''s batch';
