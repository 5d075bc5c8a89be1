"""What the settings of a model are in each engine's own words: pure, and the same for every target."""
