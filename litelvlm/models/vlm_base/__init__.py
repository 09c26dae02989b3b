"""What every family built on a vision-language model of transformers shares."""
