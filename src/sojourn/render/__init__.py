"""A result becomes text, JSON or HTML."""
