"""Smart order routing: which venue gets how much of an order, decided from stored inputs and replayable."""
