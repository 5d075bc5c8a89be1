"""How much memory a model needs: weights, KV cache, what the engine adds. Arithmetic on the catalogue's figures."""
