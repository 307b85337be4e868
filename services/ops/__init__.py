"""Watches every stream for the people who run Relevé; it owns an index of events and no business state."""
