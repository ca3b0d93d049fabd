-- What a member of a cooperative group says (spec/pgq-coop.md).

-- name: register
select pgq_coop.register_subconsumer(%s, %s, %s);

-- name: unregister
select pgq_coop.unregister_subconsumer(%s, %s, %s, 0);

-- Whether asking for a batch may give one. Asking itself locks the group's row, and so writes.
-- name: worth_asking
select case
         when main.sub_id is null or member.sub_id is null then true
         when member.sub_batch is not null then true
         else exists (
                select
                  from pgq.tick t
                 where t.tick_queue = main.sub_queue
                   and t.tick_id > main.sub_last_tick
              )
              or exists (
                select
                  from pgq.subscription other
                 where other.sub_queue = main.sub_queue
                   and other.sub_id = main.sub_id
                   and other.sub_consumer not in (main.sub_consumer, member.sub_consumer)
                   and other.sub_batch is not null
                   and other.sub_active < now() - %s::interval
              )
       end
  from pgq.queue q
  left join pgq.consumer main_name on main_name.co_name = %s
  left join pgq.consumer member_name on member_name.co_name = %s
  left join pgq.subscription main on main.sub_queue = q.queue_id and main.sub_consumer = main_name.co_id
  left join pgq.subscription member on member.sub_queue = q.queue_id and member.sub_consumer = member_name.co_id
 where q.queue_name = %s;

-- name: next_batch
select pgq_coop.next_batch_custom(%s, %s, %s, %s::interval, %s::integer, %s::interval, %s::interval);

-- name: batch_info
select %s::bigint, tick_id, prev_tick_id, batch_end, batch_start, seq_end, seq_start
  from pgq.get_batch_info(%s);

-- name: finish_batch
select pgq_coop.finish_batch(%s);

-- name: finish_batch_of
select pgq_coop.finish_batch_of(%s, %s, %s, %s);

-- Whether the row that this transaction's finish_batch has just changed is the member's: the original finishes a batch
-- by its id alone, also one that another member has taken over.
-- name: was_mine
select exists (
         select
           from pgq.subscription s
           join pgq.consumer c on c.co_id = s.sub_consumer
           join pgq.queue q on q.queue_id = s.sub_queue
          where q.queue_name = %s
            and c.co_name = %s
            and s.sub_batch is null
            and s.xmin = pg_current_xact_id()::xid
       );

-- name: is_mine
select exists (
         select
           from pgq.subscription s
           join pgq.consumer c on c.co_id = s.sub_consumer
           join pgq.queue q on q.queue_id = s.sub_queue
          where q.queue_name = %s
            and c.co_name = %s
            and s.sub_batch = %s
       );

-- name: touch
select pgq_coop.touch(%s, %s, %s);

-- name: hand_back
select pgq_coop.hand_back(%s, %s, %s, %s);

-- name: batch_retry
select pgq.batch_retry(%s, 0);

-- name: seconds
select extract(epoch from %s::interval)::float8;
