-- The schema pgq_coop (spec/pgq-coop.md). It has no tables: what a worker has is a row of pgq.subscription.

create schema if not exists pgq_coop;

comment on schema pgq_coop is 'PgQ: several workers share one consumer, each takes whole batches';


-- The release whose interface this is.
create or replace function pgq_coop.version()
returns text
language plpgsql
as $$
begin
    return '3.4';
end;
$$;

comment on function pgq_coop.version() is
    'The version of the pgq_coop interface';
