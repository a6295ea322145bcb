"""Folders and buckets of files, whatever their format: listing, digest, bytes, word of new ones."""
