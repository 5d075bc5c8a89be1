"""What GPUs, storage and tokens cost: a table with sources, what a stack says otherwise, and advice."""
