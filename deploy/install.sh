#!/bin/sh
# Installs the service on this machine, or brings it up to this checkout; `make install` calls it. What is there already
# under /etc is left as it is. PREFIX is a virtual environment of its own, for PyPI's supervisor has the same import package.
set -eu
umask 022   # the service is another user, and has to be able to read what is installed here
cd "$(dirname "$0")/.."
PREFIX=${PREFIX:-/opt/stream-supervisor}
ETC=${ETC:-/etc}
CONFIG=$ETC/stream-supervisor
UNITS=$ETC/systemd/system

fail() { echo "install: $1" >&2; exit 1; }

case $PREFIX in /*) ;; *) fail "PREFIX is $PREFIX: it must begin with /" ;; esac
case $PREFIX in *[!A-Za-z0-9/._-]*) fail "PREFIX is $PREFIX: letters, digits, / . _ - only, for systemd's sake" ;; esac
[ "$(id -u)" = 0 ] || fail "it makes a user and a unit: run it as root (sudo make install)"
python=$(.ci/needs) || exit 1
[ ! -e "$PREFIX" ] || [ -x "$PREFIX/bin/python" ] || fail "$PREFIX is there, and is no virtual environment: choose another PREFIX"

[ -x "$PREFIX/bin/python" ] || "$python" -m venv "$PREFIX"
pip="$PREFIX/bin/pip --disable-pip-version-check --quiet"
$pip install --upgrade '.[proxy,webhook]' || fail "pip could not install it; without a network: make install PIP_NO_INDEX=1 PIP_FIND_LINKS=/a/directory/of/wheels"
$pip install --no-deps --force-reinstall .   # the same version may have been another one

install -D --mode=0644 deploy/sysusers.conf "$ETC/sysusers.d/stream-supervisor.conf"
if ! getent passwd stream-supervisor >/dev/null; then
    if command -v systemd-sysusers >/dev/null; then systemd-sysusers "$ETC/sysusers.d/stream-supervisor.conf"
    elif command -v useradd >/dev/null; then useradd --system --user-group --home-dir /var/lib/stream-supervisor --shell /usr/sbin/nologin stream-supervisor
    else fail "there is neither systemd-sysusers nor useradd: make a system user called stream-supervisor"
    fi
fi
install --directory --mode=0750 --group=stream-supervisor "$CONFIG"
[ -e "$CONFIG/supervisor.toml" ] || install --mode=0640 --group=stream-supervisor deploy/supervisor.toml "$CONFIG/supervisor.toml"
[ -e "$CONFIG/deepgram-api-key" ] || install --mode=0400 --owner=stream-supervisor /dev/null "$CONFIG/deepgram-api-key"   # the group may ask the service, but not read this
sed "s#/opt/stream-supervisor/#$PREFIX/#g; s#/etc/stream-supervisor/#$CONFIG/#g" deploy/stream-supervisor.service >"$PREFIX/stream-supervisor.service"
install -D --mode=0644 "$PREFIX/stream-supervisor.service" "$UNITS/stream-supervisor.service"
rm "$PREFIX/stream-supervisor.service"
[ ! -d /run/systemd/system ] || systemctl daemon-reload

echo "Installed in $PREFIX: $("$PREFIX/bin/stream-supervisor" --version)"
[ -s "$CONFIG/deepgram-api-key" ] || echo "Next: put your Deepgram key into $CONFIG/deepgram-api-key   (cat > it, paste, Enter, Ctrl-D)"
echo "Then: $PREFIX/bin/stream-supervisor check $CONFIG/supervisor.toml && systemctl enable --now stream-supervisor"
echo "After an upgrade: systemctl restart stream-supervisor, which waits for the calls to end"
