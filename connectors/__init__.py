"""Adapters to systems that are not ours: folders and buckets of Parquet, public data sets."""
