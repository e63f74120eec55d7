"""How telephony puts audio on the wire: one protocol a file, bytes in and values out, no socket."""
