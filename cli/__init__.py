"""The `releve` command: it reads, asks and prints; it takes no business decision and touches no database directly."""
