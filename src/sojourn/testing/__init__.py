"""Shipped for those who write stores: the contract that every store passes, and faults."""
