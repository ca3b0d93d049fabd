-- insert_event with static SQL (spec/pgq.md 4.2, 12.9).
--
-- A dynamic INSERT is parsed and planned for each event, which costs more than all the rest. So insert_event and
-- insert_event_raw are generated: a balanced tree of IFs leads to one function for each group of sixteen queue ids, and
-- that function's tree to a static INSERT for each of their tables. A session compiles the groups it uses, no others.
-- The names in a group follow from the queue ids alone. A group's function therefore never changes; it is made for the
-- group's first queue, and insert_event is replaced then. What the tree does not know goes to insert_event_checked.


-- The queues whose row says nothing unusual. The conditions are in the index, so that they cost an insert nothing.
create index if not exists queue_insert_idx
    on pgq.queue using btree (queue_name collate pg_catalog."C")
    where not queue_disable_insert
        and queue_per_tx_limit is null
        and queue_ntables = 3
        and queue_cur_table >= 0
        and queue_cur_table < 3
        and queue_data_pfx = 'pgq.event_' || queue_id::text
        and queue_event_seq = 'pgq.event_' || queue_id::text || '_id_seq';


-- A balanced tree of IFs over slot: leaves[i] is for values from bounds[i] to below bounds[i + 1], the first for all
-- below bounds[2]. NULL comes out at the last leaf.
create or replace function pgq.insert_branches(i_bounds integer[], i_leaves text[])
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    n constant integer := cardinality(i_leaves);
    half constant integer := n / 2;
begin
    if n = 1 then
        return i_leaves[1];
    end if;
    return format(
        E'if slot operator(pg_catalog.<) %s then\n%selse\n%send if;\n',
        i_bounds[half + 1],
        pgq.insert_branches(i_bounds[1 : half], i_leaves[1 : half]),
        pgq.insert_branches(i_bounds[half + 1 : n], i_leaves[half + 1 : n])
    );
end;
$$;

comment on function pgq.insert_branches(integer[], text[]) is
    'Source text: a balanced tree of IFs';


-- The name with types of the function that inserts for sixteen queue ids, those that give the group number by division.
create or replace function pgq.insert_group_name(i_group integer)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select 'pgq.insert_group_' || i_group
        || '(integer, timestamp with time zone, integer, integer, text, text, text, text, text, text)';
$$;

comment on function pgq.insert_group_name(integer) is
    'Name with argument types of the function that inserts into a group of queues';


-- The statements for the tables of a group, numbered among those of all queues, three to each; i_fields are the values of
-- all columns but the id. The id is taken within the INSERT: who comes while the queue is being dropped then meets the
-- table first, not the sequence, and is told that it does not exist.
create or replace function pgq.insert_statements(
    i_group integer,
    i_fields text,
    out bounds integer[],
    out leaves text[]
)
returns record
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select
        array_agg(id * 3 + n order by id, n),
        array_agg(
            format(
                E'insert into pgq.event_%1$s_%2$s\n'
                '    (ev_id, ev_time, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)\n'
                'values (pg_catalog.nextval(''pgq.event_%1$s_id_seq''::pg_catalog.regclass), %3$s);\n'
                'return pg_catalog.currval(''pgq.event_%1$s_id_seq''::pg_catalog.regclass);\n',
                id,
                n,
                i_fields
            )
            order by id, n
        )
    from generate_series(i_group * 16, i_group * 16 + 15) id
    cross join generate_series(0, 2) n;
$$;

comment on function pgq.insert_statements(integer, text) is
    'Source text: the INSERTs into the tables of a group of queues';


