"""A Trace on an accelerator becomes numbers. Pure: no files, network, clock or torch."""
