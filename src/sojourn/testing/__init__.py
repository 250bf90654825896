"""Shipped for those who write stores: the contract every store passes, and faults to try it with."""
