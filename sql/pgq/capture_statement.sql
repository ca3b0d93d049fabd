-- The SQL that a capture trigger computes an event with (spec/pgq.md 8.3, 9).


-- SQL for texts put together, NULLs left out; a function takes a hundred arguments at most.
create or replace function pgq.capture_concat(i_parts text[])
returns text
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    parts text[] := i_parts;
begin
    while cardinality(parts) > 90 loop
        parts := array(
            select 'pg_catalog.concat(' || string_agg(p.part, ', ' order by p.nr) || ')'
            from unnest(parts) with ordinality p (part, nr)
            group by (p.nr - 1) / 90
            order by (p.nr - 1) / 90
        );
    end loop;
    return case
        when cardinality(parts) > 0 then 'pg_catalog.concat(' || array_to_string(parts, ', ') || ')'
        else ''''''
        end;
end;
$$;

comment on function pgq.capture_concat(text[]) is
    'SQL that puts texts together';


-- A text as a JSON string.
create or replace function pgq.capture_json_string(i_text text)
returns text
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select to_json(i_text)::text
$$;

comment on function pgq.capture_json_string(text) is
    'A text as a JSON string';


-- SQL for a whole row: url-encoded, as the columns and values of an INSERT, or as a JSON object. i_record is what the
-- row is called in the SQL; a column of i_missing is read from the record i_other instead.
create or replace function pgq.capture_row(
    i_kind text,
    i_table oid,
    i_args text[],
    i_record text,
    i_missing text[] default '{}',
    i_other text default null
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    c record;
    parts text[] := '{}';
    names text[] := '{}';
    value text;
begin
    for c in
        select *
        from pgq.capture_columns(i_table, i_args)
        where not is_ignored
            and not is_magic
    loop
        value := case when c.column_name = any (i_missing) then i_other else i_record end
            || '.' || quote_ident(c.column_name);
        case i_kind
        when 'logutriga' then
            parts := parts || array[
                quote_literal(case when parts = '{}' then '' else '&' end || pgq.url_encode(c.column_name)),
                '''='' operator(pg_catalog.||) ' || pgq.capture_url(c.column_type, value)
            ];
        when 'sqltriga' then
            parts := parts || array[
                quote_literal(case when parts = '{}' then '' else ',' end),
                format('coalesce(pg_catalog.quote_literal(%s), ''null'')', pgq.capture_text(c.column_type, value))
            ];
            names := names || quote_ident(c.column_name);
        when 'jsontriga' then
            parts := parts || array[
                quote_literal(case when parts = '{}' then '{' else ',' end
                    || pgq.capture_json_string(c.column_name) || ':'),
                pgq.capture_json(c.column_type, value)
            ];
        end case;
    end loop;
    if i_kind = 'sqltriga' then
        parts := quote_literal('(' || array_to_string(names, ',') || ') values (') || parts || quote_literal(')');
    elsif i_kind = 'jsontriga' then
        parts := parts || quote_literal(case when parts = '{}' then '{}' else '}' end);
    end if;
    return pgq.capture_concat(parts);
end;
$$;

comment on function pgq.capture_row(text, oid, text[], text, text[], text) is
    'SQL for a whole row in the form of a capture trigger';


-- SQL for the condition that finds a row by its key, as text; NULL if a key column is NULL.
create or replace function pgq.capture_condition(i_table oid, i_args text[], i_record text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        string_agg(
            format('%L operator(pg_catalog.||) pg_catalog.quote_literal(%s)',
                case when c.nr = 1 then '' else ' and ' end || quote_ident(c.column_name) || '=',
                pgq.capture_text(c.column_type, i_record || '.' || quote_ident(c.column_name))),
            ' operator(pg_catalog.||) ' order by c.nr),
        '''''')
    from (
        select *, row_number() over (order by column_number) as nr
        from pgq.capture_columns(i_table, i_args)
        where is_key
    ) c
$$;

comment on function pgq.capture_condition(oid, text[], text) is
    'SQL for the condition that finds a row by its key';


-- SQL for the partial SQL of an update: changed columns, or the first key column, and the key's old values; NULL if one
-- of these is NULL (spec/pgq.md 9.3).
create or replace function pgq.capture_update(
    i_table oid,
    i_args text[],
    i_new text,
    i_old text,
    i_missing text[] default '{}'
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    changes text;
    first_key text;
begin
    select
        pgq.capture_concat(array_agg(
            format('case when %s then pg_catalog.concat(%L, coalesce(pg_catalog.quote_literal(%s), ''NULL'')) end',
                pgq.capture_differs(c.column_type, i_old || v.name, v.value),
                ',' || quote_ident(c.column_name) || '=',
                pgq.capture_text(c.column_type, v.value))
            order by c.column_number
        ) filter (where not (c.is_key or c.is_ignored or c.is_magic))),
        min(format('%L operator(pg_catalog.||) pg_catalog.quote_literal(%s)', quote_ident(c.column_name) || '=',
            pgq.capture_text(c.column_type, i_old || v.name))) filter (where c.is_key and c.key_number = 1)
    from (
        select *, row_number() over (partition by is_key order by column_number) as key_number
        from pgq.capture_columns(i_table, i_args)
    ) c
    cross join lateral (
        select
            '.' || quote_ident(c.column_name),
            case when c.column_name = any (i_missing) then i_old else i_new end || '.' || quote_ident(c.column_name)
    ) v (name, value)
    into changes, first_key;
    -- Without its first comma, which only a list that is not empty has.
    return format(
        'coalesce(pg_catalog.substring(%s, ''^,(.*)$''), %s)'
        ' operator(pg_catalog.||) '' where '' operator(pg_catalog.||) %s',
        coalesce(changes, ''''''),
        coalesce(first_key, 'null'),
        pgq.capture_condition(i_table, i_args, i_old));
end;
$$;

comment on function pgq.capture_update(oid, text[], text, text, text[]) is
    'SQL for the partial SQL of an update';


-- SQL for what is to be done about an update (spec/pgq.md 8.3): 'key' is a change of the key, 'none' one that gives no
-- event, NULL one that gives an event. NULL instead of SQL if each update gives one.
create or replace function pgq.capture_check(
    i_kind text,
    i_table oid,
    i_args text[],
    i_new text,
    i_old text,
    i_missing text[] default '{}'
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    compares_all constant boolean := (pgq.capture_arguments(i_args)).ignored is not null;
    c record;
    differs text;
    key_cases text := '';
    cases text := '';
    counted text[] := '{}';
begin
    for c in
        select *
        from pgq.capture_columns(i_table, i_args)
    loop
        differs := pgq.capture_differs(c.column_type,
            i_old || '.' || quote_ident(c.column_name),
            case when c.column_name = any (i_missing) then i_old else i_new end || '.' || quote_ident(c.column_name));
        if c.is_key and i_kind = 'sqltriga' then
            key_cases := key_cases || ' when ' || differs || ' then ''key''';
        elsif c.is_key then
            cases := cases || ' when ' || differs || ' then ''key''';
        elsif i_kind = 'sqltriga' or compares_all then
            if c.is_ignored or c.is_magic then
                counted := counted || differs;
            else
                cases := cases || ' when ' || differs || ' then null';
            end if;
        end if;
    end loop;
    if counted = '{}' then
        -- Nothing but the key matters then; ordinary columns only end the search for changes of the key.
        if i_kind = 'sqltriga' then
            cases := '';
        end if;
    else
        cases := cases || ' when ' || array_to_string(counted, ' or ') || ' then ''none''';
    end if;
    if key_cases || cases = '' then
        return null;
    end if;
    return 'case' || key_cases || cases || ' end';
end;
$$;

comment on function pgq.capture_check(text, oid, text[], text, text, text[]) is
    'SQL for whether an update gives an event';


-- SQL for the six fields of an event and for what is to be done at all, for one operation of a trigger. checked is
-- NULL if an event is always made; else it gives 'key', 'none', 'null' or NULL: capture_check, and 'null' is a NULL in
-- the key. If needs_data, NULL as ev_data means the same. A field with an expression of the user's has here what it
-- were without; queries holds what replaces it (capture_queries). unknown_magic is the first magic column that there is
-- no field for: an error, but only if there is an event.
create or replace function pgq.capture_statement(
    i_kind text,
    i_table oid,
    i_operation text,
    i_args text[],
    i_before boolean default false,
    i_new text default '$1',
    i_old text default '$2',
    out checked text,
    out ev_type text,
    out ev_data text,
    out ev_extra1 text,
    out ev_extra2 text,
    out ev_extra3 text,
    out ev_extra4 text,
    out needs_data boolean,
    out queries text[],
    out unknown_magic text
)
returns record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    args constant record := pgq.capture_arguments(i_args);
    keys text[] := pgq.capture_keys(i_table);
    this constant text := case when i_operation = 'DELETE' then i_old else i_new end;
    row_kind constant text := case when i_kind = 'jsontriga' then i_kind else 'logutriga' end;
    missing text[] := '{}';
    schema_name text;
    table_name text;
    magic record;
    sql text;
begin
    select n.nspname::text, c.relname::text
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = i_table
    into schema_name, table_name;

    -- A generated column is not computed yet before the change; the reference shows what is stored.
    if i_before and i_operation = 'UPDATE' then
        missing := array(
            select c.column_name
            from pgq.capture_columns(i_table, i_args) c
            where c.is_generated
        );
    end if;

    if i_kind = 'jsontriga' then
        if args.keys is not null then
            keys := case when args.keys = '' then '{""}' else string_to_array(args.keys, ',') end;
        end if;
        ev_type := quote_literal(format('{"op":"%s","table":[%s,%s],"pkey":[%s]}',
            i_operation,
            pgq.capture_json_string(schema_name),
            pgq.capture_json_string(table_name),
            array_to_string(array(
                select pgq.capture_json_string(k.name)
                from unnest(keys) with ordinality k (name, nr)
                order by k.nr
            ), ',')));
    elsif i_operation = 'TRUNCATE' then
        ev_type := quote_literal('R');
    elsif i_kind = 'logutriga' then
        ev_type := quote_literal(left(i_operation, 1) || ':' || coalesce(args.keys, array_to_string(keys, ',')));
    else
        ev_type := quote_literal(left(i_operation, 1));
    end if;

    case
    when i_operation = 'TRUNCATE' then
        ev_data := case when i_kind = 'jsontriga' then quote_literal('{}') else quote_literal('') end;
    when i_kind <> 'sqltriga' or i_operation = 'INSERT' then
        ev_data := pgq.capture_row(i_kind, i_table, i_args, this, missing, i_old);
    when i_operation = 'UPDATE' then
        ev_data := pgq.capture_update(i_table, i_args, i_new, i_old, missing);
    else
        ev_data := pgq.capture_condition(i_table, i_args, i_old);
    end case;

    ev_extra1 := quote_literal(schema_name || '.' || table_name);
    ev_extra2 := 'null';
    ev_extra3 := 'null';
    ev_extra4 := 'null';
    if i_operation = 'UPDATE' then
        checked := pgq.capture_check(i_kind, i_table, i_args, i_new, i_old, missing);
        if args.backup then
            ev_extra2 := pgq.capture_row(row_kind, i_table, i_args, i_old);
        end if;
    end if;

    needs_data := i_kind = 'sqltriga' and i_operation in ('UPDATE', 'DELETE');
    if i_operation <> 'TRUNCATE' then
        for magic in
            select c.column_name, c.column_type
            from pgq.capture_columns(i_table, i_args) c
            where c.is_magic
        loop
            sql := pgq.capture_text(magic.column_type, this || '.' || quote_ident(magic.column_name));
            case magic.column_name
            when '_pgq_ev_type' then ev_type := sql;
            when '_pgq_ev_data' then
                if needs_data then
                    checked := format('coalesce(%s, case when %s is null then ''null'' end)',
                        coalesce(checked, 'null'), ev_data);
                    needs_data := false;
                end if;
                ev_data := sql;
            when '_pgq_ev_extra1' then ev_extra1 := sql;
            when '_pgq_ev_extra2' then ev_extra2 := sql;
            when '_pgq_ev_extra3' then ev_extra3 := sql;
            when '_pgq_ev_extra4' then ev_extra4 := sql;
            else unknown_magic := coalesce(unknown_magic, magic.column_name);
            end case;
        end loop;
    end if;

    if array_remove(args.expressions, null) <> '{}' then
        queries := pgq.capture_queries(i_table, args.expressions, this, missing, i_old);
    end if;
end;
$$;

comment on function pgq.capture_statement(text, oid, text, text[], boolean, text, text) is
    'SQL for the fields of an event of a capture trigger';
