-- Expressions of the user's in a capture trigger's arguments (spec/pgq.md 8.4).


-- The select list with each word that is the exact name of a column replaced by what the function is given for it:
-- i_values[n] for i_columns[n], or a parameter $1, $2 ... numbered by first occurrence if i_values is NULL.
-- Comments, strings, numbers and parameters are left alone; a dotted or partly quoted word is looked up as a whole.
-- A double quote opens a part of a word only within one; elsewhere it stands for itself.
create or replace function pgq.capture_rewrite(i_expression text, i_columns text[], i_values text[] default null)
returns text
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $$
declare
    rest text := i_expression;
    result text := '';
    token text;
    place integer;
    tag text;
    depth integer;
    parameters text[] := '{}';
begin
    while rest <> '' loop
        -- Regular tokens by one expression; what opens a string, a comment or a quoted name is looked at below.
        token := substring(rest, '^(?:[a-zA-Z_](?:[a-zA-Z0-9_.]|"[^"]*")*'
            '|[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?'
            '|\s+|--[^\n]*|\$[0-9]+|''(?:[^'']|'''')*'')' collate "C");
        if token in ('e', 'E') and substr(rest, 2, 1) = '''' then
            token := substring(rest, '^.''(?:[^''\\]|''''|\\.)*''');
        elsif token is null and starts_with(rest, '/*') then
            depth := 0;
            place := 1;
            loop
                if substr(rest, place, 2) = '/*' then
                    depth := depth + 1;
                    place := place + 2;
                elsif substr(rest, place, 2) = '*/' then
                    depth := depth - 1;
                    place := place + 2;
                else
                    place := place + 1;
                end if;
                exit when depth = 0 or place > length(rest);
            end loop;
            token := case when depth = 0 then left(rest, place - 1) end;
        elsif token is null and starts_with(rest, '$') then
            tag := substring(rest, '^\$(?:[a-zA-Z_][a-zA-Z0-9_]*)?\$' collate "C");
            place := strpos(substr(rest, length(tag) + 1), tag);
            token := case when place > 0 then left(rest, place + 2 * length(tag) - 1) end;
        elsif token is null then
            token := substring(rest, '^[^''.\x80-\U0010ffff]' collate "C");
        elsif token ~ '^[a-zA-Z_]' collate "C" and substr(rest, length(token) + 1, 1) = '"' then
            token := null;
        end if;
        if token is null then
            raise exception 'QB: syntax error' using errcode = 'XX000';
        end if;

        place := array_position(i_columns, token);
        if place is null and i_values is not null and token ~ '^\$[0-9]+$' then
            place := array_position(i_columns, parameters[substr(token, 2)::integer]);
            if place is null then
                raise exception 'there is no parameter %', token using errcode = 'undefined_parameter';
            end if;
            result := result || i_values[place];
            rest := substr(rest, length(token) + 1);
            continue;
        elsif place is not null and array_position(parameters, token) is null then
            parameters := parameters || token;
        end if;
        if place is null then
            result := result || token;
        elsif i_values is not null then
            result := result || i_values[place];
        else
            result := result || '$' || array_position(parameters, token);
        end if;
        rest := substr(rest, length(token) + 1);
    end loop;
    return result;
end;
$$;

comment on function pgq.capture_rewrite(text, text[], text[]) is
    'A select list with the names of columns replaced';


-- The queries that replace fields, in the order of the fields and `when` last (capture_arguments); NULL where there is
-- none. Those of fields give one text column, that of `when` its text and the oid of its type.
-- An expression that is empty but for comments gives NULL. A column of i_missing is read from the record i_other.
create or replace function pgq.capture_queries(
    i_table oid,
    i_expressions text[],
    i_record text,
    i_missing text[] default '{}',
    i_other text default null
)
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    names text[];
    fields text[];
    queries text[];
    rewritten text;
begin
    select
        array_agg(a.attname::text order by a.attnum),
        array_agg(
            format('(%s.%I)', case when a.attname = any (i_missing) then i_other else i_record end, a.attname)
            order by a.attnum
        )
    from pg_attribute a
    where a.attrelid = i_table
        and a.attnum > 0
        and not a.attisdropped
    into names, fields;

    queries := array_fill(null::text, array[7]);
    for nr in 1 .. 7 loop
        continue when i_expressions[nr] is null;
        rewritten := regexp_replace(pgq.capture_rewrite(i_expressions[nr], names, fields), E'[;\\s]+$', '');
        if regexp_replace(rewritten, E'(--[^\\n]*|/\\*.*\\*/|\\s+)', '', 'g') = '' then
            rewritten := 'null';
        end if;
        queries[nr] := 'select case when pg_catalog.num_nulls(q.v) operator(pg_catalog.=) 0'
            || ' then pg_catalog.format(''%s'', q.v) end'
            || case when nr = 7 then ', pg_catalog.pg_typeof(q.v)::pg_catalog.oid' else '' end
            || ' from (select ' || rewritten || E'\n) as q (v)';
    end loop;
    return queries;
end;
$$;

comment on function pgq.capture_queries(oid, text[], text, text[], text) is
    'The queries that replace fields of events';


-- Raises what is wrong with a trigger and its arguments, in the order of the reference: they are taken one by one, and
-- an expression that counts is prepared when its turn comes. Syntax errors are those of the bare select list with its
-- columns as parameters. It runs as the user of the trigger. EXPLAIN does not execute an expression; what only planning
-- or execution finds wrong is found again when the event is made.
create or replace function pgq.capture_verify(
    i_table oid,
    i_operation text,
    i_level text,
    i_args text[],
    i_new record,
    i_old record
)
returns void
language plpgsql
as $$
declare
    names constant pg_catalog.text[] := array(
        select a.attname::pg_catalog.text
        from pg_catalog.pg_attribute a
        where a.attrelid operator(pg_catalog.=) i_table
            and a.attnum operator(pg_catalog.>) 0
            and not a.attisdropped
        order by a.attnum
    );
    fields constant pg_catalog.text[] := array(
        select pg_catalog.format('(%s.%I)',
            case when i_operation operator(pg_catalog.=) 'DELETE' then '$2' else '$1' end, f.name)
        from pg_catalog.unnest(names) with ordinality f (name, nr)
        order by f.nr
    );
    before pg_catalog.text[];
    after pg_catalog.text[];
    expression pg_catalog.text;
begin
    if i_operation operator(pg_catalog.<>) 'TRUNCATE' and i_level operator(pg_catalog.<>) 'ROW' then
        raise exception 'pgq Ins/Upd/Del trigger must be fired FOR EACH ROW' using errcode = 'XX000';
    end if;
    before := (pgq.capture_arguments(i_args[:0])).expressions;
    for nr in 1 .. pg_catalog.array_upper(i_args, 1) loop
        after := (pgq.capture_arguments(i_args[:nr])).expressions;
        continue when after operator(pg_catalog.=) before;
        if i_operation operator(pg_catalog.=) 'TRUNCATE' then
            raise exception 'Custom expressions do not make sense for truncater trigger' using errcode = 'XX000';
        end if;
        expression := pg_catalog.substr(i_args[nr], pg_catalog.strpos(i_args[nr], '=') operator(pg_catalog.+) 1);
        begin
            begin
                execute pg_catalog.concat('explain select ', pgq.capture_rewrite(expression, names));
            exception
                when undefined_parameter then
                    execute pg_catalog.concat('explain select ', pgq.capture_rewrite(expression, names, fields))
                    using i_new, i_old;
            end;
        exception
            when others then
                if pg_catalog.left(sqlstate, 2) operator(pg_catalog.=) any (array['42', '0A', 'XX']) then
                    raise;
                end if;
        end;
        before := after;
    end loop;
end;
$$;

comment on function pgq.capture_verify(oid, text, text, text[], record, record) is
    'Raises what is wrong with a capture trigger''s arguments';


-- The event's fields and `when` after the user's queries: results are the fields' values for whom no query is given,
-- and the last one is 't' or 'f'. Stable, so that the queries do not see the row that was just written, as in the
-- reference.
create or replace function pgq.capture_evaluate(i_queries text[], i_fields text[], i_new record, i_old record)
returns text[]
language plpgsql
stable
as $$
declare
    fields pg_catalog.text[] := i_fields;
    answer record;
    found_rows bigint;
begin
    for nr in 1 .. 6 loop
        continue when i_queries[nr] is null;
        found_rows := 0;
        for answer in execute i_queries[nr] using i_new, i_old loop
            found_rows := found_rows operator(pg_catalog.+) 1;
            if found_rows operator(pg_catalog.=) 1 then
                fields[nr] := answer."case";
            end if;
        end loop;
        if found_rows operator(pg_catalog.<>) 1 then
            raise exception 'Expect 1 row from override query, got %', found_rows using errcode = 'XX000';
        end if;
    end loop;

    fields[7] := 't';
    if i_queries[7] is not null then
        found_rows := 0;
        for answer in execute i_queries[7] using i_new, i_old loop
            found_rows := found_rows operator(pg_catalog.+) 1;
            if found_rows operator(pg_catalog.=) 1 then
                if answer.pg_typeof operator(pg_catalog.<>) 16 then
                    raise exception 'when= query result must be boolean, got=%', answer.pg_typeof
                        using errcode = 'XX000';
                elsif answer."case" is null then
                    raise exception 'when= should not be NULL' using errcode = 'XX000';
                end if;
                fields[7] := answer."case";
            end if;
        end loop;
        if found_rows operator(pg_catalog.<>) 1 then
            raise exception 'Expect 1 row from override query, got %', found_rows using errcode = 'XX000';
        end if;
    end if;
    return fields;
end;
$$;

comment on function pgq.capture_evaluate(text[], text[], record, record) is
    'The fields of an event after the user''s expressions';
