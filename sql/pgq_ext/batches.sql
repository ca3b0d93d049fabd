-- Marks on whole batches (spec/pgq-ext.md 3).


-- Whether the batch is the one that was recorded last. Older ones count as not done.
create or replace function pgq_ext.is_batch_done(a_consumer text, a_subconsumer text, a_batch_id bigint)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    is_last boolean;
begin
    select last_batch_id = a_batch_id
    from pgq_ext.completed_batch
    where consumer_id = a_consumer
        and subconsumer_id = a_subconsumer
    into is_last;
    if not found then
        return false;
    end if;
    return is_last;
end;
$$;

comment on function pgq_ext.is_batch_done(text, text, bigint) is
    'Whether a batch is the last one that was recorded as done';


create or replace function pgq_ext.is_batch_done(a_consumer text, a_batch_id bigint)
returns boolean
language plpgsql
as $$
begin
    return pgq_ext.is_batch_done(a_consumer, '', a_batch_id);
end;
$$;

comment on function pgq_ext.is_batch_done(text, bigint) is
    'Whether a batch is the last one that was recorded as done';


-- Records a batch as done: true, or false if it is the last recorded one already. Of two sessions that record the same
-- batch, the second waits for the first, and gets false if that commits. What is no batch id is not recorded: true.
create or replace function pgq_ext.set_batch_done(a_consumer text, a_subconsumer text, a_batch_id bigint)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if a_batch_id is null or a_batch_id <= 0 then
        return true;
    end if;
    insert into pgq_ext.completed_batch as done (consumer_id, subconsumer_id, last_batch_id)
    values (a_consumer, a_subconsumer, a_batch_id)
    on conflict (consumer_id, subconsumer_id) do update
    set last_batch_id = excluded.last_batch_id
    where done.last_batch_id <> excluded.last_batch_id;
    return found;
end;
$$;

comment on function pgq_ext.set_batch_done(text, text, bigint) is
    'Records a batch as done; false if it is the last recorded one already';


create or replace function pgq_ext.set_batch_done(a_consumer text, a_batch_id bigint)
returns boolean
language plpgsql
as $$
begin
    return pgq_ext.set_batch_done(a_consumer, '', a_batch_id);
end;
$$;

comment on function pgq_ext.set_batch_done(text, bigint) is
    'Records a batch as done; false if it is the last recorded one already';
