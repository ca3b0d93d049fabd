"""walmgr: archive, restore, stream and base backups. Its room; nothing lives here yet."""
