"""Work on frames by many processes or machines: shards, workers, and what happens when one of them dies."""