-- Makes the function of a group.
create or replace function pgq.make_insert_group(i_group integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
begin
    select *
    from pgq.insert_statements(
        i_group, 'ev_time, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4')
    into s;

    execute format(
        E'create or replace function pgq.insert_group_%s(slot integer, ev_time timestamptz, ev_owner integer,'
        ' ev_retry integer, ev_type text, ev_data text, ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)\n'
        'returns bigint\nlanguage plpgsql\nas %L',
        i_group,
        E'\n#variable_conflict use_variable\nbegin\n' || pgq.insert_branches(s.bounds, s.leaves) || E'end;\n'
    );
    execute 'revoke execute on function ' || pgq.insert_group_name(i_group) || ' from public';
    execute 'grant execute on function ' || pgq.insert_group_name(i_group) || ' to pgq_admin';
    execute format(
        'comment on function %s is %L',
        pgq.insert_group_name(i_group),
        format('Inserts an event into the queues with ids %s to %s; generated', i_group * 16, i_group * 16 + 15)
    );
end;
$$;

comment on function pgq.make_insert_group(integer) is
    'Makes the function that inserts into a group of queues';


-- The source of insert_event or insert_event_raw for the groups whose functions there are. In a database of few queues
-- insert_event has the statements of both groups in it and calls none. The search_path is not pinned, but every name and
-- operator qualified: setting it costs more than the tree.
create or replace function pgq.insert_event_source(i_function text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    raw constant boolean := i_function = 'insert_event_raw';
    fields constant text := case
        when raw then 'coalesce(ev_time, pg_catalog.now()), ev_owner, ev_retry'
        else 'pg_catalog.now(), null, null'
    end || ', ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4';
    otherwise constant text := format(
        E'return pgq.insert_event_checked(queue_name, %s, %s);\n', case when raw then 'ev_id' else 'null' end, fields
    );
    groups constant integer[] := array(
        select substr(p.proname, 14)::integer
        from pg_proc p
        where p.pronamespace = 'pgq'::regnamespace
            and p.proname ~ '^insert_group_[0-9]{1,8}$'
        order by 1
    );
    bounds integer[] := '{}';
    leaves text[] := '{}';
    next_group integer := 0;
    n integer;
    s record;
begin
    foreach n in array groups loop
        if n > next_group then
            bounds := bounds || (next_group * 48);
            leaves := leaves || otherwise;
        end if;
        if cardinality(groups) <= 2 and not raw then
            select *
            from pgq.insert_statements(n, fields)
            into s;
            bounds := bounds || s.bounds;
            leaves := leaves || s.leaves;
        else
            bounds := bounds || (n * 48);
            leaves := leaves || format(E'return pgq.insert_group_%s(slot, %s);\n', n, fields);
        end if;
        next_group := n + 1;
    end loop;
    bounds := bounds || (next_group * 48);
    leaves := leaves || otherwise;

    return format($source$
-- Generated by pgq.insert_event_source.
#variable_conflict use_variable
declare
    txid bigint;
    slot integer;
begin
-- The transaction has its id before it reads which table is current: an event whose id lies above the second step
-- of a rotation is then in the table that this rotation made current.
txid := pg_catalog.txid_current();
%sselect r.queue_id operator(pg_catalog.*) 3 operator(pg_catalog.+) r.queue_cur_table
from pgq.queue r
where r.queue_name collate pg_catalog."C" operator(pg_catalog.=) %s.queue_name
    and not r.queue_disable_insert
    and r.queue_per_tx_limit is null
    and r.queue_ntables operator(pg_catalog.=) 3
    and r.queue_cur_table operator(pg_catalog.>=) 0
    and r.queue_cur_table operator(pg_catalog.<) 3
    and r.queue_data_pfx operator(pg_catalog.=) ('pgq.event_' operator(pg_catalog.||) r.queue_id::pg_catalog.text)
    and r.queue_event_seq operator(pg_catalog.=)
        ('pgq.event_' operator(pg_catalog.||) r.queue_id::pg_catalog.text operator(pg_catalog.||) '_id_seq')
into slot;
%s%send;
$source$,
        case when raw then E'if ev_id is null then\n' else '' end,
        i_function,
        case when raw then E'end if;\n' else '' end,
        pgq.insert_branches(bounds, leaves)
    );
end;
$$;

comment on function pgq.insert_event_source(text) is
    'Source text of insert_event or insert_event_raw for the groups of queues that there are';


-- Replaces insert_event and insert_event_raw where they are not what they should be. One that somebody else wrote in
-- the place of ours is left alone, unless force.
create or replace function pgq.make_insert_event(i_force boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    f record;
    source text;
    present text;
begin
    for f in
        select *
        from (values
            ('insert_event', 'pgq.insert_event(text,text,text,text,text,text,text)',
                'queue_name text, ev_type text, ev_data text,'
                ' ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text', 'security definer'),
            ('insert_event_raw',
                'pgq.insert_event_raw(text,bigint,timestamptz,integer,integer,text,text,text,text,text,text)',
                'queue_name text, ev_id bigint, ev_time timestamptz, ev_owner integer, ev_retry integer,'
                ' ev_type text, ev_data text, ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text',
                'security invoker')
        ) as v (name, signature, arguments, security)
    loop
        source := pgq.insert_event_source(f.name);
        select p.prosrc
        from pg_proc p
        where p.oid = to_regprocedure(f.signature)
        into present;
        if i_force or (present <> source and strpos(present, 'Generated by pgq.insert_event_source') > 0) then
            execute format(
                'create or replace function pgq.%s(%s) returns bigint language plpgsql %s as %L',
                f.name, f.arguments, f.security, source
            );
        end if;
    end loop;
end;
$$;

comment on function pgq.make_insert_event(boolean) is
    'Makes insert_event and insert_event_raw for the groups of queues that there are';


-- What is to be done to the tree: groups that lack their function, and groups that lost their last queue. A group of
-- which ids are still to be given out is not over.
create or replace function pgq.insert_tree_changes(out group_number integer, out missing boolean)
returns setof record
language sql
set search_path = pg_catalog, pg_temp
as $$
    select q.n, true
    from (select distinct queue_id / 16 as n from pgq.queue) q
    where to_regprocedure(pgq.insert_group_name(q.n)) is null
    union all
    select f.n, false
    from (
        select substr(p.proname, 14)::integer as n
        from pg_proc p
        where p.pronamespace = 'pgq'::regnamespace
            and p.proname ~ '^insert_group_[0-9]{1,8}$'
    ) f
    where f.n < pgq.seq_getval('pgq.queue_queue_id_seq') / 16
        and not exists (
            select
            from pgq.queue q
            where q.queue_id between f.n * 16 and f.n * 16 + 15
        );
$$;

comment on function pgq.insert_tree_changes() is
    'Groups of queues whose function is missing, and those whose function is not needed any more';


-- Makes the tree what it should be. Returns 0. Nobody waits here: while another transaction is at it, the queues that
-- the tree lacks are served by insert_event_checked, and maintenance comes again.
create or replace function pgq.maint_insert_tree()
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    c record;
begin
    if not pg_try_advisory_xact_lock('pgq.queue'::regclass::oid::integer, 0) then
        return 0;
    end if;

    for c in
        select *
        from pgq.insert_tree_changes()
    loop
        if c.missing then
            perform pgq.make_insert_group(c.group_number);
        elsif pg_try_advisory_xact_lock('pgq.event_template'::regclass::oid::integer, c.group_number)
            and current_setting('transaction_isolation') in ('read committed', 'read uncommitted')
        then
            -- Who creates a queue holds this lock of its group: now we see all of them.
            perform 1
            from pgq.queue
            where queue_id between c.group_number * 16 and c.group_number * 16 + 15;
            if not found then
                execute 'drop function ' || pgq.insert_group_name(c.group_number);
            end if;
        end if;
    end loop;

    perform pgq.make_insert_event(false);
    return 0;
end;
$$;

comment on function pgq.maint_insert_tree() is
    'Adds new groups of queues to the functions that insert events and removes old ones; returns 0';


-- Whether maint_insert_tree has something to do.
create or replace function pgq.insert_tree_is_due()
returns boolean
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select
        from pgq.insert_tree_changes()
    ) or exists (
        select
        from pg_proc p
        where p.oid in (
                to_regprocedure('pgq.insert_event(text,text,text,text,text,text,text)'),
                to_regprocedure(
                    'pgq.insert_event_raw(text,bigint,timestamptz,integer,integer,text,text,text,text,text,text)')
            )
            and strpos(p.prosrc, 'Generated by pgq.insert_event_source') > 0
            and p.prosrc <> pgq.insert_event_source(p.proname)
    );
$$;

comment on function pgq.insert_tree_is_due() is
    'Whether the functions that insert events are to be made anew';


-- Has a new queue inserted into by static SQL: within create_queue.
create or replace function pgq.add_to_insert_tree(i_queue_id integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Held to the end: maintenance does not take the group for one that is over.
    perform pg_advisory_xact_lock_shared('pgq.event_template'::regclass::oid::integer, i_queue_id / 16);
    if to_regprocedure(pgq.insert_group_name(i_queue_id / 16)) is null then
        perform pgq.maint_insert_tree();
    end if;
end;
$$;

comment on function pgq.add_to_insert_tree(integer) is
    'Makes the function that inserts into a new queue, if it is the first of its group';


-- At every installation: all groups anew, so that no text of an older version stays.
do $$
declare
    n integer;
begin
    perform pg_catalog.pg_advisory_xact_lock('pgq.queue'::regclass::oid::integer, 0);
    for n in
        select distinct queue_id / 16
        from pgq.queue
        union
        select pg_catalog.substr(p.proname, 14)::integer
        from pg_catalog.pg_proc p
        where p.pronamespace = 'pgq'::regnamespace
            and p.proname ~ '^insert_group_[0-9]{1,8}$'
        order by 1
    loop
        perform pgq.make_insert_group(n);
    end loop;
    perform pgq.make_insert_event(true);
end;
$$;

comment on function pgq.insert_event(text, text, text, text, text, text, text) is
    'Inserts an event with its extra fields; returns its id';
comment on function pgq.insert_event_raw(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text) is
    'Inserts an event with every field given; returns its id';
