"""The demo: what it claims, and that it would say so if it were not true."""
