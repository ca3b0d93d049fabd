-- The text of a compiled capture trigger's function. The expressions are those of the generic triggers
-- (pgq.capture_statement); what is added here is only the way to insert the event.
--
-- A generated function runs with the rights of the owner of pgq, who may insert into event tables: nothing in it comes
-- from a user. Values become texts by their types' output functions and are compared by operators of default classes,
-- which superusers make; casts and operators of users are never looked up, whatever the search_path is.


-- SQL for a url-encoded row with one test and a few replacements for all columns together, where the values hold nothing
-- else to encode than blanks, colons and plus signs. So do dates in the style ISO; other styles have
-- slashes and names of time zones, which hold anything. i_style is SQL for whether the session has another style.
create or replace function pgq.capture_row_at_once(i_table oid, i_args text[], i_record text, i_style text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    c record;
    name text;
    value text;
    parts text[] := '{}';
    tested text[] := '{}';
    has_style boolean := false;
    has_marks boolean := false;
begin
    for c in
        select column_name, column_type, pgq.capture_base_type(column_type)::regtype::text as base
        from pgq.capture_columns(i_table, i_args)
        where not is_ignored
            and not is_magic
        order by column_number
    loop
        name := pgq.url_encode(c.column_name);
        value := i_record || '.' || quote_ident(c.column_name);
        -- A text is its own text form.
        if c.column_type not in ('text'::regtype, 'varchar'::regtype) then
            value := pgq.capture_text(c.column_type, value);
        end if;
        if strpos(name, '+') > 0 then
            return null;
        end if;
        parts := parts || quote_literal(case when parts = '{}' then '' else '&' end || name)
            || ('''='' operator(pg_catalog.||) ' || value);
        if c.base in ('date', 'time without time zone', 'time with time zone', 'timestamp without time zone',
            'timestamp with time zone')
        then
            has_marks := true;
            has_style := has_style or c.base not like 'time with%';
        elsif pgq.capture_url(c.column_type, 'x') <> pgq.capture_text(c.column_type, 'x') then
            tested := tested || value;
            has_marks := true;
        end if;
    end loop;
    if not has_marks then
        return null;
    end if;

    return format(
        'case when %s then %s else pg_catalog.replace(pg_catalog.replace(pg_catalog.replace('
            '%s collate pg_catalog."C", ''+'', ''%%2b''), '' '', ''+''), '':'', ''%%3a'') end',
        concat_ws(
            ' or ',
            case when tested = '{}' and not has_style then 'false' end,
            case when has_style then
                i_style
            end,
            case when tested <> '{}' then
                case when cardinality(tested) = 1 then tested[1] else pgq.capture_concat(tested) end
                || ' operator(pg_catalog.~) ''[^-_.a-zA-Z0-9 :+]'' collate pg_catalog."C"'
            end
        ),
        pgq.capture_row('logutriga', i_table, i_args, i_record),
        pgq.capture_concat(parts)
    );
end;
$$;

comment on function pgq.capture_row_at_once(oid, text[], text, text) is
    'SQL for a url-encoded row, encoded at once where it can be';


-- SQL for whether the session shows dates in another style than ISO.
create or replace function pgq.capture_style()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select 'not pg_catalog.starts_with(pg_catalog.current_setting(''DateStyle''), ''ISO'')'
$$;

comment on function pgq.capture_style() is
    'SQL that tells of dates in another style than ISO';


-- The expressions of one operation's event, with the faster form of a row where there is one. data raises where sqltriga
-- meets a NULL in the key.
create or replace function pgq.capture_expressions(
    i_kind text,
    i_table oid,
    i_operation text,
    i_args text[],
    i_before boolean,
    i_new text,
    i_old text,
    i_style text,
    out checked text,
    out types text[],
    out data text
)
returns record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    s constant record := pgq.capture_statement(i_kind, i_table, i_operation, i_args, i_before, i_new, i_old);
    this constant text := case when i_operation = 'DELETE' then i_old else i_new end;
begin
    checked := s.checked;
    types := array[s.ev_type, s.ev_extra1, s.ev_extra2, s.ev_extra3, s.ev_extra4];
    data := s.ev_data;
    if i_kind = 'logutriga' and s.ev_data = pgq.capture_row(i_kind, i_table, i_args, this) then
        data := coalesce(pgq.capture_row_at_once(i_table, i_args, this, i_style), data);
    elsif s.needs_data then
        data := format('coalesce(%s, pgq.capture_null_key())', data);
    end if;
end;
$$;

comment on function pgq.capture_expressions(text, oid, text, text[], boolean, text, text, text) is
    'SQL for the fields of an event in a compiled capture trigger';


create or replace function pgq.capture_null_key()
returns text
language plpgsql
as $$
begin
    raise exception 'logtriga: Unexpected NULL key value' using errcode = 'XX000';
end;
$$;

comment on function pgq.capture_null_key() is
    'Raises the error of a NULL in the key of a partial SQL event';


create or replace function pgq.capture_key_changed()
returns boolean
language plpgsql
as $$
begin
    raise exception 'primary key update not allowed' using errcode = 'XX000';
end;
$$;

comment on function pgq.capture_key_changed() is
    'Raises the error of an update that changes the key';


-- SQL for whether an update changed the key, for AFTER triggers; as short as it can be, for it is read anew for each statement where it is the
-- condition of a trigger.
create or replace function pgq.capture_key_changes(i_table oid, i_args text[], i_new text, i_old text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(
        case
        when pgq.capture_differs(c.column_type, 'a', 'b') = 'coalesce(not (a operator(pg_catalog.=) b),'
            ' pg_catalog.num_nulls(a, b) operator(pg_catalog.=) 1)'
            and c.is_not_null
        then format('not (%s.%I operator(pg_catalog.=) %s.%I)', i_old, c.column_name, i_new, c.column_name)
        else pgq.capture_differs(c.column_type,
            i_old || '.' || quote_ident(c.column_name), i_new || '.' || quote_ident(c.column_name))
        end,
        ' or ' order by c.column_number
    )
    from (
        select k.*, a.attnotnull and pgq.capture_base_type(k.column_type) < 16384 as is_not_null
        from pgq.capture_columns(i_table, i_args) k
        join pg_attribute a on a.attrelid = i_table and a.attnum = k.column_number
    ) c
    where c.is_key
$$;

comment on function pgq.capture_key_changes(oid, text[], text, text) is
    'SQL for whether an update changes the key';


-- The part of a row function that makes the event of one operation.
create or replace function pgq.capture_row_branch(
    i_kind text,
    i_table oid,
    i_operation text,
    i_args text[],
    i_before boolean,
    i_queue pgq.queue
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    e constant record := pgq.capture_expressions(
        i_kind, i_table, i_operation, i_args, i_before, 'new', 'old', pgq.capture_style());
    fields text[] := '{}';
    body text := '';
    result constant text := pgq.capture_result(i_args, i_operation, i_before);
begin
    if i_operation = 'UPDATE' and e.checked is not null and not i_before and not pgq.capture_is_paired(i_kind, i_args)
    then
        body := format(E'    if %s then\n        perform pgq.capture_key_changed();\n    end if;\n',
            pgq.capture_key_changes(i_table, i_args, 'new', 'old'));
    elsif e.checked is not null then
        body := format(
            E'    verdict := %s;\n'
            '    if verdict is null then\n'
            '    elsif verdict operator(pg_catalog.=) ''key'' then\n'
            '        perform pgq.capture_key_changed();\n'
            '    elsif verdict operator(pg_catalog.=) ''null'' then\n'
            '        perform pgq.capture_null_key();\n'
            '    else\n'
            '        return %s;\n'
            '    end if;\n',
            e.checked, result);
    end if;
    body := body || format(E'    data := %s;\n', e.data);
    -- What is not a constant is computed by an assignment: an expression inside of the INSERT is set up for each row.
    for nr in 1 .. 5 loop
        if e.types[nr] ~ $re$^(null$|E?')$re$ then
            fields := fields || e.types[nr];
        else
            fields := fields || format('field%s', nr);
            body := body || format(E'    field%s := %s;\n', nr, e.types[nr]);
        end if;
    end loop;
    for nr in 0 .. i_queue.queue_ntables - 1 loop
        body := body || format(
            E'    %s pgq.capture_queue_%s(%L, %L, %L) operator(pg_catalog.=) %s then\n'
            '        insert into %s (ev_id, ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)\n'
            '        values (pg_catalog.nextval(%L), pg_catalog.now(), %s, data, %s);\n',
            case when nr = 0 then 'if' else 'elsif' end,
            i_queue.queue_id, i_queue.queue_name, i_queue.queue_data_pfx, i_queue.queue_event_seq, nr,
            pgq.quote_fqname(i_queue.queue_data_pfx || '_' || nr),
            pgq.quote_fqname(i_queue.queue_event_seq),
            fields[1], array_to_string(fields[2:], ', '));
    end loop;
    return body || format(
        E'    else\n        perform pgq.insert_event(%L, %s, data, %s);\n    end if;\n    return %s;\n',
        i_queue.queue_name, fields[1], array_to_string(fields[2:], ', '), result);
end;
$$;

comment on function pgq.capture_row_branch(text, oid, text, text[], boolean, pgq.queue) is
    'Code of a compiled row trigger for one operation';


-- What a row trigger returns after its event.
create or replace function pgq.capture_result(i_args text[], i_operation text, i_before boolean)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when not i_before or (pgq.capture_arguments(i_args)).skip then 'null'
        when i_operation = 'DELETE' then 'old'
        else 'new'
        end
$$;

comment on function pgq.capture_result(text[], text, boolean) is
    'What a capture trigger returns';
