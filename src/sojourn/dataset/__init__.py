"""A folder becomes shards and a manifest in a store, and comes back."""
