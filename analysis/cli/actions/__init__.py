"""What the verbs do. A verb is read first, and its module here is imported when it runs."""
