-- Workers join and leave a group (spec/pgq-coop.md 1, 2). In the functions' names a worker is a subconsumer. The group is
-- a consumer; the worker is subscribed under the names of both, joined with a dot, and with the same sub_id.


-- The ids of a worker's subscription; no row if there is none of that name in the group. A consumer of its own with that
-- name is not in the group: its sub_id is another.
create or replace function pgq_coop.member(
    i_queue_name text,
    i_consumer_name text,
    i_subconsumer_name text,
    out queue_id integer,
    out consumer_id integer
)
returns setof record
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select member.sub_queue, member.sub_consumer
    from pgq.queue q
    join pgq.subscription main on main.sub_queue = q.queue_id
    join pgq.consumer main_name on main_name.co_id = main.sub_consumer
    join pgq.subscription member on member.sub_queue = main.sub_queue and member.sub_id = main.sub_id
    join pgq.consumer member_name on member_name.co_id = member.sub_consumer
    where q.queue_name = i_queue_name
        and main_name.co_name = i_consumer_name
        and member_name.co_name = i_consumer_name || '.' || i_subconsumer_name;
$$;

comment on function pgq_coop.member(text, text, text) is
    'The ids of queue and consumer under which a worker is subscribed';


-- Subscribes a consumer, also if another session is giving the same name to a consumer at this moment: 1 = new, 0 = was
-- subscribed.
create or replace function pgq_coop.register_name(i_queue_name text, i_name text)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    return pgq.register_consumer(i_queue_name, i_name);
exception when unique_violation then
    return pgq.register_consumer(i_queue_name, i_name);
end;
$$;

comment on function pgq_coop.register_name(text, text) is
    'Subscribes a consumer whose name may be new to others at the same moment';


-- Subscribes a worker to a group, and the group to the queue if it is new: 1 = new, 0 = was there.
-- A consumer of its own that already has the worker's full name stays what it is: 0.
create or replace function pgq_coop.register_subconsumer(
    i_queue_name text,
    i_consumer_name text,
    i_subconsumer_name text
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    main record;
    is_new integer;
begin
    -- Always the group's row before the names: workers that register while others ask for batches do not meet head-on.
    loop
        select s.sub_queue, s.sub_id
        from pgq.queue q
        join pgq.subscription s on s.sub_queue = q.queue_id
        join pgq.consumer c on c.co_id = s.sub_consumer
        where q.queue_name = i_queue_name
            and c.co_name = i_consumer_name
        for update of s
        into main;
        exit when found;
        perform pgq_coop.register_name(i_queue_name, i_consumer_name);
    end loop;

    is_new := pgq_coop.register_name(i_queue_name, i_consumer_name || '.' || i_subconsumer_name);
    if is_new = 1 then
        update pgq.subscription s
        set sub_id = main.sub_id,
            sub_last_tick = null,
            sub_next_tick = null
        from pgq.consumer c
        where c.co_name = i_consumer_name || '.' || i_subconsumer_name
            and s.sub_queue = main.sub_queue
            and s.sub_consumer = c.co_id;
    end if;
    return is_new;
end;
$$;

comment on function pgq_coop.register_subconsumer(text, text, text) is
    'Subscribes a worker to a group, and the group to the queue; 1 = new, 0 = was there';


-- Takes a worker out of its group: 1, or 0 if it is not in it. With an open batch this is refused, except with handling 1:
-- the events of the batch are then lost for the group.
create or replace function pgq_coop.unregister_subconsumer(
    i_queue_name text,
    i_consumer_name text,
    i_subconsumer_name text,
    i_batch_handling integer
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    member record;
begin
    select s.sub_queue, s.sub_consumer, s.sub_batch
    from pgq_coop.member(i_queue_name, i_consumer_name, i_subconsumer_name) m
    join pgq.subscription s on s.sub_queue = m.queue_id and s.sub_consumer = m.consumer_id
    for update of s
    into member;
    if not found then
        return 0;
    end if;

    if member.sub_batch is not null and i_batch_handling is distinct from 1 then
        raise exception 'subconsumer has active batch';
    end if;

    delete from pgq.subscription
    where sub_queue = member.sub_queue
        and sub_consumer = member.sub_consumer;
    perform pgq_coop.claim(member.sub_batch, null);
    return 1;
end;
$$;

comment on function pgq_coop.unregister_subconsumer(text, text, text, integer) is
    'Takes a worker out of its group; with an open batch only if batch handling is 1, and the batch is then lost';


-- Tells the group that a worker is alive while it is busy with a long batch, so that nobody takes the batch over: 1, or
-- 0 if the worker is not in the group any more, which means that it has lost its batch.
-- Others see it after the commit, so it is called on another connection than the one that works.
create or replace function pgq_coop.touch(i_queue_name text, i_consumer_name text, i_subconsumer_name text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pgq.subscription s
    set sub_active = clock_timestamp()
    from pgq_coop.member(i_queue_name, i_consumer_name, i_subconsumer_name) m
    where s.sub_queue = m.queue_id
        and s.sub_consumer = m.consumer_id;
    if not found then
        return 0;
    end if;
    return 1;
end;
$$;

comment on function pgq_coop.touch(text, text, text) is
    'Keeps a busy worker from being taken for dead; 1 = done, 0 = not in the group any more';
