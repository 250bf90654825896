"""One file per kind of store; cross-cutting behaviour is a wrapper."""
