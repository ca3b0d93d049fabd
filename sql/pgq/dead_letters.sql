-- Dead letters: events that a consumer has given up, kept with the reason until a person decides. Not in the original.

-- The consumer is kept by name too: a letter outlives the subscription. dl_owner is the subscription's sub_id.
create table if not exists pgq.dead_letter (
    dl_id            bigserial,
    dl_queue         integer not null,
    dl_consumer      integer not null,
    dl_consumer_name text not null,
    dl_owner         integer not null,
    dl_time          timestamptz not null default pg_catalog.now(),
    dl_reason        text,
    dl_batch_id      bigint not null,
    ev_id            bigint not null,
    ev_time          timestamptz not null,
    ev_txid          bigint,
    ev_retry         integer,
    ev_type          text,
    ev_data          text,
    ev_extra1        text,
    ev_extra2        text,
    ev_extra3        text,
    ev_extra4        text,
    constraint dead_letter_pkey primary key (dl_id),
    constraint dead_letter_queue_fkey foreign key (dl_queue) references pgq.queue (queue_id) on delete cascade
);

create unique index if not exists dead_letter_event_idx
    on pgq.dead_letter using btree (dl_owner, ev_id, (coalesce(ev_retry, 0)));
create index if not exists dead_letter_consumer_idx
    on pgq.dead_letter using btree (dl_queue, dl_consumer_name, dl_time);

comment on table pgq.dead_letter is 'Events that consumers have given up';


