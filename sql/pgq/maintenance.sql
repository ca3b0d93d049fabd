-- What a maintenance driver has to do (spec/pgq.md 7).


-- The tables that need a vacuum by hand: none where autovacuum runs.
create or replace function pgq.maint_tables_to_vacuum()
returns setof text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_catalog.current_setting('autovacuum') = 'on' then
        return;
    end if;
    return query
    select t.schema_name || '.' || t.table_name
    from (values
        (1, 'pgq', 'subscription'),
        (2, 'pgq', 'consumer'),
        (3, 'pgq', 'queue'),
        (4, 'pgq', 'tick'),
        (5, 'pgq', 'retry_queue'),
        (6, 'pgq_ext', 'completed_tick'),
        (7, 'pgq_ext', 'completed_batch'),
        (8, 'pgq_ext', 'completed_event'),
        (9, 'pgq_ext', 'partial_batch'),
        (10, 'pgq_node', 'local_state'),
        (11, 'londiste', 'seq_info'),
        (12, 'txid', 'epoch'),
        (13, 'londiste', 'completed'),
        (14, 'pgq', 'delayed_event'),
        (15, 'pgq', 'event_key'),
        (16, 'pgq', 'dead_letter')
    ) as t (nr, schema_name, table_name)
    where exists (
        select 1
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = t.schema_name
            and c.relname = t.table_name
    )
    order by t.nr;
end;
$$;

comment on function pgq.maint_tables_to_vacuum() is
    'Names of the tables to vacuum by hand';


-- What is to be done now, to be run in this order, each in its own transaction: a function and its one argument, if
-- any, or a kind of vacuum and its table.
create or replace function pgq.maint_operations(out func_name text, out func_arg text)
returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    has_step1 boolean := false;
begin
    func_name := 'pgq.maint_rotate_tables_step1';
    for func_arg in
        select queue_name
        from pgq.queue
        where queue_switch_step2 is not null
            and queue_switch_time + queue_rotation_period < current_timestamp
        order by queue_name
    loop
        has_step1 := true;
        return next;
    end loop;

    perform 1
    from pgq.queue
    where queue_switch_step2 is null
    limit 1;
    if found or has_step1 then
        func_name := 'pgq.maint_rotate_tables_step2';
        func_arg := null;
        return next;
    end if;

    if pgq.event_keys_are_due() then
        func_name := 'pgq.maint_purge_event_keys';
        func_arg := null;
        return next;
    end if;

    if pgq.insert_tree_is_due() then
        func_name := 'pgq.maint_insert_tree';
        func_arg := null;
        return next;
    end if;

    if pgq.captures_are_stale() then
        func_name := 'pgq.maint_refresh_captures';
        func_arg := null;
        return next;
    end if;

    for q in
        select queue_name, queue_extra_maint
        from pgq.queue
        where queue_extra_maint is not null
        order by queue_name
    loop
        func_arg := q.queue_name;
        for i in pg_catalog.array_lower(q.queue_extra_maint, 1) .. pg_catalog.array_upper(q.queue_extra_maint, 1) loop
            func_name := q.queue_extra_maint[i];
            return next;
        end loop;
    end loop;

    func_name := 'vacuum';
    for func_arg in
        select t
        from pgq.maint_tables_to_vacuum() t
    loop
        return next;
    end loop;

    perform 1
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'pgq_node'
        and p.proname = 'maint_watermark'
    limit 1;
    if found then
        func_name := 'pgq_node.maint_watermark';
        for func_arg in
            select n.queue_name
            from pgq_node.node_info n
            where n.node_type = 'root'
            order by n.queue_name
        loop
            return next;
        end loop;
    end if;

    perform 1
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'londiste'
        and p.proname = 'root_check_seqs'
    limit 1;
    if found then
        func_name := 'londiste.root_check_seqs';
        for func_arg in
            select distinct s.queue_name
            from londiste.seq_info s
            join pgq_node.node_info n on n.queue_name = s.queue_name
            where s.local
                and n.node_type = 'root'
            order by s.queue_name
        loop
            return next;
        end loop;
    end if;

    perform 1
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'londiste'
        and p.proname = 'periodic_maintenance'
    limit 1;
    if found then
        func_name := 'londiste.periodic_maintenance';
        func_arg := null;
        return next;
    end if;
end;
$$;

comment on function pgq.maint_operations() is
    'What maintenance is due: functions and tables, in order';
