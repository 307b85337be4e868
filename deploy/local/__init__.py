"""The launcher behind `releve up`: it starts, watches and stops a whole system, and takes no business decision."""
