-- Marks on ticks (spec/pgq-ext.md 3), and what a tick looked like when it was applied.


-- NULL if nothing is recorded.
create or replace function pgq_ext.get_last_tick(a_consumer text, a_subconsumer text)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select last_tick_id
        from pgq_ext.completed_tick
        where consumer_id = a_consumer
            and subconsumer_id = a_subconsumer
    );
end;
$$;

comment on function pgq_ext.get_last_tick(text, text) is
    'The last applied tick; NULL if none is recorded';


create or replace function pgq_ext.get_last_tick(a_consumer text)
returns bigint
language plpgsql
as $$
begin
    return pgq_ext.get_last_tick(a_consumer, '');
end;
$$;

comment on function pgq_ext.get_last_tick(text) is
    'The last applied tick; NULL if none is recorded';


-- Records a tick as applied, or forgets all that is recorded if it is NULL. Always 1. Nothing is known then of what the
-- tick looked like, also if it is the one that was recorded before.
create or replace function pgq_ext.set_last_tick(a_consumer text, a_subconsumer text, a_tick_id bigint)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return pgq_ext.set_last_tick_digest(a_consumer, a_subconsumer, a_tick_id, null);
end;
$$;

comment on function pgq_ext.set_last_tick(text, text, bigint) is
    'Records a tick as applied, or forgets the last one if it is NULL; returns 1';


create or replace function pgq_ext.set_last_tick(a_consumer text, a_tick_id bigint)
returns integer
language plpgsql
as $$
begin
    return pgq_ext.set_last_tick(a_consumer, '', a_tick_id);
end;
$$;

comment on function pgq_ext.set_last_tick(text, bigint) is
    'Records a tick as applied, or forgets the last one if it is NULL; returns 1';


-- Records a tick as applied, and what it looked like, or forgets everything if the tick is NULL. Always 1.
-- The digests of about a thousand ticks before it stay.
create or replace function pgq_ext.set_last_tick_digest(
    a_consumer text,
    a_subconsumer text,
    a_tick_id bigint,
    a_digest text
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    kept constant integer := 1000;
begin
    if a_tick_id is null then
        delete from pgq_ext.completed_tick
        where consumer_id = a_consumer
            and subconsumer_id = a_subconsumer;
    else
        insert into pgq_ext.completed_tick (consumer_id, subconsumer_id, last_tick_id)
        values (a_consumer, a_subconsumer, a_tick_id)
        on conflict (consumer_id, subconsumer_id) do update
        set last_tick_id = excluded.last_tick_id;
    end if;

    -- What is recorded of later ticks was undone, or is made again.
    delete from pgq_ext.completed_tick_digest
    where consumer_id = a_consumer
        and subconsumer_id = a_subconsumer
        and (a_tick_id is null or tick_id >= a_tick_id);
    if a_tick_id is null or a_digest is null then
        return 1;
    end if;

    insert into pgq_ext.completed_tick_digest (consumer_id, subconsumer_id, tick_id, digest)
    values (a_consumer, a_subconsumer, a_tick_id, a_digest);
    if a_tick_id % 100 = 0 then
        delete from pgq_ext.completed_tick_digest
        where consumer_id = a_consumer
            and subconsumer_id = a_subconsumer
            and tick_id <= (
                select tick_id
                from pgq_ext.completed_tick_digest
                where consumer_id = a_consumer
                    and subconsumer_id = a_subconsumer
                order by tick_id desc
                offset kept
                limit 1
            );
    end if;
    return 1;
end;
$$;

comment on function pgq_ext.set_last_tick_digest(text, text, bigint, text) is
    'Records a tick as applied with its digest, or forgets the last one if it is NULL; returns 1';


-- The last applied tick, and its digest if that is known. One row; all NULL if nothing is recorded.
create or replace function pgq_ext.get_last_tick_digest(
    a_consumer text,
    a_subconsumer text,
    out tick_id bigint,
    out digest text
)
returns record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    select t.last_tick_id, d.digest
    from pgq_ext.completed_tick t
    left join pgq_ext.completed_tick_digest d
        on d.consumer_id = t.consumer_id and d.subconsumer_id = t.subconsumer_id and d.tick_id = t.last_tick_id
    where t.consumer_id = a_consumer
        and t.subconsumer_id = a_subconsumer
    into tick_id, digest;
end;
$$;

comment on function pgq_ext.get_last_tick_digest(text, text) is
    'The last applied tick and its digest; all NULL if none is recorded';


-- The ticks of which it is known what they looked like when they were applied, the latest first.
create or replace function pgq_ext.get_tick_digests(
    a_consumer text,
    a_subconsumer text,
    out tick_id bigint,
    out digest text
)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select d.tick_id, d.digest
    from pgq_ext.completed_tick_digest d
    where d.consumer_id = a_consumer
        and d.subconsumer_id = a_subconsumer
    order by d.tick_id desc;
end;
$$;

comment on function pgq_ext.get_tick_digests(text, text) is
    'The latest applied ticks with their digests, latest first';
