"""How an operator asks a running daemon: lines of JSON over a unix socket, the side that answers and the side that asks."""
