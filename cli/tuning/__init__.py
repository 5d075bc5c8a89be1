"""Finding the settings that serve a model best on this machine."""
