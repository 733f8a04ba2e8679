"""Hearts from a random key."""
