-- What the tables of older releases lack (spec/pgq-ext.md 3).


-- Adds the subconsumer to tables that were made without it, and the defaults to those made without them. Keeps all rows.
-- Returns the number of changes: 8 for tables without subconsumers, 4 for tables without defaults, 0 for ours.
create or replace function pgq_ext.upgrade_schema()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    t record;
    old_key name;
    changes integer := 0;
begin
    for t in
        select
            w.name,
            w.key_columns,
            a.attname is null as lacks_column,
            d.oid is null as lacks_default
        from (values
            ('completed_batch', 'consumer_id, subconsumer_id'),
            ('completed_tick', 'consumer_id, subconsumer_id'),
            ('partial_batch', 'consumer_id, subconsumer_id'),
            ('completed_event', 'consumer_id, subconsumer_id, batch_id, event_id')
        ) as w (name, key_columns)
        join pg_class c on c.relname = w.name and c.relnamespace = 'pgq_ext'::regnamespace
        left join pg_attribute a on a.attrelid = c.oid and a.attname = 'subconsumer_id' and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    loop
        if t.lacks_column then
            execute format('alter table pgq_ext.%I add column subconsumer_id text not null default %L', t.name, '');
            select conname
            from pg_constraint
            where conrelid = ('pgq_ext.' || t.name)::regclass
                and contype = 'p'
            into old_key;
            if old_key is not null then
                execute format('alter table pgq_ext.%I drop constraint %I', t.name, old_key);
            end if;
            execute format(
                'alter table pgq_ext.%I add constraint %I primary key (%s)', t.name, t.name || '_pkey', t.key_columns
            );
            changes := changes + 2;
        elsif t.lacks_default then
            execute format('alter table pgq_ext.%I alter column subconsumer_id set default %L', t.name, '');
            changes := changes + 1;
        end if;
    end loop;
    return changes;
end;
$$;

comment on function pgq_ext.upgrade_schema() is
    'Completes the tables of an older release; returns the number of changes';


-- The role of those who may keep marks. Roles belong to the cluster: another database may be creating it at this moment.
do $$
begin
    if not exists (select 1 from pg_catalog.pg_roles where rolname = 'pgq_writer') then
        create role pgq_writer nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;
end;
$$;

select pgq_ext.upgrade_schema();
