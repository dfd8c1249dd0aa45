"""The edge: command line. Parses, calls, writes."""
