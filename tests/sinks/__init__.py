"""Outputs: what is offered comes out whole, once and in order, or is said not to have."""
