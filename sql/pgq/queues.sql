-- Creating, dropping and configuring queues (spec/pgq.md 2.4, 4.1, 4.8).


-- 1 = created, 0 = there is one of this name. NULL is refused. The first tick is made at once.
create or replace function pgq.create_queue(i_queue_name text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    id integer;
    ntables integer;
    prefix text;
    event_seq text;
    tick_seq text;
    data_table text;
begin
    if i_queue_name is null then
        raise exception 'Invalid NULL value';
    end if;

    perform 1
    from pgq.queue q
    where q.queue_name = i_queue_name;
    if found then
        return 0;
    end if;

    id := nextval('pgq.queue_queue_id_seq');
    prefix := 'pgq.event_' || id;
    event_seq := prefix || '_id_seq';
    tick_seq := prefix || '_tick_seq';

    insert into pgq.queue (queue_id, queue_name, queue_data_pfx, queue_event_seq, queue_tick_seq)
    values (id, i_queue_name, prefix, event_seq, tick_seq)
    returning queue_ntables
    into ntables;

    execute 'create sequence ' || event_seq;
    execute 'create sequence ' || tick_seq;
    execute 'create table ' || prefix || ' () inherits (pgq.event_template)';
    for n in 0 .. ntables - 1 loop
        data_table := prefix || '_' || n;
        execute 'create table ' || data_table || ' () inherits (' || prefix || ')';
        execute 'alter table ' || data_table
            || ' alter column ev_id set default nextval(' || quote_literal(event_seq) || ')';
        execute 'create index event_' || id || '_' || n || '_txid_idx on ' || data_table || ' using btree (ev_txid)';
    end loop;

    perform pgq.grant_perms(i_queue_name);
    perform pgq.ticker(i_queue_name);
    perform pgq.tune_storage(i_queue_name);
    perform pgq.add_to_insert_tree(id);
    return 1;
end;
$$;

comment on function pgq.create_queue(text) is
    'Creates a queue with its tables; 1 = created, 0 = existed';


-- Returns 1. Without force, subscriptions are a reason to refuse; with it they are removed.
create or replace function pgq.drop_queue(x_queue_name text, x_force boolean)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    consumer_name text;
begin
    select queue_id, queue_ntables, queue_data_pfx, queue_event_seq, queue_tick_seq
    from pgq.queue
    where queue_name = x_queue_name
    for update
    into q;
    if not found then
        raise exception 'No such event queue';
    end if;

    if x_force then
        for consumer_name in
            select c.co_name
            from pgq.subscription s
            join pgq.consumer c on c.co_id = s.sub_consumer
            where s.sub_queue = q.queue_id
            order by s.sub_id, s.sub_consumer
        loop
            perform pgq.unregister_consumer(x_queue_name, consumer_name);
        end loop;
    else
        perform 1
        from pgq.subscription s
        where s.sub_queue = q.queue_id
        limit 1;
        if found then
            raise exception 'cannot drop queue, consumers still attached';
        end if;
    end if;

    for n in 0 .. q.queue_ntables - 1 loop
        execute 'drop table ' || pgq.quote_fqname(q.queue_data_pfx || '_' || n);
    end loop;
    execute 'drop table ' || pgq.quote_fqname(q.queue_data_pfx);

    delete from pgq.tick
    where tick_queue = q.queue_id;

    execute 'drop sequence ' || pgq.quote_fqname(q.queue_tick_seq);
    execute 'drop sequence ' || pgq.quote_fqname(q.queue_event_seq);

    -- Delayed events, dead letters and options go with the queue's row. The keys only now: who was inserting has ended.
    delete from pgq.event_key
    where ek_queue = q.queue_id;

    delete from pgq.queue
    where queue_id = q.queue_id;
    return 1;
end;
$$;

comment on function pgq.drop_queue(text, boolean) is
    'Drops a queue with its tables, with force also its subscriptions; returns 1';


-- The same without force; NULL for NULL.
create or replace function pgq.drop_queue(x_queue_name text)
returns integer
language plpgsql
strict
as $$
begin
    return pgq.drop_queue(x_queue_name, false);
end;
$$;

comment on function pgq.drop_queue(text) is
    'Drops a queue that has no consumers; returns 1';


-- Sets a parameter, named without the prefix queue_, from its text form; returns 1. There are six, and key_period, which
-- is kept elsewhere: the columns of pgq.queue are those that clients know.
create or replace function pgq.set_queue_config(x_queue_name text, x_param_name text, x_param_value text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if x_queue_name is null or x_param_name is null then
        raise exception 'Invalid NULL value';
    end if;

    perform 1
    from pgq.queue q
    where q.queue_name = x_queue_name;
    if not found then
        raise exception 'No such event queue';
    end if;

    if x_param_name = 'key_period' then
        insert into pgq.queue_option (queue_id, key_period)
        select q.queue_id, x_param_value::interval
        from pgq.queue q
        where q.queue_name = x_queue_name
        on conflict (queue_id) do update
        set key_period = excluded.key_period;
        return 1;
    end if;

    if x_param_name not in (
        'ticker_max_count',
        'ticker_max_lag',
        'ticker_idle_period',
        'ticker_paused',
        'rotation_period',
        'external_ticker'
    ) then
        -- The letter s after the name is part of the text that clients know.
        raise exception 'cannot change parameter "%s"', x_param_name;
    end if;

    execute 'update pgq.queue set ' || quote_ident('queue_' || x_param_name) || ' = ' || quote_literal(x_param_value)
        || ' where queue_name = ' || quote_literal(x_queue_name);
    return 1;
end;
$$;

comment on function pgq.set_queue_config(text, text, text) is
    'Sets a parameter of a queue from its text form; returns 1';


-- Gives a queue's tables the privileges of pgq.event_template and opens its sequences; returns 1.
create or replace function pgq.grant_perms(x_queue_name text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    dot integer;
    table_schema text;
    table_name text;
begin
    select queue_ntables, queue_data_pfx, queue_event_seq, queue_tick_seq
    from pgq.queue
    where queue_name = x_queue_name
    into q;
    if not found then
        raise exception 'Queue not found';
    end if;

    execute 'grant select on sequence ' || pgq.quote_fqname(q.queue_event_seq) || ' to public';
    execute 'grant usage on sequence ' || pgq.quote_fqname(q.queue_event_seq) || ' to pgq_admin';
    execute 'grant select on sequence ' || pgq.quote_fqname(q.queue_tick_seq) || ' to public';

    dot := strpos(q.queue_data_pfx, '.');
    table_schema := substr(q.queue_data_pfx, 1, dot - 1);
    table_name := substr(q.queue_data_pfx, dot + 1);
    perform pgq._grant_perms_from('pgq', 'event_template', table_schema, table_name);
    for n in 0 .. q.queue_ntables - 1 loop
        perform pgq._grant_perms_from('pgq', 'event_template', table_schema, table_name || '_' || n);
    end loop;
    return 1;
end;
$$;

comment on function pgq.grant_perms(text) is
    'Applies the privileges of event tables and sequences to a queue; returns 1';


-- Copies the privileges granted on one table to another; returns 1, also if the source does not exist.
-- The owner's own privileges are left out: a new table's owner has them by being its owner.
create or replace function pgq._grant_perms_from(src_schema text, src_table text, dst_schema text, dst_table text)
returns integer
language plpgsql
strict
as $$
declare
    p record;
begin
    for p in
        select
            a.privilege_type,
            case when a.grantee = 0 then 'public' else pg_catalog.quote_ident(r.rolname) end as grantee,
            case when a.is_grantable then ' with grant option' else '' end as grant_option
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        cross join lateral pg_catalog.aclexplode(c.relacl) a
        left join pg_catalog.pg_roles r on r.oid = a.grantee
        where n.nspname = src_schema
            and c.relname = src_table
            and a.grantee <> c.relowner
            and (a.grantee = 0 or r.oid is not null)
    loop
        execute 'grant ' || p.privilege_type
            || ' on ' || pg_catalog.quote_ident(dst_schema) || '.' || pg_catalog.quote_ident(dst_table)
            || ' to ' || p.grantee || p.grant_option;
    end loop;
    return 1;
end;
$$;

comment on function pgq._grant_perms_from(text, text, text, text) is
    'Copies the privileges granted on a table to another one; returns 1';


-- Event tables are only appended to and truncated: full pages, no autovacuum. 1 = done, 0 = no such queue.
create or replace function pgq.tune_storage(i_queue_name text)
returns integer
language plpgsql
strict
as $$
declare
    q record;
begin
    select queue_ntables, queue_data_pfx
    from pgq.queue
    where queue_name = i_queue_name
    into q;
    if not found then
        return 0;
    end if;

    for n in 0 .. q.queue_ntables - 1 loop
        execute 'alter table ' || pgq.quote_fqname(q.queue_data_pfx || '_' || n)
            || ' set (fillfactor = 100, autovacuum_enabled = off, toast.autovacuum_enabled = off)';
    end loop;
    return 1;
end;
$$;

comment on function pgq.tune_storage(text) is
    'Sets the storage options of a queue''s data tables; 1 = done, 0 = no such queue';
