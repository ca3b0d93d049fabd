"""The library: everything skyconsole knows and does, without a screen, argv or logging set-up."""