-- Puts an event of an open batch among the dead letters of its consumer, that of the group for a cooperative one:
-- 1 = done, 0 = it is there already. Within the caller's transaction; the batch goes on as if it had been processed.
-- A batch may hold an event and its own retried copy under one id: the later one, with the higher count, goes.
create or replace function pgq.event_dead(batch_id bigint, event_id bigint, reason text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    s record;
    e record;
begin
    -- The members of a group share sub_id with its main consumer, whose name all theirs begin with.
    select main.sub_id, main.sub_queue, main.sub_consumer, c.co_name
    from pgq.subscription open
    join pgq.subscription main on main.sub_queue = open.sub_queue and main.sub_id = open.sub_id
    join pgq.consumer c on c.co_id = main.sub_consumer
    where open.sub_batch = batch_id
    order by length(c.co_name)
    limit 1
    into s;
    if not found then
        raise exception 'event not found';
    end if;

    select *
    from pgq.get_batch_events(batch_id)
    where ev_id = event_id
    order by ev_retry desc nulls last
    limit 1
    into e;
    if not found then
        raise exception 'event not found';
    end if;

    insert into pgq.dead_letter (dl_queue, dl_consumer, dl_consumer_name, dl_owner, dl_reason, dl_batch_id,
        ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (s.sub_queue, s.sub_consumer, s.co_name, s.sub_id, reason, batch_id,
        e.ev_id, e.ev_time, e.ev_txid, e.ev_retry, e.ev_type, e.ev_data, e.ev_extra1, e.ev_extra2, e.ev_extra3,
        e.ev_extra4)
    on conflict (dl_owner, ev_id, (coalesce(ev_retry, 0))) do nothing;
    return case when found then 1 else 0 end;
end;
$$;

comment on function pgq.event_dead(bigint, bigint, text) is
    'Puts an event of an open batch among the dead letters; 1 = done, 0 = was there';


-- Dead letters, oldest first, those after a given one. NULL: of all queues, of all consumers, without a limit.
create or replace function pgq.get_dead_letters(
    i_queue_name text,
    i_consumer_name text,
    i_limit integer default 100,
    i_after bigint default 0,
    out dl_id bigint,
    out queue_name text,
    out consumer_name text,
    out dl_time timestamptz,
    out dl_reason text,
    out dl_batch_id bigint,
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
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select
        l.dl_id, q.queue_name, l.dl_consumer_name, l.dl_time, l.dl_reason, l.dl_batch_id,
        l.ev_id, l.ev_time, l.ev_txid, l.ev_retry, l.ev_type, l.ev_data,
        l.ev_extra1, l.ev_extra2, l.ev_extra3, l.ev_extra4
    from pgq.dead_letter l
    join pgq.queue q on q.queue_id = l.dl_queue
    where (i_queue_name is null or q.queue_name = i_queue_name)
        and (i_consumer_name is null or l.dl_consumer_name = i_consumer_name)
        and l.dl_id > coalesce(i_after, 0)
    order by l.dl_id
    limit i_limit;
end;
$$;

comment on function pgq.get_dead_letters(text, text, integer, bigint) is
    'The dead letters of a queue and a consumer, oldest first';


-- Hands a dead letter to its consumer again, through the retry queue, due at once: 1 = done, 0 = there is no such letter.
-- A consumer of the same name gets it, also if it was registered anew since. Refused, with the letter kept, if there is
-- none, or if the event waits in the retry queue already.
create or replace function pgq.replay_dead_letter(i_dl_id bigint)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    l record;
    owner integer;
begin
    delete from pgq.dead_letter d
    where d.dl_id = i_dl_id
    returning d.*
    into l;
    if not found then
        return 0;
    end if;

    -- Locked, so that who unregisters it now finds the event and takes it along.
    select s.sub_id
    from pgq.subscription s
    join pgq.consumer c on c.co_id = s.sub_consumer
    where s.sub_queue = l.dl_queue
        and c.co_name = l.dl_consumer_name
    for key share of s
    into owner;
    if not found then
        raise exception 'consumer not registered';
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
        ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (current_timestamp, l.dl_queue, l.ev_id, l.ev_time, owner, coalesce(l.ev_retry, 0) + 1,
        l.ev_type, l.ev_data, l.ev_extra1, l.ev_extra2, l.ev_extra3, l.ev_extra4)
    on conflict (ev_owner, ev_id) do nothing;
    if not found then
        raise exception 'event % waits in the retry queue already', l.ev_id using errcode = 'unique_violation';
    end if;
    return 1;
end;
$$;

comment on function pgq.replay_dead_letter(bigint) is
    'Hands a dead letter to its consumer again; 1 = done, 0 = no such letter';


-- Removes the dead letters that are older; returns how many. NULL: of all queues, of all consumers.
create or replace function pgq.purge_dead_letters(
    i_queue_name text,
    i_consumer_name text,
    i_older_than interval default '0'
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    res bigint;
begin
    delete from pgq.dead_letter l
    using pgq.queue q
    where q.queue_id = l.dl_queue
        and (i_queue_name is null or q.queue_name = i_queue_name)
        and (i_consumer_name is null or l.dl_consumer_name = i_consumer_name)
        and l.dl_time <= now() - coalesce(i_older_than, '0');
    get diagnostics res = row_count;
    return res;
end;
$$;

comment on function pgq.purge_dead_letters(text, text, interval) is
    'Removes dead letters of a queue and a consumer; returns how many';


-- How many dead letters there are, by queue and consumer.
create or replace function pgq.get_dead_letter_counts(
    out queue_name text,
    out consumer_name text,
    out letters bigint,
    out oldest timestamptz,
    out newest timestamptz
)
returns setof record
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select q.queue_name, c.dl_consumer_name, c.letters, c.oldest, c.newest
    from (
        select
            l.dl_queue,
            l.dl_consumer_name,
            count(*) as letters,
            min(l.dl_time) as oldest,
            max(l.dl_time) as newest
        from pgq.dead_letter l
        group by l.dl_queue, l.dl_consumer_name
    ) c
    join pgq.queue q on q.queue_id = c.dl_queue
    order by q.queue_name, c.dl_consumer_name;
end;
$$;

comment on function pgq.get_dead_letter_counts() is
    'Numbers of dead letters by queue and consumer';
