-- The statement form of compiled capture: its triggers and the body of its function. See capture_compiled.sql.


-- Why the trigger itself cannot have arms; NULL if it can.
create or replace function pgq.capture_unfit_arms(i_trigger pg_catalog.pg_trigger)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when i_trigger.tgtype & 66 <> 0 then 'it is not an AFTER trigger'
        -- The anchor of a capture that is compiled already has a condition of ours.
        when (pgq.capture_function(i_trigger.tgfoid)).form = 'statement' then null
        when i_trigger.tgqual is not null then 'it has a WHEN condition'
        when cardinality(i_trigger.tgattr::smallint[]) > 0 then 'it is for updates of some columns only'
        end
$$;

comment on function pgq.capture_unfit_arms(pg_catalog.pg_trigger) is
    'Why a capture trigger cannot have statement-level arms; NULL if it can';


-- The arms of an anchor: statement-level triggers with its function.
create or replace function pgq.capture_arms(i_trigger pg_catalog.pg_trigger)
returns setof pg_catalog.pg_trigger
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select t.*
    from pg_trigger t
    where t.tgrelid = i_trigger.tgrelid
        and t.tgfoid = i_trigger.tgfoid
        and t.tgtype & 1 = 0
        and (pgq.capture_function(t.tgfoid)).form = 'statement'
    order by t.tgtype
$$;

comment on function pgq.capture_arms(pg_catalog.pg_trigger) is
    'Statement-level triggers that belong to a compiled capture trigger';


-- The operations that are captured: an anchor's are those of its arms.
create or replace function pgq.capture_captured(i_trigger pg_catalog.pg_trigger)
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select pgq.capture_operations(coalesce(bit_or(a.tgtype), i_trigger.tgtype)::smallint)
    from pgq.capture_arms(i_trigger) a
$$;

comment on function pgq.capture_captured(pg_catalog.pg_trigger) is
    'Operations that a capture trigger captures, in whatever form';


