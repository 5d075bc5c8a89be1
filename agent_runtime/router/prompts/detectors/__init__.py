"""What the router looks for in a prompt, a module for each kind."""
