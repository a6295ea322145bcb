"""Read, decide, write: ingest, score, retrain."""
