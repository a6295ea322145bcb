"""Backfill: the past scored anew with the champion."""
