-- The module pgq as version 1.0.0 installed it, for the test of the upgrade.


-- The schema pgq and its tables (spec/pgq.md 3).

create schema if not exists pgq;

comment on schema pgq is 'PgQ: transactional queues with snapshot-based batches';


-- One row a consumer name, shared by all queues.
create table if not exists pgq.consumer (
    co_id   serial,
    co_name text not null,
    constraint consumer_pkey primary key (co_id),
    constraint consumer_name_uq unique (co_name)
);

comment on table pgq.consumer is 'Names of consumers, shared by all queues';


-- One row a queue: its settings, and where its events are.
create table if not exists pgq.queue (
    queue_id                 serial,
    queue_name               text not null,
    queue_ntables            integer not null default 3,
    queue_cur_table          integer not null default 0,
    queue_rotation_period    interval not null default '2 hours',
    queue_switch_step1       bigint not null default pg_catalog.txid_current(),
    queue_switch_step2       bigint default pg_catalog.txid_current(),
    queue_switch_time        timestamptz not null default pg_catalog.now(),
    queue_external_ticker    boolean not null default false,
    queue_disable_insert     boolean not null default false,
    queue_ticker_paused      boolean not null default false,
    queue_ticker_max_count   integer not null default 500,
    queue_ticker_max_lag     interval not null default '3 seconds',
    queue_ticker_idle_period interval not null default '1 minute',
    queue_per_tx_limit       integer,
    queue_data_pfx           text not null,
    queue_event_seq          text not null,
    queue_tick_seq           text not null,
    queue_extra_maint        text[],
    constraint queue_pkey primary key (queue_id),
    constraint queue_name_uq unique (queue_name)
);

comment on table pgq.queue is 'Queues: settings, current event table, names of their objects';


-- One row a tick. The text form of tick_snapshot is read by clients, hence the type txid_snapshot.
create table if not exists pgq.tick (
    tick_queue     integer not null,
    tick_id        bigint not null,
    tick_time      timestamptz not null default pg_catalog.now(),
    tick_snapshot  txid_snapshot not null default pg_catalog.txid_current_snapshot(),
    tick_event_seq bigint not null,
    constraint tick_pkey primary key (tick_queue, tick_id),
    constraint tick_queue_fkey foreign key (tick_queue) references pgq.queue (queue_id)
);

comment on table pgq.tick is 'Ticks: snapshots of the database between which batches lie';


create sequence if not exists pgq.batch_id_seq;

comment on sequence pgq.batch_id_seq is 'Batch ids, one sequence for all queues';


-- One row a consumer on a queue. sub_id is not unique: the workers of a cooperative consumer share it.
create table if not exists pgq.subscription (
    sub_id        serial not null,
    sub_queue     integer not null,
    sub_consumer  integer not null,
    sub_last_tick bigint,
    sub_active    timestamptz not null default pg_catalog.now(),
    sub_batch     bigint,
    sub_next_tick bigint,
    constraint subscription_pkey primary key (sub_queue, sub_consumer),
    constraint subscription_batch_idx unique (sub_batch),
    constraint sub_queue_fkey foreign key (sub_queue) references pgq.queue (queue_id),
    constraint sub_consumer_fkey foreign key (sub_consumer) references pgq.consumer (co_id)
);

comment on table pgq.subscription is 'Consumers on queues: last finished tick, open batch';


-- The shape and the privileges of all event tables; reading it reads every event still stored.
create table if not exists pgq.event_template (
    ev_id     bigint not null,
    ev_time   timestamptz not null,
    ev_txid   bigint not null default pg_catalog.txid_current(),
    ev_owner  integer,
    ev_retry  integer,
    ev_type   text,
    ev_data   text,
    ev_extra1 text,
    ev_extra2 text,
    ev_extra3 text,
    ev_extra4 text
);

comment on table pgq.event_template is 'Parent of all event tables';


-- Events that a consumer handed back, until they are due.
create table if not exists pgq.retry_queue (
    ev_retry_after timestamptz not null,
    ev_queue       integer not null,
    ev_id          bigint not null,
    ev_time        timestamptz not null,
    ev_txid        bigint,
    ev_owner       integer not null,
    ev_retry       integer,
    ev_type        text,
    ev_data        text,
    ev_extra1      text,
    ev_extra2      text,
    ev_extra3      text,
    ev_extra4      text,
    constraint rq_pkey primary key (ev_owner, ev_id),
    constraint rq_queue_id_fkey foreign key (ev_queue) references pgq.queue (queue_id)
);

create index if not exists rq_retry_idx on pgq.retry_queue using btree (ev_retry_after);

comment on table pgq.retry_queue is 'Events handed back by consumers, waiting for their due time';


-- The three roles, and what older installations lack (spec/pgq.md 2.2, 4.8).


