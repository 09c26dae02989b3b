"""Reading what strangers wrote: nothing runs, nothing hangs, and every message is short."""
