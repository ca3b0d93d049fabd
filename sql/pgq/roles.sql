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
