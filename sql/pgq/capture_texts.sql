-- Rows of events without dynamic SQL, for what most tables and triggers are like. The text of a whole record holds the
-- texts of its columns just as their output functions write them; these functions make the same of them that the SQL of
-- capture_statement.sql makes of the columns (spec/pgq.md 9). They run at each change of a row, with the search_path of
-- whoever makes it: setting one for each call would cost more than the rest.


-- Records of texts, to take the text of a record apart with.
do $make$
begin
    if pg_catalog.to_regtype('pgq.capture_texts_16') is null then
        create type pgq.capture_texts_16 as (
        v1 text, v2 text, v3 text, v4 text, v5 text, v6 text, v7 text, v8 text,
        v9 text, v10 text, v11 text, v12 text, v13 text, v14 text, v15 text, v16 text
        );
        create type pgq.capture_texts_64 as (
        v1 text, v2 text, v3 text, v4 text, v5 text, v6 text, v7 text, v8 text,
        v9 text, v10 text, v11 text, v12 text, v13 text, v14 text, v15 text, v16 text,
        v17 text, v18 text, v19 text, v20 text, v21 text, v22 text, v23 text, v24 text,
        v25 text, v26 text, v27 text, v28 text, v29 text, v30 text, v31 text, v32 text,
        v33 text, v34 text, v35 text, v36 text, v37 text, v38 text, v39 text, v40 text,
        v41 text, v42 text, v43 text, v44 text, v45 text, v46 text, v47 text, v48 text,
        v49 text, v50 text, v51 text, v52 text, v53 text, v54 text, v55 text, v56 text,
        v57 text, v58 text, v59 text, v60 text, v61 text, v62 text, v63 text, v64 text
        );
    end if;
end;
$make$;


-- The texts of a record's columns, from the text of the record; more than the record has, at the end, are NULL.
-- For at most 64 columns.
create or replace function pgq.capture_values(i_record text, i_columns integer)
returns text[]
language plpgsql
immutable
strict
parallel safe
as $$
declare
    r16 pgq.capture_texts_16;
    r64 pgq.capture_texts_64;
begin
    if i_columns operator(pg_catalog.<=) 16 then
        r16 := pg_catalog.concat(pg_catalog.left(i_record, -1),
            pg_catalog.repeat(',', 16 operator(pg_catalog.-) i_columns), ')');
        return array[
            r16.v1, r16.v2, r16.v3, r16.v4, r16.v5, r16.v6, r16.v7, r16.v8,
            r16.v9, r16.v10, r16.v11, r16.v12, r16.v13, r16.v14, r16.v15, r16.v16
        ];
    end if;
    r64 := pg_catalog.concat(pg_catalog.left(i_record, -1),
        pg_catalog.repeat(',', 64 operator(pg_catalog.-) i_columns), ')');
    return array[
            r64.v1, r64.v2, r64.v3, r64.v4, r64.v5, r64.v6, r64.v7, r64.v8,
            r64.v9, r64.v10, r64.v11, r64.v12, r64.v13, r64.v14, r64.v15, r64.v16,
            r64.v17, r64.v18, r64.v19, r64.v20, r64.v21, r64.v22, r64.v23, r64.v24,
            r64.v25, r64.v26, r64.v27, r64.v28, r64.v29, r64.v30, r64.v31, r64.v32,
            r64.v33, r64.v34, r64.v35, r64.v36, r64.v37, r64.v38, r64.v39, r64.v40,
            r64.v41, r64.v42, r64.v43, r64.v44, r64.v45, r64.v46, r64.v47, r64.v48,
            r64.v49, r64.v50, r64.v51, r64.v52, r64.v53, r64.v54, r64.v55, r64.v56,
            r64.v57, r64.v58, r64.v59, r64.v60, r64.v61, r64.v62, r64.v63, r64.v64
    ];
end;
$$;

comment on function pgq.capture_values(text, integer) is
    'The texts of a record''s columns, from the text of the record';


-- A url-encoded row. i_heads is what comes before each value: `name` or `&name`; a column without is left out.
create or replace function pgq.capture_url_row(i_heads text[], i_values text[])
returns text
language plpgsql
stable
as $$
declare
    head pg_catalog.text;
    place integer := 0;
    row_text pg_catalog.text := '';
begin
    foreach head in array i_heads loop
        place := place operator(pg_catalog.+) 1;
        if head is not null then
            row_text := pg_catalog.concat(row_text, head, pg_catalog.textcat('=', pgq.url_encode(i_values[place])));
        end if;
    end loop;
    return row_text;
end;
$$;

