"""Where the paper venue's market comes from: a recording, bars, a sample, a live feed, or a generated series."""
