-- Compiled capture: the function behind a capture trigger is replaced by one that was generated for its table, with
-- everything static. It makes the same events as the generic one (spec/pgq.md 8, 9).
--
-- The generated function says by its name what it is: pgq.KIND_FORM_NUMBER, as in pgq.logutriga_row_7.
--
-- row: the trigger stays as it is.
-- statement: the events of a statement are inserted by one INSERT that reads transition tables. The trigger stays as the
-- anchor of the whole: FOR EACH ROW with a condition that only the change of a key meets. It has a transition table too,
-- and so the server refuses to make the table a partition or an inheritance child, whose changes through the parent
-- would not be seen. One more trigger for each of INSERT, UPDATE and DELETE does the work.


-- Why a capture trigger cannot be compiled at all; NULL if it can. What makes the generic trigger raise an error is left
-- to it, and so are the expressions of users, which must not run with the rights of a generated function.
create or replace function pgq.capture_unfit(i_trigger pg_catalog.pg_trigger)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    kind constant text := (pgq.capture_function(i_trigger.tgfoid)).kind;
    arguments constant text[] := pgq.capture_trigger_arguments(i_trigger.oid);
    args constant record := pgq.capture_arguments(arguments);
    operations constant text[] := pgq.capture_captured(i_trigger);
    magic text;
begin
    if i_trigger.tgtype & 32 <> 0 or i_trigger.tgtype & 1 = 0 then
        return 'a trigger for statements has nothing to gain';
    elsif i_trigger.tgparentid <> 0 then
        return 'it belongs to the trigger of a partitioned table';
    elsif exists (select 1 from pg_class c where c.oid = i_trigger.tgrelid and c.relkind = 'p') then
        return 'each partition has its own columns; make triggers on the partitions';
    elsif i_trigger.tgconstraint <> 0 then
        return 'it is a constraint trigger';
    elsif array_remove(args.expressions, null) <> '{}' then
        return 'its arguments hold expressions';
    elsif args.deny then
        return 'it refuses every change';
    elsif args.skip and i_trigger.tgtype & 66 = 0 then
        return 'SKIP does not work in AFTER triggers';
    elsif operations <> '{INSERT}'
        and coalesce(args.keys, array_to_string(pgq.capture_keys(i_trigger.tgrelid), ',')) = ''
    then
        return 'the table has no key';
    elsif not exists (select 1 from pgq.queue q where q.queue_name = args.queue_name) then
        return 'there is no such queue';
    end if;
    select s.unknown_magic
    from pgq.capture_statement(kind, i_trigger.tgrelid, operations[1], arguments) s
    into magic;
    return 'column ' || magic || ' stands for no field';
end;
$$;

comment on function pgq.capture_unfit(pg_catalog.pg_trigger) is
    'Why a capture trigger cannot be compiled; NULL if it can';


