"""What the kinds of tables differ in, one file each; a new kind is a file here."""
