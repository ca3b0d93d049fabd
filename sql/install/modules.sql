-- What the installer of SQL modules asks and does.

-- name: isolation
-- So that what is read after the lock is what stands there then, whatever the role's default.
set transaction isolation level read committed;

-- name: session
select set_config('search_path', 'pg_catalog', true),
       set_config('client_min_messages', 'warning', true),
       set_config('lock_timeout', '30s', true),
       set_config('standard_conforming_strings', 'on', true);

-- name: lock
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('skyconsole.install', 0));

-- name: state
select (
           select e.extversion
             from pg_catalog.pg_extension e
            where e.extname = %(name)s
       ) as extension,
       n.oid is not null as schema_exists,
       exists (
           select 1
             from pg_catalog.pg_class c
            where c.relnamespace = n.oid
       ) or exists (
           select 1
             from pg_catalog.pg_proc p
            where p.pronamespace = n.oid
       ) as schema_filled,
       -- Read, never called: whoever owns the schema may have put any code there.
       pg_catalog.substring(marker.prosrc, '^ select ''([0-9.]+)''::text $') as version,
       pg_catalog.pg_get_userbyid(n.nspowner) as owner,
       pg_catalog.pg_get_userbyid(n.nspowner) = current_user as own,
       pg_catalog.current_setting('role') as role
  from (select 1) one
  left join pg_catalog.pg_namespace n
    on n.nspname = %(schema)s
  left join pg_catalog.pg_proc marker
    on marker.oid = pg_catalog.to_regprocedure(pg_catalog.quote_ident(%(schema)s) || '.skyconsole_version()');

-- name: marker
create or replace function {schema}.skyconsole_version()
returns text
language sql
immutable
as $marker$ select {version}::text $marker$;

-- name: comment
comment on function {schema}.skyconsole_version() is
'The version of the SQL module that skyconsole installed here.';

-- name: become
select pg_catalog.set_config('role', %(role)s, true);
