-- What an action's session and transaction are given before the action runs.

-- name: session
select
    set_config('application_name', %s, false),
    set_config('default_transaction_read_only', %s, false)

-- name: transaction
select
    set_config('lock_timeout', %s, true),
    set_config('statement_timeout', %s, true),
    set_config('transaction_read_only', %s, true)

-- name: locks
-- The locks on tables and sequences this transaction holds, other than those of mere reading.
-- A relation it dropped has no name.
select
    l.relation::bigint,
    l.mode,
    n.nspname || '.' || c.relname
from pg_catalog.pg_locks as l
left join pg_catalog.pg_class as c on c.oid = l.relation
left join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where l.pid = pg_catalog.pg_backend_pid()
  and l.locktype = 'relation'
  and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
  and l.granted
  and l.mode <> 'AccessShareLock'
  and coalesce(n.nspname, '') not in ('pg_catalog', 'information_schema', 'pg_toast')
  and coalesce(c.relkind, 'r') <> 'i'

-- name: changes
-- The rows this transaction changed, by table.
select
    t.schemaname || '.' || t.relname,
    t.n_tup_ins,
    t.n_tup_upd,
    t.n_tup_del
from pg_catalog.pg_stat_xact_user_tables as t
where t.n_tup_ins + t.n_tup_upd + t.n_tup_del > 0
order by 1

-- name: relations
-- The names of tables and sequences.
select
    c.oid::bigint,
    n.nspname || '.' || c.relname
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.oid = any(%s::bigint[]::oid[])
  and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  and c.relkind <> 'i'
