-- The generated functions as a whole, and the way out of them when the table is not any more what they were made for.


-- A query for the fields of an event of a table as it is now: what is to be done (pgq.capture_statement), type, data and
-- the four extra fields, from the records $1 and $2. Raises what the generic trigger raises.
create or replace function pgq.capture_query(
    i_kind text,
    i_table oid,
    i_operation text,
    i_args text[],
    i_before boolean,
    i_new text default '$1',
    i_old text default '$2'
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    plan constant pgq.capture_plan := pgq.capture_make(
        i_kind, i_table, i_operation, case when i_before then 'BEFORE' else 'AFTER' end, 'ROW', i_args);
    e record;
begin
    if plan.plan_unknown_magic is not null then
        raise exception 'Unknown magic column: %', plan.plan_unknown_magic using errcode = 'XX000';
    end if;
    if plan.plan_queries is not null then
        raise exception 'a compiled capture trigger on table % was given other arguments', i_table::regclass
            using errcode = '55000', hint = 'Drop the trigger and make one that executes pgq.' || i_kind || '.';
    end if;
    e := pgq.capture_expressions(i_kind, i_table, i_operation, i_args, i_before, i_new, i_old, pgq.capture_style());
    return 'select ' || coalesce(e.checked, 'null::pg_catalog.text') || ', ' || e.types[1] || ', ' || e.data || ', '
        || array_to_string(e.types[2:], ', ');
end;
$$;

comment on function pgq.capture_query(text, oid, text, text[], boolean, text, text) is
    'Query for the fields of an event of a table as it is now';


-- Where a statement-level trigger reads its rows. Where they need their former version, both transition tables are
-- numbered and joined: they hold the same rows in the same order.
create or replace function pgq.capture_arm_source(i_table oid, i_operation text, i_paired boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    columns text;
    number text := 'nr';
begin
    if not i_paired then
        return case when i_operation = 'DELETE' then 'pgq_old' else 'pgq_new' end;
    end if;
    select coalesce(string_agg(', ' || quote_ident(a.attname), '' order by a.attnum), '')
    from pg_attribute a
    where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped
    into columns;
    while exists (select 1 from pg_attribute a where a.attrelid = i_table and a.attname = number) loop
        number := number || '_';
    end loop;
    return format(
        '(select pg_catalog.row_number() over (), r.* from pgq_new r) as pgq_new (%1$s%2$s)'
            ' join (select pg_catalog.row_number() over (), r.* from pgq_old r) as pgq_old (%1$s%2$s)'
            ' on pgq_old.%1$s operator(pg_catalog.=) pgq_new.%1$s',
        number, columns);
end;
$$;

comment on function pgq.capture_arm_source(oid, text, boolean) is
    'FROM clause of a statement-level capture trigger';


-- Whether updates of the table have to be paired with their former rows: for anything but the change of a key, which
-- the anchor of the statement form sees.
create or replace function pgq.capture_is_paired(i_kind text, i_args text[])
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select i_kind = 'sqltriga' or a.ignored is not null or a.backup
    from pgq.capture_arguments(i_args) a
$$;

comment on function pgq.capture_is_paired(text, text[]) is
    'Whether statement-level capture needs old and new rows side by side';


-- The rows of one statement as fields of events, in the order in which they were changed.
create or replace function pgq.capture_arm_query(
    i_kind text,
    i_table oid,
    i_operation text,
    i_args text[],
    i_style text
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    paired constant boolean := i_operation = 'UPDATE' and pgq.capture_is_paired(i_kind, i_args);
    e constant record :=
        pgq.capture_expressions(i_kind, i_table, i_operation, i_args, false, 'pgq_new', 'pgq_old', i_style);
    source constant text := pgq.capture_arm_source(i_table, i_operation, paired);
    condition text := '';
    fields text;
begin
    fields := format('%s as f1, %s as f2, %s as f3, %s as f4, %s as f5, %s as f6',
        e.types[1], e.data, e.types[2], e.types[3], e.types[4], e.types[5]);
    if e.checked is not null and (i_operation <> 'UPDATE' or paired) then
        -- Not `case ... when 'key'`: its operator would be looked up in the search_path of whoever changes the table.
        condition := format(
            ' where case when (%1$s) is null then true'
                ' when (%1$s) operator(pg_catalog.=) ''key'' then pgq.capture_key_changed()'
                ' when (%1$s) operator(pg_catalog.=) ''null'' then pgq.capture_null_key() is null else false end',
            e.checked);
    end if;
    return concat('select ', fields, ' from ', source, condition, ' order by pgq_new.' || substring(source, '\((nr_*)'));
end;
$$;

comment on function pgq.capture_arm_query(text, oid, text, text[], text) is
    'Query for the events of one statement';


-- The operations of a trigger, from the bits of pg_trigger.tgtype.
create or replace function pgq.capture_operations(i_type smallint)
returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select array_remove(array[
        case when i_type & 4 <> 0 then 'INSERT' end,
        case when i_type & 16 <> 0 then 'UPDATE' end,
        case when i_type & 8 <> 0 then 'DELETE' end,
        case when i_type & 32 <> 0 then 'TRUNCATE' end
    ], null)
$$;

comment on function pgq.capture_operations(smallint) is
    'Operations that a trigger is fired by';


-- The condition under which generated code must not be used: another table, or this one in another shape.
create or replace function pgq.capture_stale_condition(i_table oid, i_function text, i_fingerprint text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        E'tg_relid operator(pg_catalog.<>) %L::pg_catalog.oid\n        or not pgq.capture_is_current(%L, %L, array[%s])',
        i_table,
        i_function,
        i_fingerprint,
        (
            select string_agg(format('%L::pg_catalog.oid', r.oid), ', ' order by r.nr)
            from unnest(pgq.capture_relations(i_table)) with ordinality r (oid, nr)
        )
    )
$$;

comment on function pgq.capture_stale_condition(oid, text, text) is
    'Condition under which compiled capture code does not fit';


-- The body of a row function.
create or replace function pgq.capture_row_body(
    i_kind text,
    i_trigger pg_catalog.pg_trigger,
    i_function text,
    i_fingerprint text,
    i_queue pgq.queue
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    args constant text[] := pgq.capture_trigger_arguments(i_trigger.oid);
    before constant boolean := i_trigger.tgtype & 66 <> 0;
    operations constant text[] := pgq.capture_operations(i_trigger.tgtype);
    proceed constant text := case
        when before then E'if tg_op operator(pg_catalog.=) ''DELETE'' then\n            return old;\n'
            '        end if;\n        return new;'
        else 'return null;'
        end;
    body text;
begin
    body := format(
        E'declare\n'
        '    verdict pg_catalog.text;\n'
        '    data pg_catalog.text;\n'
        '    field1 pg_catalog.text;\n'
        '    field2 pg_catalog.text;\n'
        '    field3 pg_catalog.text;\n'
        '    field4 pg_catalog.text;\n'
        '    field5 pg_catalog.text;\n'
        'begin\n'
        '    if %s\n'
        '    then\n'
        '        if pg_catalog.current_setting(''session_replication_role'') operator(pg_catalog.=) ''local'' then\n'
        '            %s\n'
        '        end if;\n'
        '        execute pgq.capture_query(%L, tg_relid, tg_op, tg_argv[0:], %L) using new, old\n'
        '        into verdict, field1, data, field2, field3, field4, field5;\n'
        '        if verdict operator(pg_catalog.=) ''key'' then\n'
        '            perform pgq.capture_key_changed();\n'
        '        elsif verdict operator(pg_catalog.=) ''null'' then\n'
        '            perform pgq.capture_null_key();\n'
        '        elsif verdict is null then\n'
        '            perform pgq.insert_event(tg_argv[0], field1, data, field2, field3, field4, field5);\n'
        '        end if;\n'
        '        %s\n'
        '    end if;\n',
        pgq.capture_stale_condition(i_trigger.tgrelid, i_function, i_fingerprint),
        proceed,
        i_kind,
        before,
        case when (pgq.capture_arguments(args)).skip then 'return null;' else proceed end
    );
    for nr in 1 .. cardinality(operations) loop
        if cardinality(operations) > 1 then
            body := body || case
                when nr = cardinality(operations) then E'    else\n'
                else format(E'    %s tg_op operator(pg_catalog.=) %L then\n',
                    case when nr = 1 then 'if' else 'elsif' end, operations[nr])
                end;
        end if;
        body := body || pgq.capture_row_branch(i_kind, i_trigger.tgrelid, operations[nr], args, before, i_queue);
    end loop;
    return body || case when cardinality(operations) > 1 then E'    end if;\n' else '' end || E'end;\n';
end;
$$;

comment on function pgq.capture_row_body(text, pg_catalog.pg_trigger, text, text, pgq.queue) is
    'Body of a compiled capture trigger for rows';


-- Writes the function behind a compiled trigger, new or again; returns its name. It belongs to the owner of pgq and runs
-- with his rights: its text is made here from the catalog, and only administrators may make triggers of it.
-- i_only_name is for the time before there is a trigger that calls it: then it is only there.
create or replace function pgq.capture_write_function(
    i_table oid,
    i_trigger_name text,
    i_form text,
    i_only_name boolean default false
)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $$
declare
    this constant pg_trigger := pgq.capture_trigger(i_table, i_trigger_name);
    was constant record := pgq.capture_function(this.tgfoid);
    queue pgq.queue;
    name text;
    fingerprint text;
    body text;
begin
    -- One writer at a time: two of one queue would both write the function that knows its current table.
    perform pg_advisory_xact_lock(hashtext('pgq.capture_write_function'));
    -- No rotation between reading which table is current and writing it down.
    select q.*
    from pgq.queue q
    where q.queue_name = (pgq.capture_trigger_arguments(this.oid))[1]
    for share
    into queue;
    if not found then
        raise exception 'No such queue' using errcode = 'XX000';
    end if;
    perform pgq.capture_write_queue(queue, true);

    if was.form = i_form then
        name := was.kind || '_' || i_form || '_' || was.number;
    else
        select was.kind || '_' || i_form || '_' || coalesce(max((f.number)::bigint), 0) + 1
        from pg_proc p
        cross join lateral pgq.capture_function(p.oid) f
        where p.pronamespace = 'pgq'::regnamespace
        into name;
    end if;

    fingerprint := pgq.capture_fingerprint(i_table, name);
    if i_only_name and was.form = i_form then
        return name;
    elsif i_only_name then
        body := 'begin return null; end';
    elsif i_form = 'row' then
        body := pgq.capture_row_body(was.kind, this, name, fingerprint, queue);
    else
        body := pgq.capture_statement_body(was.kind, this, name, fingerprint, queue);
    end if;
    -- Each statement here has a snapshot of its own: what is written must be of one and the same shape of the table.
    if pgq.capture_fingerprint(i_table, name) <> fingerprint or this <> pgq.capture_trigger(i_table, i_trigger_name) then
        raise exception 'table % was changed while its capture was compiled', i_table::regclass
            using errcode = '40001', hint = 'Try again.';
    end if;
    execute format(
        'create or replace function pgq.%I() returns trigger language plpgsql security definer as %L', name, body);
    execute format('revoke execute on function pgq.%I() from public', name);
    execute format('grant execute on function pgq.%I() to pgq_admin', name);
    execute format('comment on function pgq.%I() is %L', name,
        format('Made by pgq.compile_capture for trigger %s on %s', i_trigger_name, i_table::regclass));
    return name;
end;
$$;

comment on function pgq.capture_write_function(oid, text, text, boolean) is
    'Writes the function of a compiled capture trigger; returns its name';


-- Drops a generated function that no trigger uses; 1 = dropped, 0 = it is used or there is none.
create or replace function pgq.capture_drop_function(i_name text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    function_oid oid;
begin
    select p.oid
    from pg_proc p
    cross join lateral pgq.capture_function(p.oid) f
    where p.pronamespace = 'pgq'::regnamespace
        and p.proname = i_name
        and f.form <> 'generic'
        and not exists (select 1 from pg_trigger t where t.tgfoid = p.oid)
    into function_oid;
    if not found then
        return 0;
    end if;
    execute format('drop function pgq.%I()', i_name);
    return 1;
end;
$$;

comment on function pgq.capture_drop_function(text) is
    'Drops a generated capture function that is not used any more';
