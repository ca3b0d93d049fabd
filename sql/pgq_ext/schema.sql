-- The schema pgq_ext and its tables (spec/pgq-ext.md 2). They are in the database where the work is done.

create schema if not exists pgq_ext;

comment on schema pgq_ext is 'PgQ: what a consumer from another database has done here';


-- The tick up to which a consumer has applied everything.
create table if not exists pgq_ext.completed_tick (
    consumer_id    text not null,
    subconsumer_id text not null default '',
    last_tick_id   bigint not null,
    constraint completed_tick_pkey primary key (consumer_id, subconsumer_id)
);

comment on table pgq_ext.completed_tick is 'The last applied tick of each consumer';


-- What the latest ticks looked like when they were applied. A tick made again under the same id, after the queue's database
-- has lost its last moments, has another digest; the newest one that queue and consumer share is where both can go on.
create table if not exists pgq_ext.completed_tick_digest (
    consumer_id    text not null,
    subconsumer_id text not null default '',
    tick_id        bigint not null,
    digest         text not null,
    constraint completed_tick_digest_pkey primary key (consumer_id, subconsumer_id, tick_id)
);

comment on table pgq_ext.completed_tick_digest is 'Digests of the latest applied ticks of each consumer';


-- The batch that a consumer finished last.
create table if not exists pgq_ext.completed_batch (
    consumer_id    text not null,
    subconsumer_id text not null default '',
    last_batch_id  bigint not null,
    constraint completed_batch_pkey primary key (consumer_id, subconsumer_id)
);

comment on table pgq_ext.completed_batch is 'The last finished batch of each consumer';


-- The events done of the batch in progress.
create table if not exists pgq_ext.completed_event (
    consumer_id    text not null,
    subconsumer_id text not null default '',
    batch_id       bigint not null,
    event_id       bigint not null,
    constraint completed_event_pkey primary key (consumer_id, subconsumer_id, batch_id, event_id)
);

comment on table pgq_ext.completed_event is 'Finished events of the batch in progress of each consumer';


-- The batch in progress of a consumer that commits after each event.
create table if not exists pgq_ext.partial_batch (
    consumer_id    text not null,
    subconsumer_id text not null default '',
    cur_batch_id   bigint not null,
    constraint partial_batch_pkey primary key (consumer_id, subconsumer_id)
);

comment on table pgq_ext.partial_batch is 'The batch in progress of each consumer that commits after each event';


-- The release whose interface this is.
create or replace function pgq_ext.version()
returns text
language plpgsql
as $$
begin
    return '3.1';
end;
$$;

comment on function pgq_ext.version() is
    'The version of the pgq_ext interface';
