"""PostgreSQL and Valkey from their wheels, so that one machine needs nothing installed."""