comment on function pgq.capture_url_row(text[], text[]) is
    'A url-encoded row of texts';


-- A JSON object. i_heads is what comes before each value, `{"name":` or `,"name":`; i_forms says how it is written:
-- n as it is, b boolean, d date, t timestamp, z timestamptz, s string. The dates are read in the ISO style.
create or replace function pgq.capture_json_row(i_heads text[], i_forms text[], i_values text[])
returns text
language plpgsql
stable
as $$
declare
    head pg_catalog.text;
    place integer := 0;
    item pg_catalog.text;
    row_text pg_catalog.text := '';
begin
    foreach head in array i_heads loop
        place := place operator(pg_catalog.+) 1;
        if head is not null then
            item := i_values[place];
            if item is null then
                item := 'null';
            elsif i_forms[place] operator(pg_catalog.=) 's' then
                item := pg_catalog.to_json(item);
            elsif i_forms[place] operator(pg_catalog.=) 'b' then
                item := case when item operator(pg_catalog.=) 't' then 'true' else 'false' end;
            elsif i_forms[place] operator(pg_catalog.=) 'z' then
                item := pg_catalog.to_json(item::pg_catalog.timestamptz);
            elsif i_forms[place] operator(pg_catalog.=) 't' then
                item := pg_catalog.to_json(item::pg_catalog.timestamp);
            elsif i_forms[place] operator(pg_catalog.=) 'd' then
                item := pg_catalog.to_json(item::pg_catalog.date);
            end if;
            row_text := pg_catalog.concat(row_text, head, item);
        end if;
    end loop;
    if row_text operator(pg_catalog.=) '' then
        return '{}';
    end if;
    return pg_catalog.concat(row_text, '}');
end;
$$;

comment on function pgq.capture_json_row(text[], text[], text[]) is
    'A row of texts as a JSON object';


-- The values of an INSERT and the parenthesis after them. i_heads is what comes before each value: nothing or `,`.
create or replace function pgq.capture_sql_row(i_heads text[], i_values text[])
returns text
language plpgsql
stable
as $$
declare
    head pg_catalog.text;
    place integer := 0;
    row_text pg_catalog.text := '';
begin
    foreach head in array i_heads loop
        place := place operator(pg_catalog.+) 1;
        if head is not null then
            row_text := pg_catalog.concat(row_text, head, coalesce(pg_catalog.quote_literal(i_values[place]), 'null'));
        end if;
    end loop;
    return pg_catalog.concat(row_text, ')');
end;
$$;

comment on function pgq.capture_sql_row(text[], text[]) is
    'The values of an INSERT from texts';


-- The condition that finds a row by its key; NULL if a key column is NULL. i_keys holds the quoted names and `=` at the
-- places of the key columns.
create or replace function pgq.capture_sql_condition(i_keys text[], i_values text[])
returns text
language plpgsql
stable
as $$
declare
    key pg_catalog.text;
    place integer := 0;
    condition pg_catalog.text;
begin
    foreach key in array i_keys loop
        place := place operator(pg_catalog.+) 1;
        if key is not null then
            if i_values[place] is null then
                return null;
            end if;
            condition := pg_catalog.concat(pg_catalog.textcat(condition, ' and '), key,
                pg_catalog.quote_literal(i_values[place]));
        end if;
    end loop;
    return condition;
end;
$$;

comment on function pgq.capture_sql_condition(text[], text[]) is
    'The condition that finds a row by its key, from texts';


-- The SET list of an update with its changed columns, empty if there is none. i_names holds the quoted names and `=` at
-- the places of the columns that are not the key's. The types in question write different values as different texts;
-- where i_exact is false equal values can have different texts as well: the answer is NULL then, only the values tell.
create or replace function pgq.capture_sql_changes(i_names text[], i_exact boolean[], i_new text[], i_old text[])
returns text
language plpgsql
stable
as $$
declare
    name pg_catalog.text;
    place integer := 0;
    changes pg_catalog.text := '';
begin
    foreach name in array i_names loop
        place := place operator(pg_catalog.+) 1;
        if name is not null
            and coalesce(i_new[place] operator(pg_catalog.<>) i_old[place],
                pg_catalog.num_nulls(i_new[place], i_old[place]) operator(pg_catalog.=) 1)
        then
            if not i_exact[place] and pg_catalog.num_nulls(i_new[place], i_old[place]) operator(pg_catalog.=) 0 then
                return null;
            end if;
            changes := pg_catalog.concat(changes, case when changes operator(pg_catalog.<>) '' then ',' end, name,
                coalesce(pg_catalog.quote_literal(i_new[place]), 'NULL'));
        end if;
    end loop;
    return changes;
