-- The generic capture triggers (spec/pgq.md 8). They execute SQL made for the table, which is remembered together with
-- everything that it is made from: a changed table never meets the SQL of its former shape.


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
        coalesce(array_agg(concat(a.attname, ' ', a.atttypid, a.attgenerated) order by a.attnum), '{}')
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
            select pg_catalog.concat(a.attname, ' ', a.atttypid, a.attgenerated)
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


-- How often this transaction has changed the catalog of columns and indexes: it grows with each change of a table that
-- matters here. NULL if the server does not count.
create or replace function pgq.capture_changes()
returns text
language sql
stable
as $$
    select case when pg_catalog.current_setting('track_counts') operator(pg_catalog.=) 'on' then
        pg_catalog.concat(
            pg_catalog.pg_stat_get_xact_tuples_inserted(1249), ' ', pg_catalog.pg_stat_get_xact_tuples_updated(1249), ' ',
            pg_catalog.pg_stat_get_xact_tuples_deleted(1249), ' ', pg_catalog.pg_stat_get_xact_tuples_inserted(2610), ' ',
            pg_catalog.pg_stat_get_xact_tuples_updated(2610), ' ', pg_catalog.pg_stat_get_xact_tuples_deleted(2610), ':')
        end
$$;

comment on function pgq.capture_changes() is
    'How often this transaction has changed the catalog of columns and indexes';


-- The three triggers differ in nothing but their names and the way a row is made from texts. Stable, so that the user's
-- expressions do not see the row that was just written; what they call is volatile.
--
-- The catalog is compared with what is remembered once in a transaction and again after this transaction has changed a
-- table: no other one can as long as this one has written to it. What it was found to be is kept as a number in a setting
-- that ends with the transaction, or with the savepoint that the lock on the table ends with.
do $make$
declare
    work record;
