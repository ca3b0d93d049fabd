-- Marks on the events of the batch in progress (spec/pgq-ext.md 3).


create or replace function pgq_ext.is_event_done(
    a_consumer text,
    a_subconsumer text,
    a_batch_id bigint,
    a_event_id bigint
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform 1
    from pgq_ext.completed_event
    where consumer_id = a_consumer
        and subconsumer_id = a_subconsumer
        and batch_id = a_batch_id
        and event_id = a_event_id;
    return found;
end;
$$;

comment on function pgq_ext.is_event_done(text, text, bigint, bigint) is
    'Whether an event of a batch is recorded as done';


create or replace function pgq_ext.is_event_done(a_consumer text, a_batch_id bigint, a_event_id bigint)
returns boolean
language plpgsql
as $$
begin
    return pgq_ext.is_event_done(a_consumer, '', a_batch_id, a_event_id);
end;
$$;

comment on function pgq_ext.is_event_done(text, bigint, bigint) is
    'Whether an event of a batch is recorded as done';


-- Records an event as done: true, or false if it was recorded before. The first event of another batch ends the marks of
-- the batch before it. Of two sessions that record the same event the second waits, and gets false if the first commits.
create or replace function pgq_ext.set_event_done(
    a_consumer text,
    a_subconsumer text,
    a_batch_id bigint,
    a_event_id bigint
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    batch_before bigint;
begin
    if pgq_ext.is_event_done(a_consumer, a_subconsumer, a_batch_id, a_event_id) then
        return false;
    end if;

    select cur_batch_id
    from pgq_ext.partial_batch
    where consumer_id = a_consumer
        and subconsumer_id = a_subconsumer
    into batch_before;
    if not found then
        insert into pgq_ext.partial_batch (consumer_id, subconsumer_id, cur_batch_id)
        values (a_consumer, a_subconsumer, a_batch_id)
        on conflict (consumer_id, subconsumer_id) do nothing;
    elsif batch_before <> a_batch_id then
        delete from pgq_ext.completed_event
        where consumer_id = a_consumer
            and subconsumer_id = a_subconsumer
            and batch_id = batch_before;
        update pgq_ext.partial_batch
        set cur_batch_id = a_batch_id
        where consumer_id = a_consumer
            and subconsumer_id = a_subconsumer;
    end if;

    insert into pgq_ext.completed_event (consumer_id, subconsumer_id, batch_id, event_id)
    values (a_consumer, a_subconsumer, a_batch_id, a_event_id)
    on conflict (consumer_id, subconsumer_id, batch_id, event_id) do nothing;
    return found;
end;
$$;

comment on function pgq_ext.set_event_done(text, text, bigint, bigint) is
    'Records an event of a batch as done; false if it was recorded before';


create or replace function pgq_ext.set_event_done(a_consumer text, a_batch_id bigint, a_event_id bigint)
returns boolean
language plpgsql
as $$
begin
    return pgq_ext.set_event_done(a_consumer, '', a_batch_id, a_event_id);
end;
$$;

comment on function pgq_ext.set_event_done(text, bigint, bigint) is
    'Records an event of a batch as done; false if it was recorded before';
