"""The admin socket: both sides of it, and the commands that ask."""
