"""A job, from start to end, with a journal."""
