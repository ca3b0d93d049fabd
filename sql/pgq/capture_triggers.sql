-- The generic capture triggers (spec/pgq.md 8).


-- The three triggers differ in nothing but their names and the way a row is made from texts. Stable, so that the user's
-- expressions do not see the row that was just written; what they call is volatile.
--
-- The catalog is compared with what is remembered once in a transaction, and again after this transaction has changed a
-- table: no other one can as long as this one holds its lock. What was found is kept as a number in a setting that ends
-- with the transaction, or with the savepoint that the lock on the table ends with.
do $make$
declare
    work record;
begin
    for work in
        select *
        from (
            values
            ('logutriga', $row$ev_data := pgq.capture_url_row(plan.plan_heads, coalesce(after, before));
            if plan.plan_backup then
                ev_extra2 := pgq.capture_url_row(plan.plan_heads, before);
            end if;$row$),
            ('jsontriga', $row$ev_data :=
                pgq.capture_json_row(plan.plan_heads, plan.plan_forms, coalesce(after, before));
            if plan.plan_backup then
                ev_extra2 := pgq.capture_json_row(plan.plan_heads, plan.plan_forms, before);
            end if;$row$),
            ('sqltriga', $row$if before is null then
                ev_data := pg_catalog.concat(plan.plan_prefix, pgq.capture_sql_row(plan.plan_heads, after));
            else
                ev_data := pgq.capture_sql_condition(plan.plan_key_names, before);
                if after is not null then
                    changes := pgq.capture_sql_changes(plan.plan_names, plan.plan_exact, after, before);
                    is_plain := changes is not null;
                    if changes operator(pg_catalog.=) '' then
                        changes := pg_catalog.concat(plan.plan_key_names[plan.plan_key_places[1]],
                            pg_catalog.quote_literal(before[plan.plan_key_places[1]]));
                    end if;
                    ev_data := pg_catalog.textcat(pg_catalog.textcat(changes, ' where '), ev_data);
                end if;
            end if;$row$)
        ) w (kind, row_from_texts)
    loop
        execute pg_catalog.replace(pg_catalog.replace($template$
create or replace function pgq.KIND()
returns trigger
language plpgsql
stable
as $$
declare
    table_name pg_catalog.text;
    setting pg_catalog.text;
    changed pg_catalog.text;
    known pg_catalog.text;
    plan pgq.capture_plan;
    is_new boolean := false;
    is_plain boolean;
    place integer;
    before pg_catalog.text[];
    after pg_catalog.text[];
    changes pg_catalog.text;
    checked pg_catalog.text;
    ev_type pg_catalog.text;
    ev_data pg_catalog.text;
    ev_extra1 pg_catalog.text;
    ev_extra2 pg_catalog.text;
    ev_extra3 pg_catalog.text;
    ev_extra4 pg_catalog.text;
    fields pg_catalog.text[];
    event_id bigint;
begin
    if pg_catalog.current_setting('session_replication_role') operator(pg_catalog.=) 'local' then
        if tg_op operator(pg_catalog.=) 'DELETE' then
            return old;
        end if;
        return new;
    end if;

    table_name := pg_catalog.concat(tg_table_schema, '.', tg_table_name);
    setting := pg_catalog.concat('pgq.capture_KIND_', tg_relid, '_', tg_op);
    changed := pgq.capture_changes();
    known := pg_catalog.current_setting(setting, true);
    if pg_catalog.starts_with(known, changed) then
        plan := pgq.capture_recall(
            pg_catalog.substr(known, pg_catalog.length(changed) operator(pg_catalog.+) 1)::pg_catalog.int8,
            'KIND', tg_relid, table_name, tg_op, tg_when, tg_argv);
    end if;
    if plan.plan_id is null then
        if pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.<>) 'read committed'
            and tg_level operator(pg_catalog.=) 'ROW'
        then
            if tg_op operator(pg_catalog.=) 'DELETE' then
                perform pgq.capture_fits(tg_relid, old);
            else
                perform pgq.capture_fits(tg_relid, new);
            end if;
        end if;
        plan := pgq.capture_find('KIND', tg_relid, table_name, tg_op, tg_when, tg_level, tg_argv);
        if plan.plan_id is null then
            is_new := true;
            perform pgq.capture_verify(tg_relid, tg_op, tg_level, tg_argv, new, old);
            plan := pgq.capture_make('KIND', tg_relid, tg_op, tg_when, tg_level, tg_argv);
        elsif changed is not null then
            known := pg_catalog.set_config(setting, pg_catalog.concat(changed, plan.plan_id), true);
        end if;
    end if;

    is_plain := plan.plan_heads is not null
        and (not plan.plan_needs_iso
            or pg_catalog.starts_with(pg_catalog.current_setting('DateStyle'), 'ISO'));
    if is_plain then
        if tg_op operator(pg_catalog.<>) 'INSERT' then
            before := pgq.capture_values(old::pg_catalog.text, pg_catalog.cardinality(plan.plan_heads));
        end if;
        if tg_op operator(pg_catalog.<>) 'DELETE' then
            after := pgq.capture_values(new::pg_catalog.text, pg_catalog.cardinality(plan.plan_heads));
        end if;
        if tg_op operator(pg_catalog.=) 'UPDATE' then
            -- Whether different texts are different keys is left to the values.
            foreach place in array plan.plan_key_places loop
                is_plain := is_plain and coalesce(before[place] operator(pg_catalog.=) after[place],
                    pg_catalog.num_nulls(before[place], after[place]) operator(pg_catalog.=) 2);
            end loop;
        end if;
        if is_plain then
            ev_type := plan.plan_type;
            ev_extra1 := table_name;
            ROW_FROM_TEXTS
        end if;
    end if;
    if not is_plain then
        execute plan.plan_statement
        using new, old
        into checked, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4;
    end if;

    if checked operator(pg_catalog.=) 'key' then
        raise exception 'primary key update not allowed' using errcode = 'XX000';
    elsif checked operator(pg_catalog.=) 'null' or (plan.plan_needs_data and ev_data is null and checked is null) then
        raise exception 'logtriga: Unexpected NULL key value' using errcode = 'XX000';
    elsif checked is null then
        if plan.plan_unknown_magic is not null then
            raise exception 'Unknown magic column: %', plan.plan_unknown_magic using errcode = 'XX000';
        end if;
        if plan.plan_queries is null then
            event_id := pgq.insert_event(tg_argv[0], ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4);
        else
            fields := pgq.capture_evaluate(plan.plan_queries,
                array[ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4], new, old);
            if fields[7] operator(pg_catalog.=) 't' then
                event_id := pgq.insert_event(tg_argv[0],
                    fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]);
            end if;
        end if;
        if is_new
            and pg_catalog.has_function_privilege(
                'pgq.capture_remember(pg_catalog.text, pg_catalog.oid, pg_catalog.text, pg_catalog.text, '
                'pg_catalog.text, pg_catalog.text[])', 'execute')
        then
            perform pgq.capture_remember('KIND', tg_relid, tg_op, tg_when, tg_level, tg_argv);
        end if;
    end if;

    if plan.plan_skip or tg_when operator(pg_catalog.=) 'AFTER' then
        return null;
    elsif tg_op operator(pg_catalog.=) 'DELETE' then
        return old;
    end if;
    return new;
end;
$$
$template$, 'KIND', work.kind), 'ROW_FROM_TEXTS', work.row_from_texts);
    end loop;
end;
$make$;

comment on function pgq.logutriga() is
    'Trigger: an event with the url-encoded row for each change';
comment on function pgq.sqltriga() is
    'Trigger: an event with the partial SQL of each change';
comment on function pgq.jsontriga() is
    'Trigger: an event with the row as JSON for each change';


-- Everybody may fire a trigger; whoever may not insert events is told so by insert_event.
revoke execute on function
    pgq.jsontriga(),
    pgq.logutriga(),
    pgq.sqltriga()
from public;

grant execute on function
    pgq.jsontriga(),
    pgq.logutriga(),
    pgq.sqltriga()
to pgq_writer;
