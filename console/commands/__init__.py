"""One file a command of the program; each holds `command`, and is imported when it is called."""
