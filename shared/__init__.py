"""What every Keelson service needs, and nothing that only one of them does."""