begin
    for work in
        select *
        from (
            values
            ('logutriga', $row$ev_data := pgq.capture_url_row(plan.plan_heads, case when after is null then before else after end);
            if plan.plan_backup then
                ev_extra2 := pgq.capture_url_row(plan.plan_heads, before);
            end if;$row$),
            ('jsontriga', $row$ev_data := pgq.capture_json_row(plan.plan_heads, plan.plan_forms, case when after is null then before else after end);
            if plan.plan_backup then
                ev_extra2 := pgq.capture_json_row(plan.plan_heads, plan.plan_forms, before);
            end if;$row$),
            ('sqltriga', $row$if before is null then
                ev_data := pg_catalog.concat(plan.plan_prefix, pgq.capture_sql_row(plan.plan_heads, after));
            else
                ev_data := pgq.capture_sql_condition(plan.plan_key_names, before);
                if after is not null then
                    changes := pgq.capture_sql_changes(plan.plan_names, plan.plan_exact, after, before);
                    is_plain := changes is not null;
                    if changes operator(pg_catalog.=) '' then
                        changes := pg_catalog.concat(plan.plan_key_names[plan.plan_key_places[1]],
                            pg_catalog.quote_literal(before[plan.plan_key_places[1]]));
                    end if;
                    ev_data := pg_catalog.textcat(pg_catalog.textcat(changes, ' where '), ev_data);
                end if;
            end if;$row$)
        ) w (kind, row_from_texts)
    loop
        execute pg_catalog.replace(pg_catalog.replace($template$
create or replace function pgq.KIND()
returns trigger
language plpgsql
stable
as $$
declare
    table_name text;
    setting text;
    changed text;
    known text;
    plan pgq.capture_plan;
    is_new boolean := false;
    is_plain boolean;
    place integer;
    before text[];
    after text[];
    changes text;
    checked text;
    ev_type text;
    ev_data text;
    ev_extra1 text;
    ev_extra2 text;
    ev_extra3 text;
    ev_extra4 text;
    fields text[];
    event_id bigint;
begin
    if pg_catalog.current_setting('session_replication_role') operator(pg_catalog.=) 'local' then
        if tg_op operator(pg_catalog.=) 'DELETE' then
            return old;
        end if;
        return new;
    end if;

    table_name := pg_catalog.concat(tg_table_schema, '.', tg_table_name);
    setting := pg_catalog.concat('pgq.capture_KIND_', tg_relid, '_', tg_op);
    changed := pgq.capture_changes();
    known := pg_catalog.current_setting(setting, true);
    if pg_catalog.starts_with(known, changed) then
        plan := pgq.capture_recall(pg_catalog.substr(known, pg_catalog.length(changed) operator(pg_catalog.+) 1)::bigint,
            'KIND', tg_relid, table_name, tg_op, tg_when, tg_argv);
    end if;
    if plan.plan_id is null then
        plan := pgq.capture_find('KIND', tg_relid, table_name, tg_op, tg_when, tg_level, tg_argv);
        if plan.plan_id is null then
            is_new := true;
            perform pgq.capture_verify(tg_relid, tg_op, tg_level, tg_argv, new, old);
            plan := pgq.capture_make('KIND', tg_relid, tg_op, tg_when, tg_level, tg_argv);
        elsif changed is not null then
            known := pg_catalog.set_config(setting, pg_catalog.concat(changed, plan.plan_id), true);
        end if;
    end if;

    is_plain := plan.plan_heads is not null
        and (not plan.plan_needs_iso
            or pg_catalog.starts_with(pg_catalog.current_setting('DateStyle'), 'ISO'));
    if is_plain then
        if tg_op operator(pg_catalog.<>) 'INSERT' then
            before := pgq.capture_values(old::pg_catalog.text, pg_catalog.cardinality(plan.plan_heads));
        end if;
        if tg_op operator(pg_catalog.<>) 'DELETE' then
            after := pgq.capture_values(new::pg_catalog.text, pg_catalog.cardinality(plan.plan_heads));
        end if;
        if tg_op operator(pg_catalog.=) 'UPDATE' then
            -- Whether different texts are different keys is left to the values.
            foreach place in array plan.plan_key_places loop
                is_plain := is_plain and coalesce(before[place] operator(pg_catalog.=) after[place],
                    pg_catalog.num_nulls(before[place], after[place]) operator(pg_catalog.=) 2);
            end loop;
        end if;
        if is_plain then
            ev_type := plan.plan_type;
            ev_extra1 := table_name;
            ROW_FROM_TEXTS
        end if;
    end if;
    if not is_plain then
        execute plan.plan_statement
        using new, old
        into checked, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4;
    end if;

    if checked operator(pg_catalog.=) 'key' then
        raise exception 'primary key update not allowed' using errcode = 'XX000';
    elsif checked operator(pg_catalog.=) 'null' or (plan.plan_needs_data and ev_data is null and checked is null) then
        raise exception 'logtriga: Unexpected NULL key value' using errcode = 'XX000';
    elsif checked is null then
        if plan.plan_unknown_magic is not null then
            raise exception 'Unknown magic column: %', plan.plan_unknown_magic using errcode = 'XX000';
        end if;
        if plan.plan_queries is null then
            event_id := pgq.insert_event(tg_argv[0], ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4);
        else
            fields := pgq.capture_evaluate(plan.plan_queries,
                array[ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4], new, old);
            if fields[7] operator(pg_catalog.=) 't' then
                event_id := pgq.insert_event(tg_argv[0],
                    fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]);
            end if;
        end if;
        if is_new
            and pg_catalog.has_function_privilege(
                'pgq.capture_remember(text, oid, text, text, text, text[])', 'execute')
        then
            perform pgq.capture_remember('KIND', tg_relid, tg_op, tg_when, tg_level, tg_argv);
        end if;
    end if;

    if plan.plan_skip or tg_when operator(pg_catalog.=) 'AFTER' then
        return null;
    elsif tg_op operator(pg_catalog.=) 'DELETE' then
        return old;
    end if;
    return new;
end;
$$
$template$, 'KIND', work.kind), 'ROW_FROM_TEXTS', work.row_from_texts);
    end loop;
end;
$make$;

comment on function pgq.logutriga() is
    'Trigger: an event with the url-encoded row for each change';
comment on function pgq.sqltriga() is
    'Trigger: an event with the partial SQL of each change';
comment on function pgq.jsontriga() is
    'Trigger: an event with the row as JSON for each change';


-- Everybody may fire a trigger; whoever may not insert events is told so by insert_event.
revoke execute on function
    pgq.jsontriga(),
    pgq.logutriga(),
    pgq.sqltriga(),
    pgq.capture_remember(text, oid, text, text, text, text[])
from public;

grant execute on function
    pgq.jsontriga(),
    pgq.logutriga(),
    pgq.sqltriga(),
    pgq.capture_remember(text, oid, text, text, text, text[])
to pgq_writer;
