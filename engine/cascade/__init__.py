"""pgq_node: cascaded queues, their worker, watermarks and takeover. Its room; nothing lives here yet."""
