-- What the generic capture triggers have to do for a table, remembered together with everything that it is made from: a
-- changed table never meets what was made for its former shape.


-- What is remembered: a row for a trigger's work on one operation. Unlogged, because it can always be made again, and
-- without a key but its number, so that nobody waits for another's transaction: the same may be remembered twice.
-- plan_heads and what follows it are for rows made from texts (capture_plain).
create unlogged table if not exists pgq.capture_plan (
    plan_id bigint generated always as identity primary key,
    plan_table oid not null,
    plan_name text not null,
    plan_kind text not null,
    plan_operation text not null,
    plan_moment text not null,
    plan_level text not null,
    plan_args text[] not null,
    plan_columns text[] not null,
    plan_keys text[] not null,
    plan_statement text not null,
    plan_needs_data boolean not null,
    plan_skip boolean not null,
    plan_queries text[],
    plan_unknown_magic text,
    plan_type text,
    plan_heads text[],
    plan_forms text[],
    plan_key_names text[],
    plan_key_places integer[],
    plan_names text[],
    plan_exact boolean[],
    plan_prefix text,
    plan_needs_iso boolean,
    plan_backup boolean
);

create index if not exists capture_plan_table_idx on pgq.capture_plan (plan_table);

comment on table pgq.capture_plan is
    'What capture triggers have to do, as remembered';

grant select on pgq.capture_plan to public;

-- What another release has made may not be what this one makes.
delete from pgq.capture_plan;


-- Makes what a trigger has to do for one operation, or raises the error that it always gives (spec/pgq.md 8.2) and that
-- capture_verify does not know.
create or replace function pgq.capture_make(
    i_kind text,
    i_table oid,
    i_operation text,
    i_moment text,
    i_level text,
    i_args text[]
)
returns pgq.capture_plan
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    args record;
    work record;
    plain record;
    refusal text;
    plan pgq.capture_plan;
begin
    args := pgq.capture_arguments(i_args);
    plan.plan_table := i_table;
    plan.plan_kind := i_kind;
    plan.plan_operation := i_operation;
    plan.plan_moment := i_moment;
    plan.plan_level := i_level;
    plan.plan_args := i_args;
    plan.plan_keys := pgq.capture_keys(i_table);
    plan.plan_skip := args.skip;
    select
        coalesce(array_agg(concat(a.attname, ' ', a.atttypid, a.attgenerated, ' ', a.attcollation) order by a.attnum), '{}')
    from pg_attribute a
    where a.attrelid = i_table
        and a.attnum > 0
        and not a.attisdropped
    into plan.plan_columns;
    select n.nspname || '.' || c.relname
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = i_table
    into plan.plan_name;

    refusal := case
        when i_operation = 'TRUNCATE' and array_remove(args.expressions, null) <> '{}'
            then 'Custom expressions do not make sense for truncater trigger'
        when i_operation = 'TRUNCATE' and args.ignored is not null
            then 'Column ignore does not make sense for truncate trigger'
        when i_operation = 'TRUNCATE' and args.keys is not null
            then 'Custom pkey_list does not make sense for truncate trigger'
        when i_operation = 'TRUNCATE' and args.backup
            then 'Backup does not make sense for truncate trigger'
        when i_operation in ('UPDATE', 'DELETE') and coalesce(args.keys, array_to_string(plan.plan_keys, ',')) = ''
            then 'Update/Delete on table without pkey'
        when args.skip and i_moment = 'AFTER'
            then 'SKIP does not work in AFTER trigger.'
        when args.deny
            then format('Table ''%s'' to queue ''%s'': change not allowed (%s)',
                plan.plan_name, args.queue_name, i_operation)
        end;
    if refusal is not null then
        raise exception '%', refusal using errcode = 'XX000';
    end if;

    work := pgq.capture_statement(i_kind, i_table, i_operation, i_args, i_moment = 'BEFORE');
    plan.plan_statement := format('select %s, %s, %s, %s, %s, %s, %s',
        coalesce(work.checked, 'null'), work.ev_type, work.ev_data,
        work.ev_extra1, work.ev_extra2, work.ev_extra3, work.ev_extra4);
    plan.plan_needs_data := work.needs_data;
    plan.plan_queries := work.queries;
    plan.plan_unknown_magic := work.unknown_magic;

    plain := pgq.capture_plain(i_kind, i_table, i_operation, i_args, i_moment = 'BEFORE');
    if plain.heads is not null then
        execute 'select ' || work.ev_type
        into plan.plan_type;
        plan.plan_heads := plain.heads;
        plan.plan_forms := plain.forms;
        plan.plan_key_names := plain.keys;
        plan.plan_key_places := plain.key_places;
        plan.plan_names := plain.names;
        plan.plan_exact := plain.exact;
        plan.plan_prefix := plain.prefix;
        plan.plan_needs_iso := plain.needs_iso;
        plan.plan_backup := plain.backup;
    end if;
    return plan;
end;
$$;

comment on function pgq.capture_make(text, oid, text, text, text, text[]) is
    'Makes what a capture trigger has to do for one operation';


