"""The unit under a real systemd and the image in a real container; `make system` runs these, as root."""
