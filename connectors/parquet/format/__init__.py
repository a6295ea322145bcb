"""The bytes of Parquet files, judged before Arrow unpacks them."""
