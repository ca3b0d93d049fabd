-- What a compiled capture trigger may take for granted, and how it learns that this has changed.
--
-- Both facts come from IMMUTABLE functions, so that they are constants in the plan of a session and cost nothing a row.
-- The server throws that plan away by itself: a plan that mentions a relation's OID is made again after any change of
-- that relation's catalog rows, and one that calls a function after the function was replaced. Compare
-- extract_query_dependencies in the server.


-- The arguments of a trigger. They are stored one after the other, each ended by a zero byte.
create or replace function pgq.capture_trigger_arguments(i_trigger oid)
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    rest bytea;
    arguments text[] := '{}';
begin
    select t.tgargs
    from pg_trigger t
    where t.oid = i_trigger
    into rest;
    while octet_length(rest) > 0 loop
        arguments := arguments || convert_from(substr(rest, 1, position('\x00'::bytea in rest) - 1), getdatabaseencoding());
        rest := substr(rest, position('\x00'::bytea in rest) + 1);
    end loop;
    return arguments;
end;
$$;

comment on function pgq.capture_trigger_arguments(oid) is
    'Arguments of a trigger as they were given';


-- The relations whose catalog rows a capture of the table depends on: the table, and the composite types that its
-- columns are made of, through domains, arrays, ranges and other composite types.
create or replace function pgq.capture_relations(i_table oid)
returns oid[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive part (type_id, relation_id) as (
        select 0::oid, i_table
        union
        select ty.oid, ty.typrelid
        from part p
        cross join lateral (
            select a.atttypid
            from pg_attribute a
            where a.attrelid = p.relation_id and a.attnum > 0 and not a.attisdropped
            union all
            select unnest(array[ty.typbasetype, ty.typelem])
            from pg_type ty
            where ty.oid = p.type_id
            union all
            select r.rngsubtype
            from pg_range r
            where p.type_id in (r.rngtypid, r.rngmultitypid)
        ) inner_type (type_id)
        join pg_type ty on ty.oid = inner_type.type_id
    )
    select i_table || coalesce(array_agg(distinct relation_id order by relation_id), '{}')
    from part
    where relation_id not in (0, i_table)
$$;

comment on function pgq.capture_relations(oid) is
    'OIDs of a table and of the composite types in it';


-- The generated functions' and the generic triggers' kind, form and number; NULLs for any other function.
create or replace function pgq.capture_function(i_function oid, out kind text, out form text, out number text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select m.parts[1], coalesce(m.parts[3], 'generic'), m.parts[4]
    from pg_proc p
    cross join lateral regexp_match(
        p.proname, '^(logutriga|sqltriga|jsontriga)(_(row|statement)_([0-9]+))?$'
    ) as m (parts)
    where p.oid = i_function
        and p.pronamespace = 'pgq'::regnamespace
        and p.pronargs = 0
        and p.prorettype = 'trigger'::regtype
        and m.parts is not null
$$;

comment on function pgq.capture_function(oid) is
    'What kind and form of capture a trigger function is';


-- The trigger of this name, if it is a capture trigger that a person made: not an arm of the statement form, and not
-- the copy of a partitioned table's trigger on a partition.
create or replace function pgq.capture_trigger(i_table oid, i_trigger_name text)
returns pg_catalog.pg_trigger
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_trigger pg_trigger;
    kind text;
begin
    select t.*
    from pg_trigger t
    where t.tgrelid = i_table
        and t.tgname = i_trigger_name
        and not t.tgisinternal
    into found_trigger;
    if not found then
        raise exception 'there is no trigger "%" on table %', i_trigger_name, i_table::regclass
            using errcode = '42704';
    end if;
    select f.kind
    from pgq.capture_function(found_trigger.tgfoid) f
    into kind;
    if kind is null then
        raise exception 'trigger "%" on table % is not a capture trigger', i_trigger_name, i_table::regclass
            using errcode = '42809';
    end if;
    return found_trigger;
end;
$$;

comment on function pgq.capture_trigger(oid, text) is
    'The capture trigger of a table by its name';


-- Why the statement form could give other events than the row form, or give them in another order; NULL = it could not.
-- A trigger that changes the table again puts its events before those of the outer statement; a foreign key's action does
-- the same by way of another table.
create or replace function pgq.capture_unfit_for_statements(i_table oid)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    other text;
begin
    perform 1
    from pg_class c
    where c.oid = i_table
        and c.relkind = 'r'
        and not c.relispartition;
    if not found then
        return 'only ordinary tables can have it';
    end if;

    perform 1
    from pg_inherits i
    where i_table in (i.inhrelid, i.inhparent);
    if found then
        return 'the table has inheritance parents or children';
    end if;

    select t.tgname
    from pg_trigger t
    where t.tgrelid = i_table
        and not t.tgisinternal
        and t.tgtype & 66 = 0
        and t.tgtype & 28 <> 0
        and not exists (select 1 from pgq.capture_function(t.tgfoid) f where f.kind is not null)
    order by t.tgname
    limit 1
    into other;
    if found then
        return format('trigger "%s" could change rows between', other);
    end if;

    select k.conname
    from pg_constraint k
    where k.confrelid = i_table
        and k.contype = 'f'
        and (k.confdeltype not in ('a', 'r') or k.confupdtype not in ('a', 'r'))
    order by k.conname
    limit 1
    into other;
    if found then
        return format('the actions of foreign key "%s" come between', other);
    end if;
    return null;
end;
$$;

comment on function pgq.capture_unfit_for_statements(oid) is
    'Why a table cannot have statement-level capture; NULL if it can';


-- A digest of everything that the generated code of a table's capture was made from: names, columns and their types, the
-- key, the triggers that run the function and their queue, for the statement form also what may disturb the order of events.
create or replace function pgq.capture_fingerprint(i_table oid, i_function text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select md5(concat_ws('|',
        'generator 2',
        (
            select concat_ws(',', quote_ident(n.nspname), quote_ident(c.relname), c.relkind, c.relispartition)
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where c.oid = i_table
        ),
        (
            select string_agg(concat_ws(',', a.attrelid, a.attnum, quote_ident(a.attname), a.atttypid, a.attcollation,
                a.attnotnull, a.attgenerated), ';' order by r.nr, a.attnum)
            from unnest(pgq.capture_relations(i_table)) with ordinality as r (oid, nr)
            join pg_attribute a on a.attrelid = r.oid
            where a.attnum > 0 and not a.attisdropped
        ),
        (
            select concat_ws(',', i.indkey, i.indnkeyatts)
            from pg_index i
            where i.indrelid = i_table and i.indisprimary
        ),
        (
            select string_agg(concat_ws(',', quote_ident(t.tgname), t.tgtype, t.tgenabled, encode(t.tgargs, 'hex')), ';'
                order by t.tgname)
            from pg_trigger t
            join pg_proc p on p.oid = t.tgfoid
            where t.tgrelid = i_table
                and p.pronamespace = 'pgq'::regnamespace
                and p.proname = i_function
        ),
        (
            select string_agg(concat_ws(',', q.queue_id, quote_ident(q.queue_name), q.queue_data_pfx, q.queue_event_seq,
                q.queue_ntables), ';' order by q.queue_id)
            from pgq.queue q
            where q.queue_name in (
                select (pgq.capture_trigger_arguments(t.oid))[1]
                from pg_trigger t
                join pg_proc p on p.oid = t.tgfoid
                where t.tgrelid = i_table
                    and p.pronamespace = 'pgq'::regnamespace
                    and p.proname = i_function
            )
        ),
        case when i_function ~ '_statement_' then pgq.capture_unfit_for_statements(i_table) end
    ))
$$;

comment on function pgq.capture_fingerprint(oid, text) is
    'Digest of what the generated capture function of a table was made from';


-- Whether the code generated with this fingerprint fits the table, and the session is one to be captured. Called with
-- constants only, so that it is evaluated when the plan is made; the OIDs of i_relations make the plan depend on them,
-- and a change of session_replication_role throws all plans away.
-- In the higher isolation levels the catalog is seen as it was when the transaction began while the table is as it is
-- now; where the two differ the events would be wrong, and the error is the one that says: try again.
create or replace function pgq.capture_is_current(i_function text, i_fingerprint text, i_relations oid[])
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    table_name text;
    columns_seen text;
    columns_now text;
    key_index oid;
begin
    if current_setting('session_replication_role') = 'local' then
        return false;
    end if;
    if pgq.capture_fingerprint(i_relations[1], i_function) is distinct from i_fingerprint then
        return false;
    end if;
    if current_setting('transaction_isolation') in ('read committed', 'read uncommitted') then
        return true;
    end if;

    -- A cast to the table's row type is expanded by the parser, who always sees the present columns.
    table_name := i_relations[1]::regclass::text;
    select to_json(array_agg(a.attname order by a.attnum))::text
    from pg_attribute a
    where a.attrelid = i_relations[1] and a.attnum > 0 and not a.attisdropped
    into columns_seen;
    execute format(
        'select to_json(array(select json_object_keys(to_json(y)) from (select (null::%s).*) y))::text', table_name)
    into columns_now;
    if columns_now is distinct from coalesce(columns_seen, '[]') then
        raise exception 'table % was changed by a transaction that this one does not see', table_name
            using errcode = '40001', hint = 'Run the transaction again.';
    end if;

    -- Definitions of indexes are read as they are now: a primary key that this snapshot still sees may be gone.
    -- Whether there is one by now, where the snapshot sees none, cannot be known.
    select i.indexrelid
    from pg_index i
    where i.indrelid = i_relations[1] and i.indisprimary
    into key_index;
    if key_index is null then
        return false;
    end if;
    if pg_get_indexdef(key_index) is null then
        raise exception 'the key of table % was changed by a transaction that this one does not see', table_name
            using errcode = '40001', hint = 'Run the transaction again.';
    end if;
    return true;
end;
$$;

comment on function pgq.capture_is_current(text, text, oid[]) is
    'Whether generated capture code still fits its table';


-- Writes the function that tells generated code which event table of a queue is current: its number, or -1 where the
-- events have to go through pgq.insert_event because the queue is limited, closed, gone or not what it was.
create or replace function pgq.capture_write_queue(i_queue pgq.queue, i_exists boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format(
        $text$
        create or replace function pgq.capture_queue_%1$s(i_queue_name text, i_data_pfx text, i_event_seq text)
        returns integer
        language sql
        immutable
        as $body$
            select case
                when i_queue_name operator(pg_catalog.=) %2$L
                    and i_data_pfx operator(pg_catalog.=) %3$L
                    and i_event_seq operator(pg_catalog.=) %4$L
                then %5$s
                else -1
            end
        $body$
        $text$,
        i_queue.queue_id,
        i_queue.queue_name,
        i_queue.queue_data_pfx,
        i_queue.queue_event_seq,
        case
            when i_exists and not i_queue.queue_disable_insert and coalesce(i_queue.queue_per_tx_limit, -1) < 0
            then i_queue.queue_cur_table
            else -1
        end
    );
    execute format(
        'comment on function pgq.capture_queue_%s(text, text, text) is %L',
        i_queue.queue_id,
        'Number of the event table that compiled capture triggers write to now; -1 = through pgq.insert_event'
    );
end;
$$;

comment on function pgq.capture_write_queue(pgq.queue, boolean) is
    'Writes the function that knows the current event table of a queue';


-- Keeps that function true: every transaction that begins after this one has committed sees the new one.
create or replace function pgq.capture_queue_changed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' and (
        new.queue_name, new.queue_data_pfx, new.queue_event_seq, new.queue_cur_table, new.queue_disable_insert,
        new.queue_per_tx_limit, new.queue_id
    ) is not distinct from (
        old.queue_name, old.queue_data_pfx, old.queue_event_seq, old.queue_cur_table, old.queue_disable_insert,
        old.queue_per_tx_limit, old.queue_id
    ) then
        return null;
    end if;
    if to_regprocedure(format('pgq.capture_queue_%s(text, text, text)', old.queue_id)) is not null then
        perform pgq.capture_write_queue(case when tg_op = 'DELETE' then old else new end, tg_op <> 'DELETE');
    end if;
    return null;
end;
$$;

comment on function pgq.capture_queue_changed() is
    'Trigger of pgq.queue: tells compiled capture triggers what changed';

-- Not for triggers of others: it runs with the owner's rights, and a cast of their row type would run with it.
revoke execute on function pgq.capture_queue_changed() from public;

create or replace trigger capture_queue_changed
after update or delete on pgq.queue
for each row
execute function pgq.capture_queue_changed();

alter table pgq.queue enable always trigger capture_queue_changed;
