"""The catalogue of models as the command shows it, and new entries for it."""
