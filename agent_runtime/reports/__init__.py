"""Reports that are one HTML file: complete in itself, no script, nothing loaded from elsewhere.

Text and markup are two types here, so the type checker refuses text that nobody has escaped.
"""