end;
$$;

comment on function pgq.capture_sql_changes(text[], boolean[], text[], text[]) is
    'The SET list of an update from texts';


-- What the functions above need for a table, kind of trigger and operation. heads is NULL if they do not do for it:
-- expressions, magic columns, more than 64 columns, a list to ignore on updates, types whose texts do not tell whether
-- two values differ. needs_iso: only under the DateStyle ISO, in which a text of a time says which time it is.
create or replace function pgq.capture_plain(
    i_kind text,
    i_table oid,
    i_operation text,
    i_args text[],
    i_before boolean,
    out heads text[],
    out forms text[],
    out keys text[],
    out key_places integer[],
    out names text[],
    out exact boolean[],
    out prefix text,
    out needs_iso boolean,
    out backup boolean
)
returns record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    args constant record := pgq.capture_arguments(i_args);
    c record;
    names_done boolean := false;
    quoted text;
    place integer := 0;
begin
    needs_iso := false;
    backup := args.backup and i_operation = 'UPDATE';
    if i_operation = 'TRUNCATE'
        or array_remove(args.expressions, null) <> '{}'
        or (i_operation = 'UPDATE' and (args.ignored is not null or (backup and i_kind = 'sqltriga')))
    then
        return;
    end if;

    heads := '{}';
    key_places := '{}';
    prefix := '(';
    for c in
        select
            k.*,
            t.typname as base,
            not exists (select from pg_attribute a where a.attrelid = i_table and a.attnum = k.column_number
                and a.attcollation not in (0, 'pg_catalog."default"'::regcollation, 'pg_catalog."C"'::regcollation)
            ) as plain_collation,
            case
            when t.typnamespace = 'pg_catalog'::regnamespace and t.typname in ('bool', 'int2', 'int4', 'int8', 'oid',
                    'uuid', 'text', 'varchar', 'name', 'bytea', 'date', 'time', 'timestamp', 'timestamptz')
                or t.typtype = 'e'
                or pgq.capture_differs(k.column_type, 'x', 'x') like '%<>%'
            then true
            when t.typnamespace = 'pg_catalog'::regnamespace and t.typname in ('numeric', 'bpchar', 'jsonb', 'interval')
            then false
            end as is_exact
        from pgq.capture_columns(i_table, i_args) k
        join pg_type t on t.oid = pgq.capture_base_type(k.column_type)
        order by k.column_number
    loop
        place := place + 1;
        quoted := quote_ident(c.column_name);
        if place > 64
            or c.is_magic
            or (c.is_generated and i_before and i_operation = 'UPDATE')
            or (c.is_exact is null and i_operation = 'UPDATE' and (c.is_key or i_kind = 'sqltriga'))
        then
            heads := null;
            return;
        end if;
        needs_iso := needs_iso
            or (i_kind = 'jsontriga' and c.column_type::regtype::text ~ '^(date|timestamp)')
            or (c.base = 'timestamptz' and i_operation = 'UPDATE' and (c.is_key or i_kind = 'sqltriga'));
        if c.is_key then
            key_places := key_places || place;
        end if;
        keys[place] := case when c.is_key then quoted || '=' end;
        names[place] := case when not c.is_key then quoted || '=' end;
        exact[place] := coalesce(c.is_exact, false) and c.plain_collation;
        forms[place] := case c.column_type
            when 'int2'::regtype then 'n'
            when 'int4'::regtype then 'n'
            when 'int8'::regtype then 'n'
            when 'bool'::regtype then 'b'
            when 'date'::regtype then 'd'
            when 'timestamp'::regtype then 't'
            when 'timestamptz'::regtype then 'z'
            else 's'
            end;
        heads[place] := null;
        if not c.is_ignored then
            heads[place] := case i_kind
                when 'logutriga' then case when names_done then '&' else '' end || pgq.url_encode(c.column_name)
                when 'jsontriga' then
                    case when names_done then ',' else '{' end || pgq.capture_json_string(c.column_name) || ':'
                else case when names_done then ',' else '' end
                end;
            prefix := prefix || case when names_done then ',' else '' end || quoted;
            names_done := true;
        end if;
    end loop;
    prefix := prefix || ') values (';
    if place = 0 or (i_kind = 'sqltriga' and i_operation <> 'INSERT' and key_places = '{}') then
        heads := null;
    end if;
end;
$$;

comment on function pgq.capture_plain(text, oid, text, text[], boolean) is
    'What the functions that make rows from texts need for a table';
