"""A/B tests from the command line: begun and ended in the stack's file, watched at the router, judged by prompts."""
