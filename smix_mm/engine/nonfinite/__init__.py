"""Non-finite losses: stopping or skipping, and replaying the batch."""
