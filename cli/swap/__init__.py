"""A model is exchanged for another while clients go on: beside each other, checked, turned over, drained, removed."""
