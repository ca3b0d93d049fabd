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
