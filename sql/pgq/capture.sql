-- What a capture trigger has to do for a table, written as SQL (spec/pgq.md 8 and 9). The generic triggers execute this
-- SQL and the compiled ones contain it, so that both give the same events.
-- A trigger runs with the rights, the search_path and the settings of whoever changes the table: in the SQL that is
-- made here each name and operator is qualified, and backslashes stand in E'' only.


-- The arguments of a capture trigger (spec/pgq.md 8.1). ignored and keys are the texts of the lists, NULL if not given;
-- expressions holds those of ev_type, ev_data, ev_extra1 ... ev_extra4, when, in this order, NULL where not given.
create or replace function pgq.capture_arguments(
    i_args text[],
    out queue_name text,
    out skip boolean,
    out deny boolean,
    out backup boolean,
    out ignored text,
    out keys text,
    out expressions text[]
)
returns record
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    fields constant text[] := '{ev_type,ev_data,ev_extra1,ev_extra2,ev_extra3,ev_extra4,when}';
    -- The array of a trigger's arguments begins with number 0.
    args constant text[] := i_args[:];
    arg text;
    field integer;
begin
    if coalesce(cardinality(args), 0) = 0 then
        raise exception 'pgq trigger must have destination queue as argument' using errcode = 'XX000';
    end if;
    queue_name := args[1];
    skip := false;
    deny := false;
    backup := false;
    expressions := array_fill(null::text, array[7]);
    foreach arg in array args[2:] loop
        field := array_position(fields, split_part(arg, '=', 1));
        if arg = 'SKIP' then
            skip := true;
        elsif arg = 'deny' then
            deny := true;
        elsif arg = 'backup' then
            backup := true;
        elsif starts_with(arg, 'ignore=') then
            ignored := substr(arg, 8);
        elsif starts_with(arg, 'pkey=') then
            keys := substr(arg, 6);
        elsif field is not null and strpos(arg, '=') > 0 then
            expressions[field] := coalesce(expressions[field], substr(arg, strpos(arg, '=') + 1));
        else
            raise exception 'bad param to pgq trigger' using errcode = 'XX000';
        end if;
    end loop;
end;
$$;

comment on function pgq.capture_arguments(text[]) is
    'The arguments of a capture trigger, taken apart';


-- Whether a column is named in a list (spec/pgq.md 8.1): its name between commas, white space and the ends.
create or replace function pgq.capture_lists(i_list text, i_column text)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    found_at integer;
    start integer := 1;
begin
    loop
        found_at := strpos(substr(i_list, start), i_column);
        if coalesce(found_at, 0) = 0 then
            return false;
        end if;
        start := start + found_at;
        if (start = 2 or substr(i_list, start - 2, 1) ~ E'[, \t\n\v\f\r]')
            and (start + length(i_column) > length(i_list) + 1
                or substr(i_list, start - 1 + length(i_column), 1) ~ E'[, \t\n\v\f\r]')
        then
            return true;
        end if;
    end loop;
end;
$$;

comment on function pgq.capture_lists(text, text) is
    'Whether a list in a capture trigger''s arguments names a column';


-- The type that a domain stands on, or the type itself.
create or replace function pgq.capture_base_type(i_type oid)
returns oid
language sql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    with recursive base (oid, typtype, typbasetype) as (
        select t.oid, t.typtype, t.typbasetype
        from pg_type t
        where t.oid = i_type
        union all
        select t.oid, t.typtype, t.typbasetype
        from base b
        join pg_type t on t.oid = b.typbasetype
        where b.typtype = 'd'
    )
    select oid
    from base
    where typtype <> 'd'
$$;

comment on function pgq.capture_base_type(oid) is
    'The type below a domain, or the type itself';


-- SQL for the text that a type's output function gives for a value; NULL for NULL. A cast would give another text for
-- boolean, char(n), inet and others. A function outside pg_catalog may stand in a schema that the writer may not use.
create or replace function pgq.capture_text(i_type oid, i_value text)
returns text
language sql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case
        when p.pronamespace = 'pg_catalog'::regnamespace and (p.proargtypes[0] = t.oid or a.typtype = 'p') then
            format('pg_catalog.textin(pg_catalog.%I(%s))', p.proname, i_value)
        else
            format(
                'case when pg_catalog.num_nulls(%s) operator(pg_catalog.=) 0 then pg_catalog.format(''%%s'', %s) end',
                i_value, i_value)
        end
    from pg_type t
    join pg_proc p on p.oid = t.typoutput
    join pg_type a on a.oid = p.proargtypes[0]
    where t.oid = pgq.capture_base_type(i_type)
$$;

comment on function pgq.capture_text(oid, text) is
    'SQL for the text of a value as its type''s output function writes it';


-- SQL for the url-encoded text of a value; NULL for NULL. Types whose text never holds anything to encode go without.
create or replace function pgq.capture_url(i_type oid, i_value text)
returns text
language sql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case
        when pgq.capture_base_type(i_type)::regtype::text in ('boolean', 'smallint', 'integer', 'bigint', 'numeric',
            'uuid', 'oid', 'xid', 'xid8', 'cid', 'bit', 'bit varying')
        then pgq.capture_text(i_type, i_value)
        else 'pgq.url_encode(' || pgq.capture_text(i_type, i_value) || ')'
        end
$$;

comment on function pgq.capture_url(oid, text) is
    'SQL for the url-encoded text of a value';


