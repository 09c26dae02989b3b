"""What a study asks: expressions, masks, texts of other images, queries."""
