"""LoRA adapters as training libraries leave them, made into what the engines serve."""
