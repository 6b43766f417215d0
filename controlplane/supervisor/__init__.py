"""One machine, one command: start every process in order, keep it alive, stop it cleanly."""