-- Makes an older installation current. Idempotent; returns 0.
-- Creating a missing role needs CREATEROLE, and ADMIN OPTION on reader and writer for pgq_admin's memberships.
create or replace function pgq.upgrade_schema()
returns integer
language plpgsql
as $$
begin
    if exists (
        select 1
        from pg_catalog.pg_attribute a
        where a.attrelid = 'pgq.subscription'::regclass
            and a.attname = 'sub_last_tick'
            and a.attnotnull
    ) then
        alter table pgq.subscription alter column sub_last_tick drop not null;
    end if;

    if not exists (
        select 1
        from pg_catalog.pg_attribute a
        where a.attrelid = 'pgq.queue'::regclass
            and a.attname = 'queue_extra_maint'
            and not a.attisdropped
    ) then
        alter table pgq.queue add column queue_extra_maint text[];
    end if;

    -- Roles belong to the cluster: another database may be creating them at this moment.
    if not exists (select 1 from pg_catalog.pg_roles r where r.rolname = 'pgq_reader') then
        begin
            create role pgq_reader nologin;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end if;
    if not exists (select 1 from pg_catalog.pg_roles r where r.rolname = 'pgq_writer') then
        begin
            create role pgq_writer nologin;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end if;
    if not exists (select 1 from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        begin
            create role pgq_admin nologin in role pgq_reader, pgq_writer;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end if;

    return 0;
end;
$$;

comment on function pgq.upgrade_schema() is
    'Creates the missing roles and columns of an older installation; returns 0';

select pgq.upgrade_schema();


-- Names of schema-qualified objects kept as plain text, and sequences reached by such names (spec/pgq.md 4.8).


-- Quotes schema and name, split at the first dot; without a dot the schema is public.
create or replace function pgq.quote_fqname(i_name text)
returns text
language plpgsql
immutable
strict
as $$
declare
    dot integer := pg_catalog.strpos(i_name, '.');
begin
    if dot = 0 then
        return 'public.' || pg_catalog.quote_ident(i_name);
    end if;
    return pg_catalog.quote_ident(pg_catalog.substr(i_name, 1, dot - 1))
        || '.'
        || pg_catalog.quote_ident(pg_catalog.substr(i_name, dot + 1));
end;
$$;

comment on function pgq.quote_fqname(text) is
    'Quotes SCHEMA.NAME for use in SQL; the schema is public if there is no dot';


-- last_value of a sequence, whether it was used or not: 1 for a fresh one.
create or replace function pgq.seq_getval(i_seq_name text)
returns bigint
language plpgsql
strict
as $$
declare
    res bigint;
begin
    execute 'select last_value from ' || pgq.quote_fqname(i_seq_name)
    into res;
    return res;
end;
$$;

comment on function pgq.seq_getval(text) is
    'last_value of the sequence SCHEMA.NAME';


-- Moves a sequence forward, never back; returns the value that holds afterwards.
-- Reading and setting are one statement: an id taken by somebody else in between could otherwise be handed out twice.
create or replace function pgq.seq_setval(i_seq_name text, i_new_value bigint)
returns bigint
language plpgsql
strict
as $$
declare
    fqname text := pgq.quote_fqname(i_seq_name);
    res bigint;
begin
    execute 'select case when s.last_value < $1 then pg_catalog.setval($2::regclass, $1) else s.last_value end'
        || ' from ' || fqname || ' s'
    using i_new_value, fqname
    into res;
    return res;
end;
$$;

comment on function pgq.seq_setval(text, bigint) is
    'Moves the sequence SCHEMA.NAME forward to a value, never back; returns the value that holds afterwards';


-- Creating, dropping and configuring queues (spec/pgq.md 2.4, 4.1, 4.8).


-- 1 = created, 0 = there is one of this name. NULL is refused. The first tick is made at once.
create or replace function pgq.create_queue(i_queue_name text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    id integer;
    ntables integer;
    prefix text;
    event_seq text;
    tick_seq text;
    data_table text;
begin
    if i_queue_name is null then
        raise exception 'Invalid NULL value';
    end if;

    perform 1
    from pgq.queue q
    where q.queue_name = i_queue_name;
    if found then
        return 0;
    end if;

    id := nextval('pgq.queue_queue_id_seq');
    prefix := 'pgq.event_' || id;
    event_seq := prefix || '_id_seq';
    tick_seq := prefix || '_tick_seq';

    insert into pgq.queue (queue_id, queue_name, queue_data_pfx, queue_event_seq, queue_tick_seq)
    values (id, i_queue_name, prefix, event_seq, tick_seq)
    returning queue_ntables
    into ntables;

    execute 'create sequence ' || event_seq;
    execute 'create sequence ' || tick_seq;
    execute 'create table ' || prefix || ' () inherits (pgq.event_template)';
    for n in 0 .. ntables - 1 loop
        data_table := prefix || '_' || n;
        execute 'create table ' || data_table || ' () inherits (' || prefix || ')';
        execute 'alter table ' || data_table
            || ' alter column ev_id set default nextval(' || quote_literal(event_seq) || ')';
        execute 'create index event_' || id || '_' || n || '_txid_idx on ' || data_table || ' using btree (ev_txid)';
    end loop;

    perform pgq.grant_perms(i_queue_name);
    perform pgq.ticker(i_queue_name);
    perform pgq.tune_storage(i_queue_name);
    return 1;
end;
$$;

comment on function pgq.create_queue(text) is
    'Creates a queue with its tables; 1 = created, 0 = existed';


-- Returns 1. Without force, subscriptions are a reason to refuse; with it they are removed.
create or replace function pgq.drop_queue(x_queue_name text, x_force boolean)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    consumer_name text;
begin
    select queue_id, queue_ntables, queue_data_pfx, queue_event_seq, queue_tick_seq
    from pgq.queue
    where queue_name = x_queue_name
    for update
    into q;
    if not found then
        raise exception 'No such event queue';
    end if;

    if x_force then
        for consumer_name in
            select c.co_name
            from pgq.subscription s
            join pgq.consumer c on c.co_id = s.sub_consumer
            where s.sub_queue = q.queue_id
            order by s.sub_id, s.sub_consumer
        loop
            perform pgq.unregister_consumer(x_queue_name, consumer_name);
        end loop;
    else
        perform 1
        from pgq.subscription s
        where s.sub_queue = q.queue_id
        limit 1;
        if found then
            raise exception 'cannot drop queue, consumers still attached';
        end if;
    end if;

    for n in 0 .. q.queue_ntables - 1 loop
        execute 'drop table ' || pgq.quote_fqname(q.queue_data_pfx || '_' || n);
    end loop;
    execute 'drop table ' || pgq.quote_fqname(q.queue_data_pfx);

    delete from pgq.tick
    where tick_queue = q.queue_id;

    execute 'drop sequence ' || pgq.quote_fqname(q.queue_tick_seq);
    execute 'drop sequence ' || pgq.quote_fqname(q.queue_event_seq);

    delete from pgq.queue
    where queue_id = q.queue_id;
    return 1;
end;
$$;

comment on function pgq.drop_queue(text, boolean) is
    'Drops a queue with its tables, with force also its subscriptions; returns 1';


-- The same without force; NULL for NULL.
create or replace function pgq.drop_queue(x_queue_name text)
returns integer
language plpgsql
strict
as $$
begin
    return pgq.drop_queue(x_queue_name, false);
end;
$$;

comment on function pgq.drop_queue(text) is
    'Drops a queue that has no consumers; returns 1';


-- Sets one of six parameters, named without the prefix queue_, from its text form; returns 1.
create or replace function pgq.set_queue_config(x_queue_name text, x_param_name text, x_param_value text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if x_queue_name is null or x_param_name is null then
        raise exception 'Invalid NULL value';
    end if;

    perform 1
    from pgq.queue q
    where q.queue_name = x_queue_name;
    if not found then
        raise exception 'No such event queue';
    end if;

    if x_param_name not in (
        'ticker_max_count',
        'ticker_max_lag',
        'ticker_idle_period',
        'ticker_paused',
        'rotation_period',
        'external_ticker'
    ) then
        -- The letter s after the name is part of the text that clients know.
        raise exception 'cannot change parameter "%s"', x_param_name;
    end if;

    execute 'update pgq.queue set ' || quote_ident('queue_' || x_param_name) || ' = ' || quote_literal(x_param_value)
        || ' where queue_name = ' || quote_literal(x_queue_name);
    return 1;
end;
$$;

comment on function pgq.set_queue_config(text, text, text) is
    'Sets a parameter of a queue from its text form; returns 1';


-- Gives a queue's tables the privileges of pgq.event_template and opens its sequences; returns 1.
create or replace function pgq.grant_perms(x_queue_name text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    dot integer;
    table_schema text;
    table_name text;
begin
    select queue_ntables, queue_data_pfx, queue_event_seq, queue_tick_seq
    from pgq.queue
    where queue_name = x_queue_name
    into q;
    if not found then
        raise exception 'Queue not found';
    end if;

    execute 'grant select on sequence ' || pgq.quote_fqname(q.queue_event_seq) || ' to public';
    execute 'grant usage on sequence ' || pgq.quote_fqname(q.queue_event_seq) || ' to pgq_admin';
    execute 'grant select on sequence ' || pgq.quote_fqname(q.queue_tick_seq) || ' to public';

    dot := strpos(q.queue_data_pfx, '.');
    table_schema := substr(q.queue_data_pfx, 1, dot - 1);
    table_name := substr(q.queue_data_pfx, dot + 1);
    perform pgq._grant_perms_from('pgq', 'event_template', table_schema, table_name);
    for n in 0 .. q.queue_ntables - 1 loop
        perform pgq._grant_perms_from('pgq', 'event_template', table_schema, table_name || '_' || n);
    end loop;
    return 1;
end;
$$;

comment on function pgq.grant_perms(text) is
    'Applies the privileges of event tables and sequences to a queue; returns 1';


-- Copies the privileges granted on one table to another; returns 1, also if the source does not exist.
-- The owner's own privileges are left out: a new table's owner has them by being its owner.
create or replace function pgq._grant_perms_from(src_schema text, src_table text, dst_schema text, dst_table text)
returns integer
language plpgsql
strict
as $$
declare
    p record;
begin
    for p in
        select
            a.privilege_type,
            case when a.grantee = 0 then 'public' else pg_catalog.quote_ident(r.rolname) end as grantee,
            case when a.is_grantable then ' with grant option' else '' end as grant_option
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        cross join lateral pg_catalog.aclexplode(c.relacl) a
        left join pg_catalog.pg_roles r on r.oid = a.grantee
        where n.nspname = src_schema
            and c.relname = src_table
            and a.grantee <> c.relowner
            and (a.grantee = 0 or r.oid is not null)
    loop
        execute 'grant ' || p.privilege_type
            || ' on ' || pg_catalog.quote_ident(dst_schema) || '.' || pg_catalog.quote_ident(dst_table)
            || ' to ' || p.grantee || p.grant_option;
    end loop;
    return 1;
end;
$$;

comment on function pgq._grant_perms_from(text, text, text, text) is
    'Copies the privileges granted on a table to another one; returns 1';


-- Event tables are only appended to and truncated: full pages, no autovacuum. 1 = done, 0 = no such queue.
create or replace function pgq.tune_storage(i_queue_name text)
returns integer
language plpgsql
strict
as $$
declare
    q record;
begin
    select queue_ntables, queue_data_pfx
    from pgq.queue
    where queue_name = i_queue_name
    into q;
    if not found then
        return 0;
    end if;

    for n in 0 .. q.queue_ntables - 1 loop
        execute 'alter table ' || pgq.quote_fqname(q.queue_data_pfx || '_' || n)
            || ' set (fillfactor = 100, autovacuum_enabled = off, toast.autovacuum_enabled = off)';
    end loop;
    return 1;
end;
$$;

comment on function pgq.tune_storage(text) is
    'Sets the storage options of a queue''s data tables; 1 = done, 0 = no such queue';


-- Inserting events (spec/pgq.md 4.2).


-- Inserts one event; every field but the queue's name may be NULL. Returns the event's id.
-- The id from the sequence is taken even if one is given, so that the ticker notices the event.
create or replace function pgq.insert_event_raw(
    queue_name text,
    ev_id bigint,
    ev_time timestamptz,
    ev_owner integer,
    ev_retry integer,
    ev_type text,
    ev_data text,
    ev_extra1 text,
    ev_extra2 text,
    ev_extra3 text,
    ev_extra4 text
)
returns bigint
language plpgsql
as $$
#variable_conflict use_variable
declare
    q record;
    event_id bigint;
    counter_name text;
    counter_scope text;
    counter_value text;
    events_in_tx bigint := 1;
begin
    if queue_name is null then
        raise exception 'Queue name must not be NULL' using errcode = 'XX000';
    end if;

    -- The transaction has its id before it reads which table is current: an event whose id lies above the second step
    -- of a rotation is then in the table that this rotation made current.
    perform pg_catalog.txid_current();

    select
        r.queue_id,
        r.queue_cur_table,
        r.queue_data_pfx,
        r.queue_disable_insert,
        r.queue_per_tx_limit,
        pg_catalog.nextval(r.queue_event_seq::regclass) as next_event_id
    from pgq.queue r
    where r.queue_name = insert_event_raw.queue_name
    into q;
    if not found then
        raise exception 'No such queue' using errcode = 'XX000';
    end if;

    if q.queue_disable_insert and pg_catalog.current_setting('session_replication_role') <> 'replica' then
        raise exception 'Insert into queue disallowed' using errcode = 'XX000';
    end if;

    event_id := coalesce(ev_id, q.next_event_id);

    if q.queue_per_tx_limit >= 0 then
        -- The counter lives in a transaction-local setting TXID:TABLE:COUNT; queue names may hold what setting names may not.
        counter_name := 'pgq.events_in_tx_' || q.queue_id;
        counter_scope := pg_catalog.txid_current() || ':' || q.queue_cur_table || ':';
        counter_value := pg_catalog.current_setting(counter_name, true);
        if pg_catalog.starts_with(counter_value, counter_scope) then
            events_in_tx := pg_catalog.split_part(counter_value, ':', 3)::bigint + 1;
        end if;
        perform pg_catalog.set_config(counter_name, counter_scope || events_in_tx, true);
        if events_in_tx > q.queue_per_tx_limit then
            raise exception 'Queue ''%'' allows max % events from one TX', queue_name, q.queue_per_tx_limit
                using errcode = 'XX000';
        end if;
    end if;

    execute 'insert into ' || pgq.quote_fqname(q.queue_data_pfx || '_' || q.queue_cur_table)
        || ' (ev_id, ev_time, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)'
        || ' values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)'
    using event_id, coalesce(ev_time, pg_catalog.now()), ev_owner, ev_retry, ev_type, ev_data,
        ev_extra1, ev_extra2, ev_extra3, ev_extra4;
    return event_id;
end;
$$;

comment on function pgq.insert_event_raw(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text) is
    'Inserts an event with every field given; returns its id';


-- Inserts a first-time event of now; returns its id. The capture triggers call this one.
create or replace function pgq.insert_event(
    queue_name text,
    ev_type text,
    ev_data text,
    ev_extra1 text,
    ev_extra2 text,
    ev_extra3 text,
    ev_extra4 text
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return pgq.insert_event_raw(queue_name, null, now(), null, null,
        ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4);
end;
$$;

comment on function pgq.insert_event(text, text, text, text, text, text, text) is
    'Inserts an event with its extra fields; returns its id';


-- The same with the extra fields NULL.
create or replace function pgq.insert_event(queue_name text, ev_type text, ev_data text)
returns bigint
language plpgsql
as $$
begin
    return pgq.insert_event(queue_name, ev_type, ev_data, null, null, null, null);
end;
$$;

comment on function pgq.insert_event(text, text, text) is
    'Inserts an event; returns its id';


-- The table to write to now, as plain SCHEMA.NAME, for bulk loads. Valid until the end of the transaction.
create or replace function pgq.current_event_table(x_queue_name text)
returns text
language plpgsql
as $$
declare
    q record;
begin
    select queue_disable_insert, queue_data_pfx || '_' || queue_cur_table as event_table
    from pgq.queue
    where queue_name = x_queue_name
    into q;
    if not found then
        raise exception 'Event queue not found';
    end if;
    if q.queue_disable_insert and pg_catalog.current_setting('session_replication_role') <> 'replica' then
        raise exception 'Writing to queue disabled';
    end if;
    return q.event_table;
end;
$$;

comment on function pgq.current_event_table(text) is
    'Name of the table that producers write to now';


-- Making ticks (spec/pgq.md 4.5, 5).


-- Makes a tick if one is due; returns its id, or NULL. Costs no transaction id when none is due.
-- Two calls at once make their ticks one after the other, so that a higher id always has a newer snapshot: whoever does
-- not get the queue's tick lock leaves the tick to the one who has it.
create or replace function pgq.ticker(i_queue_name text)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    newest record;
    previous_time timestamptz;
    txid bigint;
    new_events bigint;
    lag interval;
    previous_lag interval;
    locked boolean := false;
    res bigint;
begin
    -- Decided once without a lock, and again with it: another ticker may have been faster.
    loop
        select
            queue_id,
            queue_tick_seq,
            queue_external_ticker,
            queue_ticker_paused,
            queue_ticker_max_count,
            queue_ticker_max_lag,
            queue_ticker_idle_period,
            pgq.seq_getval(queue_event_seq) as event_seq
        from pgq.queue
        where queue_name = i_queue_name
        into q;
        if not found then
            raise exception 'no such queue';
        end if;
        if q.queue_external_ticker then
            raise exception 'This queue has external tick source.';
        end if;
        if q.queue_ticker_paused then
            raise exception 'Ticker has been paused for this queue';
        end if;

        select
            tick_id,
            tick_time,
            tick_event_seq,
            txid_snapshot_xmin(tick_snapshot) as xmin,
            txid_snapshot_xmax(tick_snapshot) as xmax
        from pgq.tick
        where tick_queue = q.queue_id
        order by tick_id desc
        limit 1
        into newest;

        if found then
            -- The next id to be given out, read without taking one.
            txid := txid_snapshot_xmax(txid_current_snapshot());
            if newest.xmin > txid then
                raise exception 'Invalid PgQ state: old xmin=%, old xmax=%, cur txid=%', newest.xmin, newest.xmax, txid;
            end if;
            if newest.xmax > txid and not locked then
                raise warning 'Dubious PgQ state: old xmax=%, cur txid=%', newest.xmax, txid;
            end if;

            new_events := q.event_seq - newest.tick_event_seq;
            lag := now() - newest.tick_time;
            if new_events > 0 then
                if new_events < q.queue_ticker_max_count and lag < q.queue_ticker_max_lag then
                    return null;
                end if;
            else
                if new_events < 0 and not locked then
                    raise warning 'Negative new_events?  old=% cur=%', newest.tick_event_seq, q.event_seq;
                end if;

                select tick_time
                from pgq.tick
                where tick_queue = q.queue_id
                    and tick_id < newest.tick_id
                order by tick_id desc
                limit 1
                into previous_time;

                -- The distance of an idle queue's ticks doubles up to the idle period.
                if found then
                    previous_lag := newest.tick_time - previous_time;
                    if lag < q.queue_ticker_max_lag / 2
                        or (lag < previous_lag * 2 and lag < q.queue_ticker_idle_period)
                    then
                        return null;
                    end if;
                end if;
            end if;
        end if;

        exit when locked;

        if not pg_try_advisory_xact_lock('pgq.tick'::regclass::oid::integer, q.queue_id) then
            return null;
        end if;

        -- Held before the snapshot is taken: a rotation is then either over, and the tick sees what it emptied as
        -- finished, or it begins after the tick and finds it.
        perform 1
        from pgq.queue
        where queue_id = q.queue_id
        for key share;

        locked := true;
    end loop;

    -- Above READ COMMITTED our snapshot may be older than the one of a tick that we do not see; a higher id with an
    -- older snapshot would give events out twice.
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted')
        and pgq.seq_getval(q.queue_tick_seq) > newest.tick_id
    then
        return null;
    end if;

    insert into pgq.tick (tick_queue, tick_id, tick_event_seq)
    values (q.queue_id, nextval(q.queue_tick_seq::regclass), q.event_seq)
    returning tick_id
    into res;
    return res;
end;
$$;

comment on function pgq.ticker(text) is
    'Makes a tick if one is due; returns its id, or NULL';


-- Ticks every queue that is neither external nor paused, in one transaction; returns how many made a tick.
create or replace function pgq.ticker()
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
    res bigint := 0;
begin
    for name in
        select queue_name
        from pgq.queue
        where not queue_external_ticker
            and not queue_ticker_paused
        order by queue_name
    loop
        if pgq.ticker(name) is not null then
            res := res + 1;
        end if;
    end loop;
    return res;
end;
$$;

comment on function pgq.ticker() is
    'Ticks all queues that tick themselves; returns how many ticks were made';


-- Stores a tick that comes from elsewhere, with this moment's snapshot; returns its id.
create or replace function pgq.ticker(
    i_queue_name text,
    i_tick_id bigint,
    i_orig_timestamp timestamptz,
    i_event_seq bigint
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
begin
    -- Locked before the snapshot is taken, as in ticker(text).
    select queue_id, queue_tick_seq, queue_event_seq
    from pgq.queue
    where queue_name = i_queue_name
        and queue_external_ticker
        and not queue_ticker_paused
    for key share
    into q;
    if not found then
        raise exception 'queue not found or ticker disabled: %', i_queue_name;
    end if;

    insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)
    values (q.queue_id, i_tick_id, i_orig_timestamp, i_event_seq);

    perform pgq.seq_setval(q.queue_tick_seq, i_tick_id);
    perform pgq.seq_setval(q.queue_event_seq, i_event_seq);
    return i_tick_id;
end;
$$;

comment on function pgq.ticker(text, bigint, timestamptz, bigint) is
    'Stores an external tick with the present snapshot; returns its id';


-- Moves the event sequence so far that the next ticker() makes a tick. Returns the newest tick's id, NULL if none.
create or replace function pgq.force_tick(i_queue_name text)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    res bigint;
begin
    select
        queue_id,
        queue_event_seq,
        queue_ticker_max_count,
        queue_external_ticker or queue_ticker_paused as ticks_elsewhere
    from pgq.queue
    where queue_name = i_queue_name
    into q;
    if not found then
        return null;
    end if;

    if not q.ticks_elsewhere then
        perform pgq.seq_setval(
            q.queue_event_seq,
            nextval(q.queue_event_seq::regclass) + q.queue_ticker_max_count * 2::bigint + 1000
        );
    end if;

    select tick_id
    from pgq.tick
    where tick_queue = q.queue_id
    order by tick_id desc
    limit 1
    into res;
    return res;
end;
$$;

comment on function pgq.force_tick(text) is
    'Makes the next ticker() tick; returns the newest tick of this moment';


-- The tick that ends a batch after the given one, when a least count or a least interval is asked for (spec/pgq.md 6).
-- No row is ever missing: all NULL means none yet.
create or replace function pgq.find_tick_helper(
    i_queue_id integer,
    i_prev_tick_id bigint,
    i_prev_tick_time timestamptz,
    i_prev_tick_seq bigint,
    i_min_count bigint,
    i_min_interval interval,
    out next_tick_id bigint,
    out next_tick_time timestamptz,
    out next_tick_seq bigint
)
returns record
language plpgsql
stable
as $$
declare
    new_events bigint;
    distance interval;
begin
    select t.tick_id, t.tick_time, t.tick_event_seq
    from pgq.tick t
    where t.tick_queue = i_queue_id
        and t.tick_id > i_prev_tick_id
    order by t.tick_id desc
    limit 1
    into next_tick_id, next_tick_time, next_tick_seq;
    if not found then
        return;
    end if;

    new_events := next_tick_seq - i_prev_tick_seq;
    distance := next_tick_time - i_prev_tick_time;

    -- Far behind: batches of about the size that was asked for, not one huge one.
    if new_events > i_min_count * 2 or distance > i_min_interval * 2 then
        select t.tick_id, t.tick_time, t.tick_event_seq
        from pgq.tick t
        where t.tick_queue = i_queue_id
            and t.tick_id > i_prev_tick_id
            and (t.tick_event_seq - i_prev_tick_seq >= i_min_count
                or t.tick_time - i_prev_tick_time >= i_min_interval)
        order by t.tick_id
        limit 1
        into next_tick_id, next_tick_time, next_tick_seq;
        return;
    end if;

    if new_events >= i_min_count or distance >= i_min_interval then
        return;
    end if;
    next_tick_id := null;
    next_tick_time := null;
    next_tick_seq := null;
end;
$$;

comment on function pgq.find_tick_helper(integer, bigint, timestamptz, bigint, bigint, interval) is
    'The tick that ends a batch with a least count or interval; all NULL if there is none yet';


-- Subscribing consumers to queues (spec/pgq.md 4.3).


-- Subscribes at a tick, or at the newest one if it is NULL. 1 = new, 0 = was subscribed, and moved if a tick is given.
create or replace function pgq.register_consumer_at(x_queue_name text, x_consumer_name text, x_tick_pos bigint)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    the_queue integer;
    the_consumer integer;
    position_tick bigint;
begin
    -- Keeps a rotation from emptying a table and deleting the tick between our look and our commit. Taken first: one that
    -- has begun is waited for here, where it cannot be waiting for us. The tick is locked too, against a deletion that
    -- our snapshot does not see.
    select queue_id
    from pgq.queue
    where queue_name = x_queue_name
    for key share
    into the_queue;
    if not found then
        raise exception 'Event queue not created yet';
    end if;

    select co_id
    from pgq.consumer
    where co_name = x_consumer_name
    for update
    into the_consumer;
    if not found then
        insert into pgq.consumer (co_name)
        values (x_consumer_name)
        returning co_id
        into the_consumer;
    end if;

    if x_tick_pos is not null then
        select tick_id
        from pgq.tick
        where tick_queue = the_queue
            and tick_id = x_tick_pos
        for key share
        into position_tick;
        if not found then
            raise exception 'cannot reposition, tick not found: %', x_tick_pos;
        end if;
    end if;

    perform 1
    from pgq.subscription
    where sub_queue = the_queue
        and sub_consumer = the_consumer;
    if found then
        if x_tick_pos is not null then
            update pgq.subscription
            set sub_last_tick = position_tick,
                sub_batch = null,
                sub_next_tick = null,
                sub_active = now()
            where sub_queue = the_queue
                and sub_consumer = the_consumer;
        end if;
        return 0;
    end if;

    if x_tick_pos is null then
        select tick_id
        from pgq.tick
        where tick_queue = the_queue
        order by tick_id desc
        limit 1
        for key share
        into position_tick;
        if not found then
            raise exception 'No ticks for this queue.  Please run ticker on database.';
        end if;
    end if;

    insert into pgq.subscription (sub_queue, sub_consumer, sub_last_tick)
    values (the_queue, the_consumer, position_tick);
    return 1;
end;
$$;

comment on function pgq.register_consumer_at(text, text, bigint) is
    'Subscribes a consumer at a tick, or moves it there; 1 = new, 0 = was subscribed';


-- Subscribes at the newest tick; a consumer that is subscribed stays as it is.
create or replace function pgq.register_consumer(x_queue_name text, x_consumer_id text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return pgq.register_consumer_at(x_queue_name, x_consumer_id, null);
end;
$$;

comment on function pgq.register_consumer(text, text) is
    'Subscribes a consumer at the newest tick; 1 = new, 0 = was subscribed';


-- Ends a subscription with its retry events; returns how many subscriptions went, 0 = was not subscribed.
-- The workers of a cooperative consumer go with it; a worker goes alone.
create or replace function pgq.unregister_consumer(x_queue_name text, x_consumer_name text)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    members integer;
begin
    select
        sub.sub_id,
        sub.sub_queue,
        sub.sub_consumer,
        (sub.sub_last_tick is null) = (sub.sub_next_tick is null) as looks_like_worker
    from pgq.subscription sub
    join pgq.queue q on q.queue_id = sub.sub_queue
    join pgq.consumer c on c.co_id = sub.sub_consumer
    where q.queue_name = x_queue_name
        and c.co_name = x_consumer_name
    for update of sub, c
    into s;
    if not found then
        return 0;
    end if;

    select count(*)
    from pgq.subscription
    where sub_id = s.sub_id
    into members;

    if members > 1 and s.looks_like_worker then
        delete from pgq.subscription
        where sub_queue = s.sub_queue
            and sub_consumer = s.sub_consumer;
        return 1;
    end if;

    delete from pgq.retry_queue
    where ev_owner = s.sub_id;

    delete from pgq.subscription
    where sub_id = s.sub_id;

    delete from pgq.consumer
    where co_id = s.sub_consumer
        and not exists (
            select 1
            from pgq.subscription
            where sub_consumer = s.sub_consumer
        );
    return members;
end;
$$;

comment on function pgq.unregister_consumer(text, text) is
    'Ends a subscription; returns the number of subscriptions removed';


-- Batches: opening, finishing, what they are (spec/pgq.md 1.7, 4.4, 6). Their events: batch_events.sql.


-- Opens the consumer's next batch, or gives back the open one. Always one row; all NULL if there is no batch yet.
-- Nothing is locked or written unless a batch is opened: consumers poll.
create or replace function pgq.next_batch_custom(
    i_queue_name text,
    i_consumer_name text,
    i_min_lag interval,
    i_min_count integer,
    i_min_interval interval,
    out batch_id bigint,
    out cur_tick_id bigint,
    out prev_tick_id bigint,
    out cur_tick_time timestamptz,
    out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint,
    out prev_tick_event_seq bigint
)
returns record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    locked boolean := false;
begin
    -- Looked at once without a lock, and again with it: two calls at once give the same batch.
    loop
        select
            sub.sub_queue,
            sub.sub_consumer,
            sub.sub_batch,
            sub.sub_next_tick,
            last.tick_id as last_id,
            last.tick_time as last_time,
            last.tick_event_seq as last_seq,
            next.tick_time as next_time,
            next.tick_event_seq as next_seq
        from pgq.queue q
        join pgq.subscription sub on sub.sub_queue = q.queue_id
        join pgq.consumer c on c.co_id = sub.sub_consumer
        left join pgq.tick last on last.tick_queue = sub.sub_queue and last.tick_id = sub.sub_last_tick
        left join pgq.tick next on next.tick_queue = sub.sub_queue and next.tick_id = sub.sub_next_tick
        where q.queue_name = i_queue_name
            and c.co_name = i_consumer_name
        into s;
        if not found then
            raise exception 'Not subscriber to queue: %/%',
                coalesce(i_queue_name, 'NULL'), coalesce(i_consumer_name, 'NULL');
        end if;
        if s.last_id is null then
            raise exception 'PgQ corruption: Consumer % on queue % does not see tick <NULL>',
                i_consumer_name, i_queue_name;
        end if;

        prev_tick_id := s.last_id;
        prev_tick_time := s.last_time;
        prev_tick_event_seq := s.last_seq;

        if s.sub_batch is not null then
            batch_id := s.sub_batch;
            cur_tick_id := s.sub_next_tick;
            cur_tick_time := s.next_time;
            cur_tick_event_seq := s.next_seq;
            return;
        end if;

        if i_min_count is null and i_min_interval is null then
            select tick_id, tick_time, tick_event_seq
            from pgq.tick
            where tick_queue = s.sub_queue
                and tick_id > s.last_id
            order by tick_id
            limit 1
            into cur_tick_id, cur_tick_time, cur_tick_event_seq;
        else
            select next_tick_id, next_tick_time, next_tick_seq
            from pgq.find_tick_helper(s.sub_queue, s.last_id, s.last_time, s.last_seq, i_min_count, i_min_interval)
            into cur_tick_id, cur_tick_time, cur_tick_event_seq;
        end if;

        if cur_tick_id is null or now() - cur_tick_time < i_min_lag then
            prev_tick_id := null;
            prev_tick_time := null;
            prev_tick_event_seq := null;
            cur_tick_id := null;
            cur_tick_time := null;
            cur_tick_event_seq := null;
            return;
        end if;

        exit when locked;

        perform 1
        from pgq.subscription
        where sub_queue = s.sub_queue
            and sub_consumer = s.sub_consumer
        for update;

        locked := true;
    end loop;

    batch_id := nextval('pgq.batch_id_seq');
    update pgq.subscription
    set sub_batch = batch_id,
        sub_next_tick = cur_tick_id,
        sub_active = now()
    where sub_queue = s.sub_queue
        and sub_consumer = s.sub_consumer;
end;
$$;

comment on function pgq.next_batch_custom(text, text, interval, integer, interval) is
    'Opens the next batch if it is old or big enough, or returns the open one; all NULL if there is none';


-- The same without conditions.
create or replace function pgq.next_batch_info(
    i_queue_name text,
    i_consumer_name text,
    out batch_id bigint,
    out cur_tick_id bigint,
    out prev_tick_id bigint,
    out cur_tick_time timestamptz,
    out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint,
    out prev_tick_event_seq bigint
)
returns record
language plpgsql
as $$
begin
    select
        b.batch_id,
        b.cur_tick_id,
        b.prev_tick_id,
        b.cur_tick_time,
        b.prev_tick_time,
        b.cur_tick_event_seq,
        b.prev_tick_event_seq
    from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) b
    into batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq;
end;
$$;

comment on function pgq.next_batch_info(text, text) is
    'Opens the next batch, or returns the open one, with its ticks; all NULL if there is none';


-- The same, the id only.
create or replace function pgq.next_batch(i_queue_name text, i_consumer_name text)
returns bigint
language plpgsql
as $$
declare
    res bigint;
begin
    select b.batch_id
    from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) b
    into res;
    return res;
end;
$$;

comment on function pgq.next_batch(text, text) is
    'Opens the next batch, or returns the open one; NULL if there is none';


-- The consumer has done with the batch: 1, or 0 with a warning if there is no such batch.
create or replace function pgq.finish_batch(x_batch_id bigint)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pgq.subscription
    set sub_active = now(),
        sub_last_tick = sub_next_tick,
        sub_next_tick = null,
        sub_batch = null
    where sub_batch = x_batch_id;
    if not found then
        raise warning 'finish_batch: batch % not found', x_batch_id;
        return 0;
    end if;
    return 1;
end;
$$;

comment on function pgq.finish_batch(bigint) is
    'Ends a batch: 1 = done, 0 = no such batch';


-- Whose batch it is, between which ticks. One row; all NULL for an unknown batch.
create or replace function pgq.get_batch_info(
    x_batch_id bigint,
    out queue_name text,
    out consumer_name text,
    out batch_start timestamptz,
    out batch_end timestamptz,
    out prev_tick_id bigint,
    out tick_id bigint,
    out lag interval,
    out seq_start bigint,
    out seq_end bigint
)
returns record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    select
        q.queue_name,
        c.co_name,
        last.tick_time,
        cur.tick_time,
        s.sub_last_tick,
        s.sub_next_tick,
        current_timestamp - cur.tick_time,
        last.tick_event_seq,
        cur.tick_event_seq
    from pgq.subscription s
    join pgq.queue q on q.queue_id = s.sub_queue
    join pgq.consumer c on c.co_id = s.sub_consumer
    left join pgq.tick last on last.tick_queue = s.sub_queue and last.tick_id = s.sub_last_tick
    left join pgq.tick cur on cur.tick_queue = s.sub_queue and cur.tick_id = s.sub_next_tick
    where s.sub_batch = x_batch_id
    into queue_name, consumer_name, batch_start, batch_end, prev_tick_id, tick_id, lag, seq_start, seq_end;
end;
$$;

comment on function pgq.get_batch_info(bigint) is
    'Queue, consumer and ticks of an open batch; all NULL for an unknown one';


-- Reading the events of a batch (spec/pgq.md 1.3 to 1.5, 4.4).


-- Where the transactions between two snapshots are to be looked for: those in txid_from .. txid_to, of which some are
-- visible in both or in neither, and exactly those in txid_list, all below txid_from (spec/pgq.md 1.4).
-- While an old transaction keeps the xmin of every snapshot low, the range still begins at the previous snapshot's end.
create or replace function pgq.batch_txid_range(
    i_last txid_snapshot,
    i_cur txid_snapshot,
    out txid_from bigint,
    out txid_to bigint,
    out txid_list bigint[]
)
returns record
language plpgsql
immutable
strict
as $$
declare
    txid bigint;
begin
    txid_from := pg_catalog.txid_snapshot_xmax(i_last);
    txid_to := pg_catalog.txid_snapshot_xmax(i_cur);
    txid_list := '{}';
    for txid in
        select x
        from pg_catalog.txid_snapshot_xip(i_last) x
        where pg_catalog.txid_visible_in_snapshot(x, i_cur)
        order by x desc
    loop
        if txid >= txid_from - 100 then
            txid_from := txid;
        else
            txid_list := txid_list || txid;
        end if;
    end loop;
end;
$$;

comment on function pgq.batch_txid_range(txid_snapshot, txid_snapshot) is
    'Range and list of the transaction ids in which the events between two snapshots lie';


-- The tables that hold a batch's events: those that its snapshots and the last rotation name, and any further one with
-- an event in the batch's range of transaction ids. A producer that read which table is current, was held up, and got
-- its transaction id after a rotation has written to such a table.
-- All events of a batch were committed before its end tick, so what is not found now will not come.
create or replace function pgq.batch_event_tables(x_batch_id bigint)
returns setof text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    b record;
    r record;
    lowest_txid bigint;
    previous_table integer;
    tables integer[];
    probe text;
    further integer[];
    n integer;
begin
    select
        q.queue_data_pfx,
        q.queue_ntables,
        q.queue_cur_table,
        q.queue_switch_step1,
        q.queue_switch_step2,
        last.tick_snapshot as last_snapshot,
        cur.tick_snapshot as cur_snapshot
    from pgq.subscription s
    join pgq.queue q on q.queue_id = s.sub_queue
    join pgq.tick last on last.tick_queue = s.sub_queue and last.tick_id = s.sub_last_tick
    join pgq.tick cur on cur.tick_queue = s.sub_queue and cur.tick_id = s.sub_next_tick
    where s.sub_batch = x_batch_id
    into b;
    if not found then
        raise exception 'Cannot find data for batch %', x_batch_id;
    end if;

    previous_table := (b.queue_cur_table + b.queue_ntables - 1) % b.queue_ntables;
    if pg_catalog.txid_snapshot_xmax(b.cur_snapshot) < b.queue_switch_step1 then
        tables := array[previous_table];
    elsif pg_catalog.txid_snapshot_xmin(b.last_snapshot) > b.queue_switch_step2
        or previous_table = b.queue_cur_table
    then
        tables := array[b.queue_cur_table];
    else
        tables := array[previous_table, b.queue_cur_table];
    end if;

    select *
    from pgq.batch_txid_range(b.last_snapshot, b.cur_snapshot)
    into r;
    select coalesce(pg_catalog.min(x), r.txid_from)
    from pg_catalog.unnest(r.txid_list) x
    into lowest_txid;

    -- Ordered with a limit: the planner then always walks the index, whatever it thinks of a table without statistics.
    select pg_catalog.string_agg(
        pg_catalog.format(
            'select %s as n where (select e.ev_txid from %s e where e.ev_txid >= %s order by e.ev_txid limit 1) <= %s',
            t.n,
            pgq.quote_fqname(b.queue_data_pfx || '_' || t.n),
            lowest_txid,
            r.txid_to
        ),
        ' union all '
    )
    from pg_catalog.generate_series(0, b.queue_ntables - 1) as t (n)
    where t.n <> all (tables)
    into probe;

    if probe is not null then
        -- Undone at once, for its locks: held to the end of the reader's transaction, they would keep the next
        -- rotation from emptying a table that has nothing to do with this batch.
        begin
            execute 'select pg_catalog.array_agg(p.n order by p.n) from (' || probe || ') p'
            into further;
            raise exception 'probe done' using errcode = 'PQ001';
        exception when sqlstate 'PQ001' then
            null;
        end;
    end if;

    foreach n in array tables || further loop
        return next b.queue_data_pfx || '_' || n;
    end loop;
end;
$$;

comment on function pgq.batch_event_tables(bigint) is
    'Names of the tables that hold the events of a batch';


-- The query that reads a batch's events in order of their ids, as text for EXECUTE, a cursor or a sub-select.
create or replace function pgq.batch_event_sql(x_batch_id bigint)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    b record;
    r record;
    columns constant text :=
        'ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4';
    owner text;
    event_table text;
    parts text[] := '{}';
begin
    select s.sub_id, last.tick_snapshot as last_snapshot, cur.tick_snapshot as cur_snapshot
    from pgq.subscription s
    join pgq.tick last on last.tick_queue = s.sub_queue and last.tick_id = s.sub_last_tick
    join pgq.tick cur on cur.tick_queue = s.sub_queue and cur.tick_id = s.sub_next_tick
    where s.sub_batch = x_batch_id
    into b;
    if not found then
        raise exception 'batch not found';
    end if;

    select *
    from pgq.batch_txid_range(b.last_snapshot, b.cur_snapshot)
    into r;

    owner := ' and (ev_owner is null or ev_owner = ' || b.sub_id || ')';
    for event_table in
        select pgq.quote_fqname(t)
        from pgq.batch_event_tables(x_batch_id) t
    loop
        parts := parts || (
            'select ' || columns || ' from ' || event_table
            || ' where ev_txid between ' || r.txid_from || ' and ' || r.txid_to
            || ' and not pg_catalog.txid_visible_in_snapshot(ev_txid, '
            || pg_catalog.quote_literal(b.last_snapshot::text) || '::pg_catalog.txid_snapshot)'
            || ' and pg_catalog.txid_visible_in_snapshot(ev_txid, '
            || pg_catalog.quote_literal(b.cur_snapshot::text) || '::pg_catalog.txid_snapshot)'
            || owner
        );
        if r.txid_list <> '{}' then
            -- The range says nothing new about the rows; it tells a planner without statistics that they are few.
            parts := parts || (
                'select ' || columns || ' from ' || event_table
                || ' where ev_txid = any (' || pg_catalog.quote_literal(r.txid_list::text) || '::bigint[])'
                || ' and ev_txid between ' || r.txid_list[pg_catalog.array_upper(r.txid_list, 1)]
                || ' and ' || r.txid_list[1]
                || owner
            );
        end if;
    end loop;

    if parts = '{}' then
        raise exception 'could not construct sql for batch %', x_batch_id;
    end if;
    return pg_catalog.array_to_string(parts, ' union all ') || ' order by 1';
end;
$$;

comment on function pgq.batch_event_sql(bigint) is
    'The query that reads the events of a batch';


-- All events of a batch. None is normal.
create or replace function pgq.get_batch_events(
    x_batch_id bigint,
    out ev_id bigint,
    out ev_time timestamptz,
    out ev_txid bigint,
    out ev_retry integer,
    out ev_type text,
    out ev_data text,
    out ev_extra1 text,
    out ev_extra2 text,
    out ev_extra3 text,
    out ev_extra4 text
)
returns setof record
language plpgsql
as $$
begin
    return query execute pgq.batch_event_sql(x_batch_id);
end;
$$;

comment on function pgq.get_batch_events(bigint) is
    'The events of a batch';


-- Declares a cursor over a batch's events in the caller's transaction and returns the first rows from it; the caller
-- goes on with FETCH and CLOSE. The extra condition over the ten columns is put into the query as it is.
create or replace function pgq.get_batch_cursor(
    i_batch_id bigint,
    i_cursor_name text,
    i_quick_limit integer,
    i_extra_where text,
    out ev_id bigint,
    out ev_time timestamptz,
    out ev_txid bigint,
    out ev_retry integer,
    out ev_type text,
    out ev_data text,
    out ev_extra1 text,
    out ev_extra2 text,
    out ev_extra3 text,
    out ev_extra4 text
)
returns setof record
language plpgsql
as $$
declare
    batch_query text;
begin
    if i_batch_id is null or i_cursor_name is null or i_quick_limit is null then
        return;
    end if;

    batch_query := pgq.batch_event_sql(i_batch_id);
    if i_extra_where is not null then
        batch_query := 'select * from (' || batch_query || ') ev where ' || i_extra_where || E'\norder by 1';
    end if;
    execute 'declare ' || pg_catalog.quote_ident(i_cursor_name) || ' no scroll cursor for ' || batch_query;

    if i_quick_limit <= 0 then
        return;
    end if;
    for ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 in
        execute 'fetch ' || i_quick_limit || ' from ' || pg_catalog.quote_ident(i_cursor_name)
    loop
        return next;
    end loop;
end;
$$;

comment on function pgq.get_batch_cursor(bigint, text, integer, text) is
    'Opens a cursor over those events of a batch that meet a condition; returns the first rows';


-- The same without a condition.
create or replace function pgq.get_batch_cursor(
    i_batch_id bigint,
    i_cursor_name text,
    i_quick_limit integer,
    out ev_id bigint,
    out ev_time timestamptz,
    out ev_txid bigint,
    out ev_retry integer,
    out ev_type text,
    out ev_data text,
    out ev_extra1 text,
    out ev_extra2 text,
    out ev_extra3 text,
    out ev_extra4 text
)
returns setof record
language plpgsql
strict
as $$
begin
    return query
    select *
    from pgq.get_batch_cursor(i_batch_id, i_cursor_name, i_quick_limit, null);
end;
$$;

comment on function pgq.get_batch_cursor(bigint, text, integer) is
    'Opens a cursor over the events of a batch; returns the first rows';


-- Handing events back, to have them again later (spec/pgq.md 1.6, 4.4, 7).


-- Puts an event of an open batch into the retry queue: 1 = done, 0 = it is there already, with the due time it had.
-- A batch may hold an event and its own retried copy under one id: the later one, with the higher count, goes.
create or replace function pgq.event_retry(x_batch_id bigint, x_event_id bigint, x_retry_time timestamptz)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    e record;
begin
    select sub_id, sub_queue
    from pgq.subscription
    where sub_batch = x_batch_id
    into s;
    if not found then
        raise exception 'event not found';
    end if;

    select *
    from pgq.get_batch_events(x_batch_id)
    where ev_id = x_event_id
    order by ev_retry desc nulls last
    limit 1
    into e;
    if not found then
        raise exception 'event not found';
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
        ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_time, s.sub_queue, e.ev_id, e.ev_time, s.sub_id, coalesce(e.ev_retry, 0) + 1,
        e.ev_type, e.ev_data, e.ev_extra1, e.ev_extra2, e.ev_extra3, e.ev_extra4)
    on conflict (ev_owner, ev_id) do nothing;
    return case when found then 1 else 0 end;
end;
$$;

comment on function pgq.event_retry(bigint, bigint, timestamptz) is
    'Puts an event of an open batch into the retry queue until a moment; 1 = done, 0 = was there';


-- The same with the due time so many seconds from now.
create or replace function pgq.event_retry(x_batch_id bigint, x_event_id bigint, x_retry_seconds integer)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return pgq.event_retry(x_batch_id, x_event_id, current_timestamp + make_interval(secs => x_retry_seconds));
end;
$$;

comment on function pgq.event_retry(bigint, bigint, integer) is
    'Puts an event of an open batch into the retry queue for some seconds; 1 = done, 0 = was there';


-- Puts all events of an open batch into the retry queue; returns how many were not there yet. The batch stays open.
create or replace function pgq.batch_retry(i_batch_id bigint, i_retry_seconds integer)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    res integer;
begin
    select sub_id, sub_queue
    from pgq.subscription
    where sub_batch = i_batch_id
    into s;
    if not found then
        raise exception 'batch_retry: batch % not found', i_batch_id;
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
        ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    select distinct on (e.ev_id)
        current_timestamp + make_interval(secs => i_retry_seconds),
        s.sub_queue, e.ev_id, e.ev_time, s.sub_id, coalesce(e.ev_retry, 0) + 1,
        e.ev_type, e.ev_data, e.ev_extra1, e.ev_extra2, e.ev_extra3, e.ev_extra4
    from pgq.get_batch_events(i_batch_id) e
    order by e.ev_id, e.ev_retry desc nulls last
    on conflict (ev_owner, ev_id) do nothing;
    get diagnostics res = row_count;
    return res;
end;
$$;

comment on function pgq.batch_retry(bigint, integer) is
    'Puts all events of an open batch into the retry queue for some seconds; returns how many';


-- Puts an event of any content into a consumer's retry queue; without an id it gets the next one. Returns the id.
create or replace function pgq.event_retry_raw(
    x_queue text,
    x_consumer text,
    x_retry_after timestamptz,
    x_ev_id bigint,
    x_ev_time timestamptz,
    x_ev_retry integer,
    x_ev_type text,
    x_ev_data text,
    x_ev_extra1 text,
    x_ev_extra2 text,
    x_ev_extra3 text,
    x_ev_extra4 text
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    s record;
    event_id bigint := x_ev_id;
begin
    select sub.sub_id, q.queue_id, q.queue_event_seq
    from pgq.subscription sub
    join pgq.queue q on q.queue_id = sub.sub_queue
    join pgq.consumer c on c.co_id = sub.sub_consumer
    where q.queue_name = x_queue
        and c.co_name = x_consumer
    into s;
    if not found then
        raise exception 'consumer not registered';
    end if;

    if event_id is null then
        event_id := nextval(s.queue_event_seq::regclass);
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
        ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_after, s.queue_id, event_id, x_ev_time, s.sub_id, x_ev_retry,
        x_ev_type, x_ev_data, x_ev_extra1, x_ev_extra2, x_ev_extra3, x_ev_extra4);
    return event_id;
end;
$$;

comment on function pgq.event_retry_raw(text, text, timestamptz, bigint, timestamptz, integer,
        text, text, text, text, text, text) is
    'Puts an event into a consumer''s retry queue directly; returns its id';


-- Moves up to ten due events back into their queues, for their owners only; returns how many. Call again until it is 0.
create or replace function pgq.maint_retry_events()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    e record;
    res integer := 0;
begin
    -- One mover at a time; events may still be added.
    lock table pgq.retry_queue in share update exclusive mode;

    for e in
        select q.queue_name, r.*
        from pgq.retry_queue r
        join pgq.queue q on q.queue_id = r.ev_queue
        where r.ev_retry_after <= current_timestamp
        order by r.ev_retry_after
        limit 10
    loop
        perform pgq.insert_event_raw(e.queue_name, e.ev_id, e.ev_time, e.ev_owner, e.ev_retry,
            e.ev_type, e.ev_data, e.ev_extra1, e.ev_extra2, e.ev_extra3, e.ev_extra4);

        delete from pgq.retry_queue
        where ev_owner = e.ev_owner
            and ev_id = e.ev_id;
        res := res + 1;
    end loop;
    return res;
end;
$$;

comment on function pgq.maint_retry_events() is
    'Moves up to ten due retry events back into their queues; returns how many';


-- Rotating event tables (spec/pgq.md 1.5, 7).
--
-- Emptying goes by facts. A table is truncated only when its greatest transaction id, read under the lock that keeps
-- every writer out, lies below the xmin of the tick of every subscription: each of its events is then visible in each of
-- these ticks, and belongs to batches that are finished. Which table a producer chose, and when it got its transaction
-- id, does not matter.


-- Empties the table after the current one and makes it current, if the period is over and no consumer needs it any
-- more. Always returns 0. To be followed by step 2 in a later transaction.
create or replace function pgq.maint_rotate_tables_step1(i_queue_name text)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    missing_tick bigint;
    lowest_xmin bigint;
    next_number integer;
    next_table text;
    greatest_txid bigint;
begin
    -- A snapshot older than the locks below could miss a subscription, or the last events of the table.
    if pg_catalog.current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise warning 'maint_rotate_tables_step1: tables are rotated in isolation level read committed only, not in %',
            pg_catalog.current_setting('transaction_isolation');
        return 0;
    end if;

    -- Waits for subscribers and tickers that hold the row, and keeps them waiting until we commit.
    select
        queue_id,
        queue_ntables,
        queue_cur_table,
        queue_data_pfx,
        queue_switch_step1,
        queue_switch_step2
    from pgq.queue
    where queue_name = i_queue_name
        and queue_switch_step2 is not null
        and queue_switch_time + queue_rotation_period < current_timestamp
    for update
    into q;
    if not found then
        return 0;
    end if;

    if pg_catalog.txid_current() < q.queue_switch_step1 then
        raise exception 'queue % maint failure: step1=%, current=%',
            i_queue_name, q.queue_switch_step1, pg_catalog.txid_current();
    end if;

    select s.sub_last_tick
    from pgq.subscription s
    where s.sub_queue = q.queue_id
        and s.sub_last_tick is not null
        and not exists (
            select 1
            from pgq.tick t
            where t.tick_queue = s.sub_queue
                and t.tick_id = s.sub_last_tick
        )
    order by s.sub_last_tick
    limit 1
    into missing_tick;
    if found then
        raise exception 'queue % maint failure: tick % not found', i_queue_name, missing_tick;
    end if;

    -- By xmin, not by tick id: external ticks may come out of order. The end of an open batch counts as well, for the
    -- subscription's next position must survive the deletion of ticks below.
    select pg_catalog.min(pg_catalog.txid_snapshot_xmin(t.tick_snapshot))
    from pgq.subscription s
    join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id in (s.sub_last_tick, s.sub_next_tick)
    where s.sub_queue = q.queue_id
    into lowest_xmin;
    if lowest_xmin <= q.queue_switch_step2 then
        return 0;
    end if;

    next_number := (q.queue_cur_table + 1) % q.queue_ntables;
    next_table := pgq.quote_fqname(q.queue_data_pfx || '_' || next_number);

    -- Asked first without the lock: nobody waits for a table that cannot be emptied yet.
    execute 'select pg_catalog.max(ev_txid) from ' || next_table
    into greatest_txid;
    if greatest_txid >= lowest_xmin then
        return 0;
    end if;

    begin
        execute 'lock table ' || next_table || ' in access exclusive mode nowait';
    exception when lock_not_available then
        return 0;
    end;

    -- A writer holds its lock on the table until it is finished, prepared ones too: this snapshot sees all of them.
    execute 'select pg_catalog.max(ev_txid) from ' || next_table
    into greatest_txid;
    if greatest_txid >= lowest_xmin then
        return 0;
    end if;

    execute 'truncate table ' || next_table;

    update pgq.queue
    set queue_cur_table = next_number,
        queue_switch_time = current_timestamp,
        queue_switch_step1 = pg_catalog.txid_current(),
        queue_switch_step2 = null
    where queue_id = q.queue_id;

    -- Nobody may be placed on a tick whose following events are gone. A tick that a subscription refers to stays: its
    -- xmin is not below lowest_xmin, which is above both limits.
    delete from pgq.tick t
    where t.tick_queue = q.queue_id
        and (pg_catalog.txid_snapshot_xmin(t.tick_snapshot) < q.queue_switch_step2
            or pg_catalog.txid_snapshot_xmin(t.tick_snapshot) <= greatest_txid);
    return 0;
end;
$$;

comment on function pgq.maint_rotate_tables_step1(text) is
    'Empties the next event table of a queue and makes it current, if every consumer is past it; returns 0';


-- Records that the switches of step 1 are committed. Always returns 0.
create or replace function pgq.maint_rotate_tables_step2()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update pgq.queue
    set queue_switch_step2 = pg_catalog.txid_current()
    where queue_switch_step2 is null;
    return 0;
end;
$$;

comment on function pgq.maint_rotate_tables_step2() is
    'Records the end of all switches made by step 1, in a later transaction; returns 0';


-- What a maintenance driver has to do (spec/pgq.md 7).


-- The tables that need a vacuum by hand: none where autovacuum runs.
create or replace function pgq.maint_tables_to_vacuum()
returns setof text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_catalog.current_setting('autovacuum') = 'on' then
        return;
    end if;
    return query
    select t.schema_name || '.' || t.table_name
    from (values
        (1, 'pgq', 'subscription'),
        (2, 'pgq', 'consumer'),
        (3, 'pgq', 'queue'),
        (4, 'pgq', 'tick'),
        (5, 'pgq', 'retry_queue'),
        (6, 'pgq_ext', 'completed_tick'),
        (7, 'pgq_ext', 'completed_batch'),
        (8, 'pgq_ext', 'completed_event'),
        (9, 'pgq_ext', 'partial_batch'),
        (10, 'pgq_node', 'local_state'),
        (11, 'londiste', 'seq_info'),
        (12, 'txid', 'epoch'),
        (13, 'londiste', 'completed')
    ) as t (nr, schema_name, table_name)
    where exists (
        select 1
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = t.schema_name
            and c.relname = t.table_name
    )
    order by t.nr;
end;
$$;

comment on function pgq.maint_tables_to_vacuum() is
    'Names of the tables to vacuum by hand';


-- What is to be done now, to be run in this order, each in its own transaction: a function and its one argument, if
-- any, or a kind of vacuum and its table.
create or replace function pgq.maint_operations(out func_name text, out func_arg text)
returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    q record;
    has_step1 boolean := false;
begin
    func_name := 'pgq.maint_rotate_tables_step1';
    for func_arg in
        select queue_name
        from pgq.queue
        where queue_switch_step2 is not null
            and queue_switch_time + queue_rotation_period < current_timestamp
        order by queue_name
    loop
        has_step1 := true;
        return next;
    end loop;

    perform 1
    from pgq.queue
    where queue_switch_step2 is null
    limit 1;
    if found or has_step1 then
        func_name := 'pgq.maint_rotate_tables_step2';
        func_arg := null;
        return next;
    end if;

    for q in
        select queue_name, queue_extra_maint
        from pgq.queue
        where queue_extra_maint is not null
        order by queue_name
    loop
        func_arg := q.queue_name;
        for i in pg_catalog.array_lower(q.queue_extra_maint, 1) .. pg_catalog.array_upper(q.queue_extra_maint, 1) loop
            func_name := q.queue_extra_maint[i];
            return next;
        end loop;
    end loop;

    func_name := 'vacuum';
    for func_arg in
        select t
        from pgq.maint_tables_to_vacuum() t
    loop
        return next;
    end loop;

    perform 1
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'pgq_node'
        and p.proname = 'maint_watermark'
    limit 1;
    if found then
        func_name := 'pgq_node.maint_watermark';
        for func_arg in
            select n.queue_name
            from pgq_node.node_info n
            where n.node_type = 'root'
            order by n.queue_name
        loop
            return next;
        end loop;
    end if;

    perform 1
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'londiste'
        and p.proname = 'root_check_seqs'
    limit 1;
    if found then
        func_name := 'londiste.root_check_seqs';
        for func_arg in
            select distinct s.queue_name
            from londiste.seq_info s
            join pgq_node.node_info n on n.queue_name = s.queue_name
            where s.local
                and n.node_type = 'root'
            order by s.queue_name
        loop
            return next;
        end loop;
    end if;

    perform 1
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'londiste'
        and p.proname = 'periodic_maintenance'
    limit 1;
    if found then
        func_name := 'londiste.periodic_maintenance';
        func_arg := null;
        return next;
    end if;
end;
$$;

comment on function pgq.maint_operations() is
    'What maintenance is due: functions and tables, in order';


-- What is there, and how it goes (spec/pgq.md 4.7).


-- The release of PgQ whose interface this is. Tickers refuse a database where it does not begin with 3 or more.
create or replace function pgq.version()
returns text
language plpgsql
as $$
begin
    return '3.5.0';
end;
$$;

comment on function pgq.version() is
    'The version of the PgQ interface';


-- One row a queue, in order of their names; of all queues if the name is NULL. ev_per_sec is over the last 20 ticks.
create or replace function pgq.get_queue_info(
    i_queue_name text,
    out queue_name text,
    out queue_ntables integer,
    out queue_cur_table integer,
    out queue_rotation_period interval,
    out queue_switch_time timestamptz,
    out queue_external_ticker boolean,
    out queue_ticker_paused boolean,
    out queue_ticker_max_count integer,
    out queue_ticker_max_lag interval,
    out queue_ticker_idle_period interval,
    out ticker_lag interval,
    out ev_per_sec double precision,
    out ev_new bigint,
    out last_tick_id bigint
)
returns setof record
language plpgsql
as $$
begin
    return query
    select
        q.queue_name,
        q.queue_ntables,
        q.queue_cur_table,
        q.queue_rotation_period,
        q.queue_switch_time,
        q.queue_external_ticker,
        q.queue_ticker_paused,
        q.queue_ticker_max_count,
        q.queue_ticker_max_lag,
        q.queue_ticker_idle_period,
        current_timestamp - top.tick_time,
        case when old.tick_time < top.tick_time then
            (top.tick_event_seq - old.tick_event_seq)
            / extract(epoch from top.tick_time - old.tick_time)::double precision
        end,
        pgq.seq_getval(q.queue_event_seq) - top.tick_event_seq,
        top.tick_id
    from pgq.queue q
    left join lateral (
        select t.tick_id, t.tick_time, t.tick_event_seq
        from pgq.tick t
        where t.tick_queue = q.queue_id
        order by t.tick_id desc
        limit 1
    ) top on true
    left join lateral (
        select t.tick_time, t.tick_event_seq
        from pgq.tick t
        where t.tick_queue = q.queue_id
            and t.tick_id >= top.tick_id - 20
        order by t.tick_id
        limit 1
    ) old on true
    where i_queue_name is null
        or q.queue_name = i_queue_name
    order by q.queue_name;
end;
$$;

comment on function pgq.get_queue_info(text) is
    'Settings and state of a queue, or of all if the name is NULL';


-- The same for all queues.
create or replace function pgq.get_queue_info(
    out queue_name text,
    out queue_ntables integer,
    out queue_cur_table integer,
    out queue_rotation_period interval,
    out queue_switch_time timestamptz,
    out queue_external_ticker boolean,
    out queue_ticker_paused boolean,
    out queue_ticker_max_count integer,
    out queue_ticker_max_lag interval,
    out queue_ticker_idle_period interval,
    out ticker_lag interval,
    out ev_per_sec double precision,
    out ev_new bigint,
    out last_tick_id bigint
)
returns setof record
language plpgsql
as $$
begin
    return query
    select *
    from pgq.get_queue_info(null);
end;
$$;

comment on function pgq.get_queue_info() is
    'Settings and state of all queues';


-- One row a subscription, in order of queue and consumer; a name that is NULL stands for all.
create or replace function pgq.get_consumer_info(
    i_queue_name text,
    i_consumer_name text,
    out queue_name text,
    out consumer_name text,
    out lag interval,
    out last_seen interval,
    out last_tick bigint,
    out current_batch bigint,
    out next_tick bigint,
    out pending_events bigint
)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select
        q.queue_name,
        c.co_name,
        current_timestamp - last.tick_time,
        current_timestamp - s.sub_active,
        s.sub_last_tick,
        s.sub_batch,
        s.sub_next_tick,
        top.tick_event_seq - last.tick_event_seq
    from pgq.subscription s
    join pgq.queue q on q.queue_id = s.sub_queue
    join pgq.consumer c on c.co_id = s.sub_consumer
    left join pgq.tick last on last.tick_queue = s.sub_queue and last.tick_id = s.sub_last_tick
    left join lateral (
        select t.tick_event_seq
        from pgq.tick t
        where t.tick_queue = s.sub_queue
        order by t.tick_id desc
        limit 1
    ) top on true
    where (i_queue_name is null or q.queue_name = i_queue_name)
        and (i_consumer_name is null or c.co_name = i_consumer_name)
    order by q.queue_name, c.co_name;
end;
$$;

comment on function pgq.get_consumer_info(text, text) is
    'State of a subscription; NULL stands for all queues, all consumers';


-- The same for all consumers of a queue.
create or replace function pgq.get_consumer_info(
    i_queue_name text,
    out queue_name text,
    out consumer_name text,
    out lag interval,
    out last_seen interval,
    out last_tick bigint,
    out current_batch bigint,
    out next_tick bigint,
    out pending_events bigint
)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select *
    from pgq.get_consumer_info(i_queue_name, null);
end;
$$;

comment on function pgq.get_consumer_info(text) is
    'State of the subscriptions of a queue';


-- The same for all subscriptions.
create or replace function pgq.get_consumer_info(
    out queue_name text,
    out consumer_name text,
    out lag interval,
    out last_seen interval,
    out last_tick bigint,
    out current_batch bigint,
    out next_tick bigint,
    out pending_events bigint
)
returns setof record
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select *
    from pgq.get_consumer_info(null, null);
end;
$$;

comment on function pgq.get_consumer_info() is
    'State of all subscriptions';


-- Who may do what (spec/pgq.md 2.3).

grant usage on schema pgq to public;

grant select on pgq.queue, pgq.consumer, pgq.tick, pgq.subscription to public, pgq_reader;
grant select, insert, update, delete on pgq.queue, pgq.consumer, pgq.tick, pgq.subscription to pgq_admin;
grant select on pgq.event_template to pgq_reader;
grant select, insert, truncate on pgq.event_template to pgq_admin;
grant select, insert, update, delete on pgq.retry_queue to pgq_admin;


-- Everybody: quote_fqname, seq_getval, version, get_queue_info, get_consumer_info keep the right they are created with.

revoke execute on function
    pgq._grant_perms_from(text, text, text, text),
    pgq.batch_event_sql(bigint),
    pgq.batch_event_tables(bigint),
    pgq.batch_retry(bigint, integer),
    pgq.batch_txid_range(txid_snapshot, txid_snapshot),
    pgq.create_queue(text),
    pgq.current_event_table(text),
    pgq.drop_queue(text),
    pgq.drop_queue(text, boolean),
    pgq.event_retry(bigint, bigint, integer),
    pgq.event_retry(bigint, bigint, timestamptz),
    pgq.event_retry_raw(text, text, timestamptz, bigint, timestamptz, integer, text, text, text, text, text, text),
    pgq.find_tick_helper(integer, bigint, timestamptz, bigint, bigint, interval),
    pgq.finish_batch(bigint),
    pgq.force_tick(text),
    pgq.get_batch_cursor(bigint, text, integer),
    pgq.get_batch_cursor(bigint, text, integer, text),
    pgq.get_batch_events(bigint),
    pgq.get_batch_info(bigint),
    pgq.grant_perms(text),
    pgq.insert_event(text, text, text),
    pgq.insert_event(text, text, text, text, text, text, text),
    pgq.insert_event_raw(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text),
    pgq.maint_operations(),
    pgq.maint_retry_events(),
    pgq.maint_rotate_tables_step1(text),
    pgq.maint_rotate_tables_step2(),
    pgq.maint_tables_to_vacuum(),
    pgq.next_batch(text, text),
    pgq.next_batch_custom(text, text, interval, integer, interval),
    pgq.next_batch_info(text, text),
    pgq.register_consumer(text, text),
    pgq.register_consumer_at(text, text, bigint),
    pgq.seq_setval(text, bigint),
    pgq.set_queue_config(text, text, text),
    pgq.ticker(),
    pgq.ticker(text),
    pgq.ticker(text, bigint, timestamptz, bigint),
    pgq.tune_storage(text),
    pgq.unregister_consumer(text, text),
    pgq.upgrade_schema()
from public;

grant execute on function
    pgq.batch_event_sql(bigint),
    pgq.batch_event_tables(bigint),
    pgq.batch_retry(bigint, integer),
    pgq.batch_txid_range(txid_snapshot, txid_snapshot),
    pgq.event_retry(bigint, bigint, integer),
    pgq.event_retry(bigint, bigint, timestamptz),
    pgq.find_tick_helper(integer, bigint, timestamptz, bigint, bigint, interval),
    pgq.finish_batch(bigint),
    pgq.force_tick(text),
    pgq.get_batch_cursor(bigint, text, integer),
    pgq.get_batch_cursor(bigint, text, integer, text),
    pgq.get_batch_events(bigint),
    pgq.get_batch_info(bigint),
    pgq.next_batch(text, text),
    pgq.next_batch_custom(text, text, interval, integer, interval),
    pgq.next_batch_info(text, text),
    pgq.register_consumer(text, text),
    pgq.register_consumer_at(text, text, bigint),
    pgq.unregister_consumer(text, text)
to pgq_reader;

grant execute on function
    pgq.current_event_table(text),
    pgq.insert_event(text, text, text),
    pgq.insert_event(text, text, text, text, text, text, text)
to pgq_writer;

grant execute on function
    pgq._grant_perms_from(text, text, text, text),
    pgq.create_queue(text),
    pgq.drop_queue(text),
    pgq.drop_queue(text, boolean),
    pgq.event_retry_raw(text, text, timestamptz, bigint, timestamptz, integer, text, text, text, text, text, text),
    pgq.grant_perms(text),
    pgq.insert_event_raw(text, bigint, timestamptz, integer, integer, text, text, text, text, text, text),
    pgq.maint_operations(),
    pgq.maint_retry_events(),
    pgq.maint_rotate_tables_step1(text),
    pgq.maint_rotate_tables_step2(),
    pgq.maint_tables_to_vacuum(),
    pgq.seq_setval(text, bigint),
    pgq.set_queue_config(text, text, text),
    pgq.ticker(),
    pgq.ticker(text),
    pgq.ticker(text, bigint, timestamptz, bigint),
    pgq.tune_storage(text),
    pgq.upgrade_schema()
to pgq_admin;


create or replace function pgq.skyconsole_version()
returns text
language sql
immutable
as $marker$ select '1.0.0'::text $marker$;
