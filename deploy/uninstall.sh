#!/bin/sh
# Takes away what install.sh put here, and leaves what is yours: the config, the key, the transcripts and their user.
set -eu
PREFIX=${PREFIX:-/opt/stream-supervisor}
ETC=${ETC:-/etc}

fail() { echo "uninstall: $1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "run it as root (sudo make uninstall)"
if [ -d /run/systemd/system ] && systemctl is-active --quiet stream-supervisor; then
    fail "the service runs: end it first with  systemctl disable --now stream-supervisor,  which waits for its calls"
fi
if [ -d /run/systemd/system ]; then systemctl disable --quiet stream-supervisor 2>/dev/null || true; fi
rm -f "$ETC/systemd/system/stream-supervisor.service" "$ETC/sysusers.d/stream-supervisor.conf"
if [ -e "$PREFIX" ]; then
    [ -x "$PREFIX/bin/stream-supervisor" ] || fail "$PREFIX has no stream-supervisor in it, and is left as it is"
    rm -r "$PREFIX"
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload
echo "Left: $ETC/stream-supervisor (the config and the key), /var/lib/stream-supervisor (the transcripts), the user stream-supervisor"
