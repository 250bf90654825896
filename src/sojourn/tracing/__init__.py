"""A training script becomes a Trace, with no GPU. The only part that knows torch."""
