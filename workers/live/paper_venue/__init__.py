"""The paper venue: a process that speaks Binance spot's REST and websocket protocol over a replayed market."""
