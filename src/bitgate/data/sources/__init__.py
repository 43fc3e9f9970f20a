"""The registered data sets, one module each: original format, packed layout, splits."""