-- The statement that makes a trigger again with another function, all else as it is.
create or replace function pgq.capture_trigger_with(i_trigger pg_catalog.pg_trigger, i_function text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $$
declare
    definition constant text := pg_get_triggerdef(i_trigger.oid);
    arguments text;
    ending text;
begin
    select coalesce(string_agg('''' || replace(a.argument, '''', '''''') || '''', ', ' order by a.nr), '')
    from unnest(pgq.capture_trigger_arguments(i_trigger.oid)) with ordinality a (argument, nr)
    into arguments;
    ending := format('pgq.%I(%s)', (select p.proname from pg_proc p where p.oid = i_trigger.tgfoid), arguments);
    if right(definition, length(ending)) <> ending or not starts_with(definition, 'CREATE TRIGGER ') then
        raise exception 'trigger "%" cannot be made again: %', i_trigger.tgname, definition;
    end if;
    return 'create or replace' || substr(left(definition, -length(ending)), 7)
        || format('pgq.%I(%s)', i_function, arguments);
end;
$$;

comment on function pgq.capture_trigger_with(pg_catalog.pg_trigger, text) is
    'Statement that gives a trigger another function';


-- Runs a CREATE OR REPLACE TRIGGER and gives the trigger back the state it had, which that forgets.
create or replace function pgq.capture_replace_trigger(i_trigger pg_catalog.pg_trigger, i_statement text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $$
begin
    execute i_statement;
    if i_trigger.tgenabled <> 'O' then
        execute format(
            'alter table %s %s trigger %I',
            i_trigger.tgrelid::regclass,
            case i_trigger.tgenabled when 'D' then 'disable' when 'A' then 'enable always' else 'enable replica' end,
            i_trigger.tgname
        );
    end if;
end;
$$;

comment on function pgq.capture_replace_trigger(pg_catalog.pg_trigger, text) is
    'Replaces a trigger and keeps whether it is enabled';


-- Replaces the function behind a capture trigger by one generated for its table. i_form is 'row', 'statement' or 'auto',
-- which is the row form: it never costs more than the generic trigger, and the order of its events is always the same.
-- Returns the form that was made: 'row', 'statement', or 'generic' with the reason in a NOTICE.
-- To be called by a pgq_admin who may make triggers on the table; refuses the statement form where it does not fit.
create or replace function pgq.compile_capture(i_table regclass, i_trigger_name text, i_form text default 'auto')
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    this pg_trigger := pgq.capture_trigger(i_table, i_trigger_name);
    was record := pgq.capture_function(this.tgfoid);
    form constant text := case when i_form = 'auto' then 'row' else i_form end;
    reason text;
    name text;
begin
    if form is null or form not in ('row', 'statement') then
        raise exception 'the form of a compiled capture is row, statement or auto, not %', i_form
            using errcode = '22023';
    end if;
    if was.form <> form then
        perform pgq.uncompile_capture(i_table, i_trigger_name);
        this := pgq.capture_trigger(i_table, i_trigger_name);
    end if;

    reason := pgq.capture_unfit(this);
    if form = 'statement' then
        reason := coalesce(reason, pgq.capture_unfit_arms(this), pgq.capture_unfit_for_statements(i_table));
        if reason is not null then
            raise exception 'trigger "%" on table % cannot capture statements: %', i_trigger_name, i_table, reason
                using errcode = '0A000';
        end if;
    elsif reason is not null then
        perform pgq.uncompile_capture(i_table, i_trigger_name);
        raise notice 'trigger "%" on table % stays as it is: %', i_trigger_name, i_table, reason;
        return 'generic';
    end if;

    name := pgq.capture_write_function(i_table, i_trigger_name, form, true);
    if form = 'row' then
        perform pgq.capture_replace_trigger(this, pgq.capture_trigger_with(this, name));
    else
        perform pgq.capture_make_arms(this, name);
    end if;
    -- Now that the trigger is there which calls the function: it is a part of the fingerprint. Making the trigger has
    -- locked the table, nobody changes it between.
    perform pgq.capture_write_function(i_table, i_trigger_name, form);
    return form;
end;
$$;

comment on function pgq.compile_capture(regclass, text, text) is
    'Puts a generated function behind a capture trigger; returns the form: row, statement or generic';


-- Gives a compiled trigger its generic function back; 1 = done, 0 = it has it.
create or replace function pgq.uncompile_capture(i_table regclass, i_trigger_name text)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    this constant pg_trigger := pgq.capture_trigger(i_table, i_trigger_name);
    was constant record := pgq.capture_function(this.tgfoid);
begin
    if was.form = 'generic' then
        return 0;
    elsif was.form = 'row' then
        perform pgq.capture_replace_trigger(this, pgq.capture_trigger_with(this, was.kind));
    else
        perform pgq.capture_unmake_arms(this);
    end if;
    perform pgq.capture_drop_function(was.kind || '_' || was.form || '_' || was.number);
    return 1;
end;
$$;

comment on function pgq.uncompile_capture(regclass, text) is
    'Gives a compiled capture trigger its generic function back; 1 = done, 0 = was not compiled';


-- The capture triggers of a table, or of all: which function each has, and whether that still fits its table. A stale one
-- captures what is right, only slower, until pgq.maint_refresh_captures has written it again.
create or replace function pgq.get_capture_info(
    i_table regclass default null,
    out schema_name text,
    out table_name text,
    out trigger_name text,
    out queue_name text,
    out kind text,
    out form text,
    out state text,
    out arguments text[],
    out events text
)
returns setof record
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        n.nspname::text,
        c.relname::text,
        t.tgname::text,
        a.arguments[1],
        f.kind,
        f.form,
        case
            when t.tgenabled = 'D' then 'disabled'
            when f.form = 'generic'
                or pgq.capture_fingerprint(t.tgrelid, p.proname) = substring(p.prosrc, 'capture_is_current\([^,]*, ''(\w*)''')
            then 'current'
            else 'stale'
        end,
        a.arguments,
        array_to_string(pgq.capture_captured(t), ', ')
    from pg_trigger t
    join pg_proc p on p.oid = t.tgfoid
    join pg_class c on c.oid = t.tgrelid
    join pg_namespace n on n.oid = c.relnamespace
    cross join lateral pgq.capture_function(p.oid) f
    cross join lateral (select pgq.capture_trigger_arguments(t.oid)) a (arguments)
    where p.pronamespace = 'pgq'::regnamespace
        and f.kind is not null
        and (f.form <> 'statement' or t.tgtype & 1 <> 0)
        and t.tgparentid = 0
        and (i_table is null or t.tgrelid = i_table)
    order by n.nspname, c.relname, t.tgname
$$;

comment on function pgq.get_capture_info(regclass) is
    'Capture triggers: table, queue, kind, form and whether their code is current';


-- Writes the functions of stale captures again, and drops what no trigger and no queue needs any more; returns how many
-- captures are current that were not. Where the caller's rights or a lock stand against it, a WARNING says so, and the
-- capture goes on as before.
create or replace function pgq.maint_refresh_captures()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
    stale record;
    name text;
    refreshed integer := 0;
begin
    for stale in
        select format('%I.%I', i.schema_name, i.table_name)::regclass as table_oid, i.trigger_name, i.form, i.kind
        from pgq.get_capture_info() i
        where i.state = 'stale'
    loop
        begin
            if stale.form = 'row' and pgq.capture_unfit(pgq.capture_trigger(stale.table_oid, stale.trigger_name)) is null then
                perform pgq.capture_write_function(stale.table_oid, stale.trigger_name, stale.form);
            elsif stale.form = 'statement' and pgq.capture_unfit_for_statements(stale.table_oid) is null
                and pgq.capture_unfit(pgq.capture_trigger(stale.table_oid, stale.trigger_name)) is null
            then
                perform pgq.compile_capture(stale.table_oid, stale.trigger_name, stale.form);
            else
                perform pgq.compile_capture(stale.table_oid, stale.trigger_name, 'row');
            end if;
            refreshed := refreshed + 1;
        exception
            when insufficient_privilege or lock_not_available or serialization_failure or undefined_object or undefined_table then
                raise warning 'capture trigger "%" on table % was not compiled again: %',
                    stale.trigger_name, stale.table_oid, sqlerrm;
        end;
    end loop;

    -- Arms whose anchor somebody dropped capture nothing, but they are fired.
    for stale in
        select t.tgrelid::regclass as table_oid, t.tgname
        from pg_trigger t
        cross join lateral pgq.capture_function(t.tgfoid) f
        where f.form = 'statement'
            and t.tgtype & 1 = 0
            and not exists (
                select 1
                from pg_trigger a
                where a.tgrelid = t.tgrelid and a.tgfoid = t.tgfoid and a.tgtype & 1 <> 0
            )
    loop
        begin
            execute format('drop trigger %I on %s', stale.tgname, stale.table_oid);
        exception
            when insufficient_privilege or lock_not_available or undefined_object then
                raise warning 'trigger "%" on table % was not dropped: %', stale.tgname, stale.table_oid, sqlerrm;
        end;
    end loop;
    for name in
        select p.proname
        from pg_proc p
        cross join lateral pgq.capture_function(p.oid) f
        where p.pronamespace = 'pgq'::regnamespace
            and f.form <> 'generic'
            and not exists (select 1 from pg_trigger t where t.tgfoid = p.oid)
    loop
        perform pgq.capture_drop_function(name);
    end loop;
    perform pgq.capture_drop_queues();
    return refreshed;
end;
$$;

comment on function pgq.maint_refresh_captures() is
    'Compiles stale captures again; returns how many';


-- Whether it has something to do.
create or replace function pgq.captures_are_stale()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (select 1 from pgq.get_capture_info() i where i.state = 'stale')
$$;

comment on function pgq.captures_are_stale() is
    'Whether pgq.maint_refresh_captures has something to do';


-- Drops the functions that know the current tables of queues which are gone and which no generated code mentions.
create or replace function pgq.capture_drop_queues()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
begin
    for name in
        select p.proname
        from pg_proc p
        where p.pronamespace = 'pgq'::regnamespace
            and p.proname ~ '^capture_queue_[0-9]+$'
            and not exists (select 1 from pgq.queue q where p.proname = 'capture_queue_' || q.queue_id)
            and not exists (
                select 1
                from pg_proc g
                cross join lateral pgq.capture_function(g.oid) f
                where g.pronamespace = 'pgq'::regnamespace
                    and f.form <> 'generic'
                    and strpos(g.prosrc, p.proname || '(') > 0
            )
    loop
        execute format('drop function pgq.%I(text, text, text)', name);
    end loop;
end;
$$;

comment on function pgq.capture_drop_queues() is
    'Drops what compiled captures kept of queues that are gone';


revoke execute on function
    pgq.capture_drop_function(text),
    pgq.capture_drop_queues(),
    pgq.capture_write_function(oid, text, text, boolean),
    pgq.compile_capture(regclass, text, text),
    pgq.maint_refresh_captures(),
    pgq.uncompile_capture(regclass, text)
from public;

grant execute on function
    pgq.capture_drop_function(text),
    pgq.capture_drop_queues(),
    pgq.capture_write_function(oid, text, text, boolean),
    pgq.compile_capture(regclass, text, text),
    pgq.maint_refresh_captures(),
    pgq.uncompile_capture(regclass, text)
to pgq_admin;
