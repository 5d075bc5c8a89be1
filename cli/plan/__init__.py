"""What `paddock plan` finds out, and the forms in which it tells it."""
