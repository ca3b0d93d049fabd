-- Who may do what (spec/pgq-coop.md 2): the workers are readers. version() is everybody's.

grant usage on schema pgq_coop to public;

revoke execute on function
    pgq_coop.claim(bigint, integer),
    pgq_coop.claims(),
    pgq_coop.finish_batch(bigint),
    pgq_coop.finish_batch_of(text, text, text, bigint),
    pgq_coop.hand_back(text, text, text, bigint),
    pgq_coop.is_member(integer, integer),
    pgq_coop.member(text, text, text),
    pgq_coop.next_batch(text, text, text),
    pgq_coop.next_batch(text, text, text, interval),
    pgq_coop.next_batch_custom(text, text, text, interval, integer, interval),
    pgq_coop.next_batch_custom(text, text, text, interval, integer, interval, interval),
    pgq_coop.register_name(text, text),
    pgq_coop.register_subconsumer(text, text, text),
    pgq_coop.touch(text, text, text),
    pgq_coop.unregister_subconsumer(text, text, text, integer)
from public;

grant execute on function
    pgq_coop.finish_batch(bigint),
    pgq_coop.finish_batch_of(text, text, text, bigint),
    pgq_coop.hand_back(text, text, text, bigint),
    pgq_coop.next_batch(text, text, text),
    pgq_coop.next_batch(text, text, text, interval),
    pgq_coop.next_batch_custom(text, text, text, interval, integer, interval),
    pgq_coop.next_batch_custom(text, text, text, interval, integer, interval, interval),
    pgq_coop.register_subconsumer(text, text, text),
    pgq_coop.touch(text, text, text),
    pgq_coop.unregister_subconsumer(text, text, text, integer)
to pgq_reader;
