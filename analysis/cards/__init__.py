"""Result cards: scores with their origin in one small file, and the page made of many."""
