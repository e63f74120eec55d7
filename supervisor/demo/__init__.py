"""The demo: a reading is transcribed, whole, by a server that misbehaves on purpose."""
