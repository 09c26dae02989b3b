"""Where data sets come from: which files are whose, and what rows of Parquet files hold."""
