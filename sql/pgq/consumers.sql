-- Subscribing consumers to queues (spec/pgq.md 4.3).


-- Subscribes at a tick, or at the newest one if it is NULL. 1 = new, 0 = was subscribed, and moved if a tick is given.
create or replace function pgq.register_consumer_at(x_queue_name text, x_consumer_name text, x_tick_pos bigint)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    the_queue integer;
    the_consumer integer;
    position_tick bigint;
begin
    -- Keeps a rotation from emptying a table and deleting the tick between our look and our commit. Taken first: one that
    -- has begun is waited for here, where it cannot be waiting for us. The tick is locked too, against a deletion that
    -- our snapshot does not see.
    select queue_id
    from pgq.queue
    where queue_name = x_queue_name
    for key share
    into the_queue;
    if not found then
        raise exception 'Event queue not created yet';
    end if;

    select co_id
    from pgq.consumer
    where co_name = x_consumer_name
    for update
    into the_consumer;
    if not found then
        insert into pgq.consumer (co_name)
        values (x_consumer_name)
        returning co_id
        into the_consumer;
    end if;

    if x_tick_pos is not null then
        select tick_id
        from pgq.tick
        where tick_queue = the_queue
            and tick_id = x_tick_pos
        for key share
        into position_tick;
        if not found then
            raise exception 'cannot reposition, tick not found: %', x_tick_pos;
        end if;
    end if;

    perform 1
    from pgq.subscription
    where sub_queue = the_queue
        and sub_consumer = the_consumer;
    if found then
        if x_tick_pos is not null then
            update pgq.subscription
            set sub_last_tick = position_tick,
                sub_batch = null,
                sub_next_tick = null,
                sub_active = now()
            where sub_queue = the_queue
                and sub_consumer = the_consumer;
        end if;
        return 0;
    end if;

    if x_tick_pos is null then
        select tick_id
        from pgq.tick
        where tick_queue = the_queue
        order by tick_id desc
        limit 1
        for key share
        into position_tick;
        if not found then
            raise exception 'No ticks for this queue.  Please run ticker on database.';
        end if;
    end if;

    insert into pgq.subscription (sub_queue, sub_consumer, sub_last_tick)
    values (the_queue, the_consumer, position_tick);
    return 1;
end;
$$;

comment on function pgq.register_consumer_at(text, text, bigint) is
    'Subscribes a consumer at a tick, or moves it there; 1 = new, 0 = was subscribed';


-- Subscribes at the newest tick; a consumer that is subscribed stays as it is.
create or replace function pgq.register_consumer(x_queue_name text, x_consumer_id text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return pgq.register_consumer_at(x_queue_name, x_consumer_id, null);
end;
$$;

comment on function pgq.register_consumer(text, text) is
    'Subscribes a consumer at the newest tick; 1 = new, 0 = was subscribed';


-- Ends a subscription with its retry events; returns how many subscriptions went, 0 = was not subscribed.
-- The workers of a cooperative consumer go with it; a worker goes alone.
create or replace function pgq.unregister_consumer(x_queue_name text, x_consumer_name text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    members integer;
begin
    select
        sub.sub_id,
        sub.sub_queue,
        sub.sub_consumer,
        (sub.sub_last_tick is null) = (sub.sub_next_tick is null) as looks_like_worker
    from pgq.subscription sub
    join pgq.queue q on q.queue_id = sub.sub_queue
    join pgq.consumer c on c.co_id = sub.sub_consumer
    where q.queue_name = x_queue_name
        and c.co_name = x_consumer_name
    for update of sub, c
    into s;
    if not found then
        return 0;
    end if;

    select count(*)
    from pgq.subscription
    where sub_id = s.sub_id
    into members;

    if members > 1 and s.looks_like_worker then
        delete from pgq.subscription
        where sub_queue = s.sub_queue
            and sub_consumer = s.sub_consumer;
        return 1;
    end if;

    delete from pgq.retry_queue
    where ev_owner = s.sub_id;

    delete from pgq.subscription
    where sub_id = s.sub_id;

    delete from pgq.consumer
    where co_id = s.sub_consumer
        and not exists (
            select 1
            from pgq.subscription
            where sub_consumer = s.sub_consumer
        );
    return members;
end;
$$;

comment on function pgq.unregister_consumer(text, text) is
    'Ends a subscription; returns the number of subscriptions removed';