-- SQL for the JSON text of a value (spec/pgq.md 9.4); `null` for NULL.
create or replace function pgq.capture_json(i_type oid, i_value text)
returns text
language sql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case
        when i_type = 'bool'::regtype then
            format('case when %s then ''true'' when not %s then ''false'' else ''null'' end', i_value, i_value)
        when i_type in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) then
            format('coalesce(%s, ''null'')', pgq.capture_text(i_type, i_value))
        else
            format('coalesce(pg_catalog.textin(pg_catalog.json_out(pg_catalog.to_json(%s))), ''null'')',
                case
                when i_type in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) then i_value
                else pgq.capture_text(i_type, i_value)
                end)
        end
$$;

comment on function pgq.capture_json(oid, text) is
    'SQL for the JSON text of a value';


-- SQL for whether two values of a column differ by the type's default equality (spec/pgq.md 8.3); never NULL.
-- Arrays and types without a default btree or hash operator class are compared by their texts. For classes outside
-- pg_catalog, record_eq finds the operator itself: the writer may not be allowed to use its schema.
create or replace function pgq.capture_differs(i_type oid, i_old text, i_new text)
returns text
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    base record;
    has_equality boolean;
begin
    select t.oid, t.typtype, t.typnamespace = 'pg_catalog'::regnamespace as builtin, a.oid is not null as is_array
    from pg_type t
    left join pg_type a on a.typarray = t.oid
    where t.oid = pgq.capture_base_type(i_type)
    into base;

    has_equality := base.typtype in ('e', 'r', 'm') or exists (
        select
        from pg_opclass o
        where o.opcdefault
            and o.opcmethod in (select m.oid from pg_am m where m.amname in ('btree', 'hash'))
            and (
                o.opcintype = base.oid
                or exists (
                    select
                    from pg_cast c
                    where c.castsource = base.oid
                        and c.casttarget = o.opcintype
                        and c.castmethod = 'b'
                        and c.castcontext = 'i'
                )
            )
    );
    if base.typtype = 'c' then
        return format('pgq.capture_composite_differs(%s, %s)', i_old, i_new);
    elsif base.is_array or not has_equality then
        return format('coalesce(%s operator(pg_catalog.<>) %s collate pg_catalog."C",'
            ' pg_catalog.num_nulls(%s, %s) operator(pg_catalog.=) 1)',
            pgq.capture_text(i_type, i_old), pgq.capture_text(i_type, i_new), i_old, i_new);
    elsif base.typtype in ('e', 'r', 'm') then
        -- By function: the choice of an operator looks at casts, and one to text may be its owner's function.
        return format('coalesce(not pg_catalog.%s(%s, %s), pg_catalog.num_nulls(%s, %s) operator(pg_catalog.=) 1)',
            case base.typtype when 'e' then 'enum_eq' when 'r' then 'range_eq' else 'multirange_eq' end,
            i_old, i_new, i_old, i_new);
    elsif base.builtin then
        return format('coalesce(not (%s operator(pg_catalog.=) %s),'
            ' pg_catalog.num_nulls(%s, %s) operator(pg_catalog.=) 1)',
            i_old, i_new, i_old, i_new);
    end if;
    return format('not pg_catalog.record_eq(row(%s), row(%s))', i_old, i_new);
end;
$$;

comment on function pgq.capture_differs(oid, text, text) is
    'SQL for whether two values differ by their type''s default equality';


-- Whether two composite values differ: by the equality of their members, or by their texts if one has none. Looked at
-- anew each time, because members come and go without a change of the table.
create or replace function pgq.capture_composite_differs(i_old anyelement, i_new anyelement)
returns boolean
language plpgsql
stable
as $$
begin
    return not pg_catalog.record_eq(row(i_old), row(i_new));
exception
    when undefined_function then
        return case pg_catalog.num_nulls(i_old, i_new)
            when 2 then false
            when 1 then true
            else pg_catalog.format('%s', i_old) operator(pg_catalog.<>) pg_catalog.format('%s', i_new)
            end;
end;
$$;

comment on function pgq.capture_composite_differs(anyelement, anyelement) is
    'Whether two composite values differ, by their members'' equality or by their texts';


-- The names of a table's key columns as a list. They are those of the primary key's index, in its order: names given
-- when it was made, with the columns that it only includes, as the reference reads them (spec/pgq.md 8.1).
create or replace function pgq.capture_keys(i_table oid)
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select array(
        select a.attname::text
        from pg_index i
        join pg_attribute a on a.attrelid = i.indexrelid
        where i.indrelid = i_table
            and i.indisprimary
            and a.attnum > 0
        order by a.attnum
    )
$$;

comment on function pgq.capture_keys(oid) is
    'The names of a table''s key columns';


-- The columns of a table as its triggers see them, in table order.
create or replace function pgq.capture_columns(
    i_table oid,
    i_args text[],
    out column_number smallint,
    out column_name text,
    out column_type oid,
    out is_key boolean,
    out is_ignored boolean,
    out is_magic boolean,
    out is_generated boolean
)
returns setof record
language sql
stable
rows 20
set search_path = pg_catalog, pg_temp
as $$
    select
        a.attnum,
        a.attname::text,
        a.atttypid,
        not m.is_magic and pgq.capture_lists(k.keys, a.attname::text),
        g.ignored is not null and pgq.capture_lists(g.ignored, a.attname::text),
        m.is_magic,
        a.attgenerated <> ''
    from pgq.capture_arguments(i_args) g
    cross join lateral (select coalesce(g.keys, array_to_string(pgq.capture_keys(i_table), ','))) k (keys)
    join pg_attribute a on a.attrelid = i_table
    cross join lateral (select starts_with(a.attname::text, '_pgq_ev_')) m (is_magic)
    where a.attnum > 0
        and not a.attisdropped
    order by a.attnum
$$;

comment on function pgq.capture_columns(oid, text[]) is
    'The columns of a table as a capture trigger with these arguments sees them';