-- Turns a trigger into the anchor of the statement form and gives it arms, or brings both up to date.
create or replace function pgq.capture_make_arms(i_trigger pg_catalog.pg_trigger, i_function text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $$
declare
    kind constant text := (regexp_match(i_function, '^[a-z]+'))[1];
    args constant text[] := pgq.capture_trigger_arguments(i_trigger.oid);
    operations constant text[] := pgq.capture_captured(i_trigger);
    has_update constant boolean := 'UPDATE' = any (operations);
    arguments text;
    key_changes text;
    operation text;
begin
    select string_agg(quote_literal(a.argument), ', ' order by a.nr)
    from unnest(args) with ordinality a (argument, nr)
    into arguments;
    if has_update and not pgq.capture_is_paired(kind, args) then
        key_changes := pgq.capture_key_changes(i_trigger.tgrelid, args, 'new', 'old');
    end if;

    perform pgq.capture_replace_trigger(i_trigger, format(
        'create or replace trigger %I after %s on %s referencing %s for each row when (%s) execute function pgq.%I(%s)',
        i_trigger.tgname,
        case when has_update then 'UPDATE' else operations[1] end,
        i_trigger.tgrelid::regclass,
        case when has_update or operations[1] = 'INSERT' then 'new table as pgq_new' else 'old table as pgq_old' end,
        coalesce(key_changes, 'false'),
        i_function,
        arguments
    ));
    foreach operation in array operations loop
        execute format(
            'create or replace trigger %I after %s on %s referencing %s for each statement execute function pgq.%I(%s)',
            i_function || '_' || lower(operation),
            operation,
            i_trigger.tgrelid::regclass,
            case
                when operation = 'INSERT' then 'new table as pgq_new'
                when operation = 'DELETE' then 'old table as pgq_old'
                when pgq.capture_is_paired(kind, args) then 'new table as pgq_new old table as pgq_old'
                else 'new table as pgq_new'
            end,
            i_function,
            arguments
        );
        if i_trigger.tgenabled <> 'O' then
            execute format(
                'alter table %s %s trigger %I',
                i_trigger.tgrelid::regclass,
                case i_trigger.tgenabled when 'D' then 'disable' when 'A' then 'enable always' else 'enable replica' end,
                i_function || '_' || lower(operation)
            );
        end if;
    end loop;
end;
$$;

comment on function pgq.capture_make_arms(pg_catalog.pg_trigger, text) is
    'Makes the triggers of statement-level capture';


-- Makes an anchor the generic trigger again that it was, and drops its arms.
create or replace function pgq.capture_unmake_arms(i_trigger pg_catalog.pg_trigger)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $$
declare
    operations constant text[] := pgq.capture_captured(i_trigger);
    arm_name text;
    arguments text;
begin
    select string_agg(quote_literal(a.argument), ', ' order by a.nr)
    from unnest(pgq.capture_trigger_arguments(i_trigger.oid)) with ordinality a (argument, nr)
    into arguments;
    for arm_name in
        select a.tgname
        from pgq.capture_arms(i_trigger) a
    loop
        execute format('drop trigger %I on %s', arm_name, i_trigger.tgrelid::regclass);
    end loop;
    perform pgq.capture_replace_trigger(i_trigger, format(
        'create or replace trigger %I after %s on %s for each row execute function pgq.%I(%s)',
        i_trigger.tgname,
        array_to_string(operations, ' or '),
        i_trigger.tgrelid::regclass,
        (pgq.capture_function(i_trigger.tgfoid)).kind,
        arguments
    ));
end;
$$;

comment on function pgq.capture_unmake_arms(pg_catalog.pg_trigger) is
    'Takes statement-level capture back to the generic trigger';


-- What is to be executed when the function of an anchor and its arms does not fit its table any more: the query that
-- captures the rows of an arm, or NULL if there is nothing to capture. Raises where the triggers themselves do not fit.
create or replace function pgq.capture_stale_query(
    i_kind text,
    i_table oid,
    i_function text,
    i_keys text[],
    i_operation text,
    i_level text,
    i_args text[]
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    same_key constant boolean := pgq.capture_keys(i_table) = i_keys;
begin
    if not exists (
        select 1
        from pg_trigger t
        join pg_proc p on p.oid = t.tgfoid
        where t.tgrelid = i_table
            and t.tgtype & 1 <> 0
            and t.tgenabled <> 'D'
            and p.pronamespace = 'pgq'::regnamespace
            and p.proname = i_function
    ) then
        return null;
    end if;
    if i_level = 'ROW' then
        if same_key then
            perform pgq.capture_key_changed();
        end if;
        return null;
    end if;

    -- For the errors of the generic trigger.
    perform pgq.capture_query(i_kind, i_table, i_operation, i_args, false);
    if exists (select 1 from pg_inherits i where i.inhparent = i_table) then
        raise exception 'changes of table % are captured by statement, which its inheritance children would disturb',
            i_table::regclass
            using errcode = '55000', hint = 'Call pgq.compile_capture for the row form.';
    end if;
    if i_operation = 'UPDATE' and not same_key and not pgq.capture_is_paired(i_kind, i_args) then
        raise exception 'the key of table % was changed, its statement-level capture has to be compiled again',
            i_table::regclass
            using errcode = '55000', hint = 'Call pgq.compile_capture or pgq.maint_refresh_captures.';
    end if;
    return format('select pg_catalog.count(pgq.insert_event(%L, s.f1, s.f2, s.f3, s.f4, s.f5, s.f6)) from (%s) s',
        i_args[1], pgq.capture_arm_query(i_kind, i_table, i_operation, i_args, pgq.capture_style()));
end;
$$;

comment on function pgq.capture_stale_query(text, oid, text, text[], text, text, text[]) is
    'What statement-level capture executes when its code does not fit its table';


-- The body of the function of an anchor and its arms. Fired for a row, it is the anchor, whose condition was a change of
-- the key. Without an anchor that is enabled there is no capture.
create or replace function pgq.capture_statement_body(
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
    operations constant text[] := pgq.capture_captured(i_trigger);
    source text;
    body text;
begin
    body := format(
        E'#variable_conflict use_variable\n'
        'declare\n'
        '    stale_query pg_catalog.text;\n'
        '    table_number integer;\n'
        '    other_style boolean := %s;\n'
        'begin\n'
        '    if %s\n'
        '    then\n'
        '        if pg_catalog.current_setting(''session_replication_role'') operator(pg_catalog.=) ''local'' then\n'
        '            return null;\n'
        '        end if;\n'
        '        stale_query := pgq.capture_stale_query(%L, tg_relid, %L, %L, tg_op, tg_level, tg_argv[0:]);\n'
        '        if stale_query is not null then\n'
        '            execute stale_query;\n'
        '        end if;\n'
        '        return null;\n'
        '    end if;\n'
        '    if tg_level operator(pg_catalog.=) ''ROW'' then\n'
        '        perform pgq.capture_key_changed();\n'
        '    end if;\n'
        '    table_number := pgq.capture_queue_%s(%L, %L, %L);\n',
        pgq.capture_style(),
        pgq.capture_stale_condition(i_trigger.tgrelid, i_function, i_fingerprint),
        i_kind, i_function, pgq.capture_keys(i_trigger.tgrelid),
        i_queue.queue_id, i_queue.queue_name, i_queue.queue_data_pfx, i_queue.queue_event_seq
    );
    for nr in 1 .. cardinality(operations) loop
        source := pgq.capture_arm_query(i_kind, i_trigger.tgrelid, operations[nr], args, 'other_style');
        body := body || format(E'    %s tg_op operator(pg_catalog.=) %L then\n',
            case when nr = 1 then 'if' else 'elsif' end, operations[nr]);
        for table_number in 0 .. i_queue.queue_ntables - 1 loop
            body := body || format(
                E'        %s table_number operator(pg_catalog.=) %s then\n'
                '            insert into %s (ev_id, ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)\n'
                '            select pg_catalog.nextval(%L), pg_catalog.now(), s.f1, s.f2, s.f3, s.f4, s.f5, s.f6 from (%s) s;\n',
                case when table_number = 0 then 'if' else 'elsif' end,
                table_number,
                pgq.quote_fqname(i_queue.queue_data_pfx || '_' || table_number),
                pgq.quote_fqname(i_queue.queue_event_seq),
                source);
        end loop;
        body := body || format(
            E'        else\n'
            '            perform pgq.insert_event(%L, s.f1, s.f2, s.f3, s.f4, s.f5, s.f6) from (%s) s;\n'
            '        end if;\n',
            i_queue.queue_name,
            source);
    end loop;
    return body || E'    end if;\n    return null;\nend;\n';
end;
$$;

comment on function pgq.capture_statement_body(text, pg_catalog.pg_trigger, text, text, pgq.queue) is
    'Body of a compiled capture trigger for statements';
