"""Results as HTML: one self-contained fragment, everything escaped."""
