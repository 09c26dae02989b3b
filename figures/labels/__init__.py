"""Words that figures print: names of methods and settings, and those of the importance studies."""
