#!/bin/sh
# The life of the package in a system that may be spoiled: called inside of one by Tests/Integration/package.sh and
# Tests/Support/package-trial.sh, as root.
#
#   package-inside.sh PACKAGE OLDER
#
# OLDER is the same package with a lower version. Prints a line for each case, and "done" at the end.
set -u
package=$1
older=$2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset XDG_STATE_HOME DOZO_REPOSITORY DOZO_PASSPHRASE_FILE DOZO_KEY_FILE DOZO_BINARY
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

pass() { echo "pass: $1"; }
fail() { echo "FAIL: $1 ($2)"; }
skip() { echo "skip: $1 ($2)"; }
holds() {
    case_name=$1
    shift
    if "$@" >"$folder/output" 2>&1; then pass "$case_name"
    else fail "$case_name" "status $?: $(tail -n 3 "$folder/output" | tr '\n' ' ')"; fi
}
absent() { [ ! -e "$1" ] && [ ! -L "$1" ]; }
# dpkg's own waits for the disk are of no use in a system that is thrown away.
install_it() { dpkg --force-unsafe-io --force-confold --install "$1"; }
version() { dpkg-query -W -f='${Version}' dozo; }
state() { dpkg-query -W -f='${db:Status-Status}' dozo 2>/dev/null || echo none; }
rm -f /var/lib/man-db/auto-update

# --- first installation
holds "the package is installed" install_it "$older"
holds "dozo is on the path" test "$(command -v dozo)" = /usr/bin/dozo
holds "dozo says its version" sh -c 'dozo --version | grep -q "^[0-9]"'
holds "the state folder is root's alone" test "$(stat -c '%a %U' /var/lib/dozo 2>&1)" = "700 root"
holds "so is the folder for secrets" test "$(stat -c '%a %U' /etc/dozo 2>&1)" = "700 root"
if command -v systemd-sysusers >/dev/null; then
    holds "the group is there" getent group dozo
    holds "and may enter the folder of the socket" test "$(stat -c '%a %G' /run/dozo)" = "750 dozo"
else
    skip "the group is there" "needs systemd"
