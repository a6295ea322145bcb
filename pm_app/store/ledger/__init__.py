"""The ledger: which batches were read, what they held, and what was refused."""
