"""The configuration of nginx for the shards of risk."""
