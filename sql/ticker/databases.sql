-- name: databases
select d.datname
from pg_catalog.pg_database as d
where not d.datistemplate
    and d.datallowconn
order by d.datname
