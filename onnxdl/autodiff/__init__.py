"""Gradients: the reverse pass, written as more nodes of the same graph, and the rules it applies."""