fi
enabled() { find /etc/systemd -name 'dozo-agent.service' | grep -q .; }
if enabled; then fail "nothing is enabled" "$(find /etc/systemd -name dozo-agent.service)"
else pass "nothing is enabled"; fi
if command -v systemd-analyze >/dev/null; then
    holds "the unit is one that systemd takes" systemd-analyze verify /lib/systemd/system/dozo-agent.service
    holds "its exposure is 2.5 at most" systemd-analyze security --offline=yes --threshold=25 \
        /lib/systemd/system/dozo-agent.service
    for example in /usr/share/doc/dozo/examples/systemd/*.conf; do
        mkdir -p "/etc/systemd/system/dozo-agent.service.d"
        cp "$example" /etc/systemd/system/dozo-agent.service.d/
        holds "and with $(basename "$example")" systemd-analyze verify /lib/systemd/system/dozo-agent.service
        rm -r /etc/systemd/system/dozo-agent.service.d
    done
else
    skip "the unit is one that systemd takes" "needs systemd"
fi
holds "every file is what the package says" sh -c 'test -z "$(dpkg --verify dozo)"'

# --- what it is for
page=/usr/share/doc/dozo/installation.md
as_written() { # the block of the page that makes a first point, as it stands there
    sed -n '/^A first repository/,/^| where/p' "$page" | sed -n '/^```sh$/,/^```$/p' | sed '/^```/d' \
        >"$folder/commands"
    test "$(grep -c '^dozo ' "$folder/commands")" -ge 4 || return 1
    mkdir -p /backup /images
    head -c 3000000 /dev/urandom >"$folder/web01.raw"
    qemu-img convert -f raw -O qcow2 "$folder/web01.raw" /images/web01.qcow2
    (cd "$folder" && sh -e commands) && cmp -n 3000000 "$folder/web01.raw" /images/restored/web01.raw
}
holds "the commands of its page work as they stand there" as_written
rm -rf /backup /images /etc/dozo/passphrase
backed_up() {
    (umask 077 && echo "correct horse" >/etc/dozo/trial)
    head -c 3000000 /dev/urandom >"$folder/disk.raw"
    qemu-img convert -f raw -O qcow2 "$folder/disk.raw" "$folder/disk.qcow2"
    export DOZO_PASSPHRASE_FILE=/etc/dozo/trial
    mkdir -p /srv/backup
    dozo init -r /srv/backup/dozo && dozo backup -r /srv/backup/dozo --guest web01 "$folder/disk.qcow2"
}
holds "a backup" backed_up
export DOZO_PASSPHRASE_FILE=/etc/dozo/trial
came_back() {
    rm -f "$folder/back.raw"
    dozo restore -r /srv/backup/dozo web01@latest --to "$folder/back.raw" &&
        cmp -n 3000000 "$folder/disk.raw" "$folder/back.raw"
}
holds "a restore gives the same bytes" came_back
holds "state lies where the page says" test -d /var/lib/dozo/repositories
if command -v man >/dev/null; then
    for page in dozo dozo-backup dozo-key; do
        holds "man $page" sh -c 'man "$1" | grep -q "EXIT STATUS"' man "$page"
    done
else
    skip "man dozo" "needs man-db"
fi
holds "bash knows how to complete it" bash -c '. /usr/share/bash-completion/completions/dozo && complete -p dozo'
if command -v zsh >/dev/null; then
    holds "zsh finds how to complete it" zsh -f -c \
        'autoload -Uz compinit && compinit -u -D && [[ $_comps[dozo] = _dozo ]]'
else skip "zsh finds how to complete it" "needs zsh"; fi
if command -v fish >/dev/null; then
    holds "fish finds how to complete it" fish -c 'complete -C "dozo ver" | string match -q "verify*"'
else skip "fish finds how to complete it" "needs fish"; fi
holds "the hook for a UPS is there" sh -c 'NOTIFYTYPE=COMMOK /usr/lib/dozo/dozo-ups'

# --- upgrades
before=$(version)
echo 'DOZO_UNITS="nightly.service"' >>/etc/default/dozo-ups
holds "an upgrade" install_it "$package"
holds "to another version" test "$(version)" != "$before"
holds "over itself" install_it "$package"
holds "what root wrote into a setting stays" grep -q nightly.service /etc/default/dozo-ups
holds "what was stored before comes back" came_back
before=$(version)
install_it "$older" >"$folder/output" 2>&1
status=$?
if [ $status -ne 0 ] && grep -q "does not replace version $before" "$folder/output"; then
    pass "a downgrade is refused with a sentence"
else fail "a downgrade is refused with a sentence" "status $status: $(tail -n 3 "$folder/output" | tr '\n' ' ')"; fi
holds "and leaves what was there, whole" test "$(version) $(state)" = "$before installed"
holds "which works" came_back

# --- away with it
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -sf /lib/systemd/system/dozo-agent.service /etc/systemd/system/multi-user.target.wants/
find /srv/backup /var/lib/dozo /etc/dozo -type f -exec sha256sum {} + | sort >"$folder/kept"
holds "it is removed" dpkg --force-unsafe-io --remove dozo
holds "its program is gone" absent /usr/bin/dozo
holds "a unit that was enabled is no dangling link" absent \
    /etc/systemd/system/multi-user.target.wants/dozo-agent.service
holds "settings stay" test -e /etc/default/dozo-ups
dpkg --force-unsafe-io --purge dozo >"$folder/purge" 2>&1
holds "it is purged" test "$(state)" = none -o "$(state)" = not-installed
holds "settings are gone" absent /etc/default/dozo-ups
find /srv/backup /var/lib/dozo /etc/dozo -type f -exec sha256sum {} + | sort >"$folder/after"
holds "repository, state and secrets are what they were" cmp "$folder/kept" "$folder/after"
holds "and purging said so" grep -q "repositories stay where they are" "$folder/purge"
holds "nothing else is left" test -z "$(find /usr /lib/systemd /etc -name '*dozo*' -not -path '/etc/dozo*' \
    -not -path '*/site-packages/*' 2>/dev/null)"
again() { install_it "$package" && dozo points -r /srv/backup/dozo | grep -q web01; }
holds "installed again, it opens what there is" again
rm -rf /srv/backup/dozo /var/lib/dozo/* /etc/dozo/*
dpkg --force-unsafe-io --purge dozo >"$folder/purge" 2>&1
holds "empty folders go when it is purged" absent /var/lib/dozo
echo done
