"""What a run tells people: events while it computes, and reasons for what is undetermined."""
