"""TPC-DS: its data, its 99 queries, and what they cost with and without Millpond."""