-- Remembers what capture_make makes. As the owner, who alone may write what all others execute: nothing is taken over
-- from the caller.
create or replace function pgq.capture_remember(
    i_kind text,
    i_table oid,
    i_operation text,
    i_moment text,
    i_level text,
    i_args text[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    plan pgq.capture_plan;
begin
    -- What is left of dropped tables goes at such a moment, unless somebody else is at it.
    if current_setting('transaction_isolation') = 'read committed' then
        delete from pgq.capture_plan p
        where p.plan_id in (
            select o.plan_id
            from pgq.capture_plan o
            where not exists (select from pg_class c where c.oid = o.plan_table)
            for update skip locked
        );
    end if;

    plan := pgq.capture_make(i_kind, i_table, i_operation, i_moment, i_level, i_args);
    plan.plan_id := nextval(pg_get_serial_sequence('pgq.capture_plan', 'plan_id'));
    insert into pgq.capture_plan overriding system value
    values (plan.*);
end;
$$;

comment on function pgq.capture_remember(text, oid, text, text, text, text[]) is
    'Remembers what a capture trigger has to do for one operation';


-- What a trigger has to do, as it is remembered for just this shape of the table; NULLs if it is not.
-- Volatile, in order to see the catalog as it is now and not as it was when the statement began. It does not work with
-- the search_path of pg_catalog alone, because setting one at each call would cost more than the rest.
create or replace function pgq.capture_find(
    i_kind text,
    i_table oid,
    i_name text,
    i_operation text,
    i_moment text,
    i_level text,
    i_args text[]
)
returns pgq.capture_plan
language plpgsql
as $$
declare
    plan pgq.capture_plan;
begin
    select p.*
    from pgq.capture_plan p
    where p.plan_table operator(pg_catalog.=) i_table
        and p.plan_operation operator(pg_catalog.=) i_operation
        and p.plan_kind operator(pg_catalog.=) i_kind
        and p.plan_name operator(pg_catalog.=) i_name
        and p.plan_moment operator(pg_catalog.=) i_moment
        and p.plan_level operator(pg_catalog.=) i_level
        and p.plan_args operator(pg_catalog.=) i_args
        and p.plan_columns operator(pg_catalog.=) array(
            select pg_catalog.concat(a.attname, ' ', a.atttypid, a.attgenerated, ' ', a.attcollation)
            from pg_catalog.pg_attribute a
            where a.attrelid operator(pg_catalog.=) i_table
                and a.attnum operator(pg_catalog.>) 0
                and not a.attisdropped
            order by a.attnum
        )
        and p.plan_keys operator(pg_catalog.=) array(
            select a.attname::pg_catalog.text
            from pg_catalog.pg_index i
            join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) i.indexrelid
            where i.indrelid operator(pg_catalog.=) i_table
                and i.indisprimary
                and a.attnum operator(pg_catalog.>) 0
            order by a.attnum
        )
    limit 1
    into plan;
    return plan;
end;
$$;

comment on function pgq.capture_find(text, oid, text, text, text, text, text[]) is
    'What a capture trigger has to do for one operation';


-- The same by its number, if it is what the caller means.
create or replace function pgq.capture_recall(
    i_id bigint,
    i_kind text,
    i_table oid,
    i_name text,
    i_operation text,
    i_moment text,
    i_args text[]
)
returns pgq.capture_plan
language plpgsql
as $$
declare
    plan pgq.capture_plan;
begin
    select p.*
    from pgq.capture_plan p
    where p.plan_id operator(pg_catalog.=) i_id
        and p.plan_table operator(pg_catalog.=) i_table
        and p.plan_operation operator(pg_catalog.=) i_operation
        and p.plan_kind operator(pg_catalog.=) i_kind
        and p.plan_name operator(pg_catalog.=) i_name
        and p.plan_moment operator(pg_catalog.=) i_moment
        and p.plan_args operator(pg_catalog.=) i_args
    into plan;
    return plan;
end;
$$;

comment on function pgq.capture_recall(bigint, text, oid, text, text, text, text[]) is
    'What a capture trigger has to do for one operation, by its number';


-- Above READ COMMITTED the catalog is read as it was when the transaction began, but the record is of the table as it
-- is now: where they do not fit together, the transaction has to be repeated.
create or replace function pgq.capture_fits(i_table oid, i_record record)
returns void
language plpgsql
as $$
begin
    if array(select k.name from pg_catalog.json_object_keys(pg_catalog.row_to_json(i_record)) k (name))
        operator(pg_catalog.<>) array(
            select a.attname::pg_catalog.text
            from pg_catalog.pg_attribute a
            where a.attrelid operator(pg_catalog.=) i_table
                and a.attnum operator(pg_catalog.>) 0
                and not a.attisdropped
            order by a.attnum
        )
    then
        raise exception 'could not serialize access due to a concurrent change of table %', i_table::pg_catalog.regclass
            using errcode = 'serialization_failure';
    end if;
end;
$$;

comment on function pgq.capture_fits(oid, record) is
    'Whether a record has the columns that its table has for this transaction; raises an error if not';


-- How often this transaction has changed pg_attribute (1249) and pg_index (2610): it grows with each change of a table
-- that matters here. NULL if the server does not count. Volatile, as what it calls, so that it is expanded in line.
create or replace function pgq.capture_changes()
returns text
language sql
as $$
    select case when pg_catalog.current_setting('track_counts') operator(pg_catalog.=) 'on' then
        pg_catalog.concat_ws(' ',
            pg_catalog.pg_stat_get_xact_tuples_inserted(1249), pg_catalog.pg_stat_get_xact_tuples_updated(1249),
            pg_catalog.pg_stat_get_xact_tuples_deleted(1249), pg_catalog.pg_stat_get_xact_tuples_inserted(2610),
            pg_catalog.pg_stat_get_xact_tuples_updated(2610), pg_catalog.pg_stat_get_xact_tuples_deleted(2610), ':')
        end
$$;

comment on function pgq.capture_changes() is
    'How often this transaction has changed the catalog of columns and indexes';


revoke execute on function
    pgq.capture_remember(text, oid, text, text, text, text[])
from public;

grant execute on function
    pgq.capture_remember(text, oid, text, text, text, text[])
to pgq_writer;
