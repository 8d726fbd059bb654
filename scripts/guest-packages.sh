# Read with "." by scripts that fill guests from Debian's packages. POSIX sh. The caller sets `top`, the clone's folder,
# and `scratch`, a folder of its own, and has a function `fail SENTENCE` that ends it. shellcheck shell=sh
# shellcheck disable=SC2154  # the caller's variables

# Archives stay here as NAME.deb; once they are there no network is needed.
cache=$top/.build/guest-packages

# download_packages NAME…: fetches those of the packages that are not in the cache yet.
download_packages() {
    mkdir -p "$cache/incoming" || exit 1
    wanted=
    for package in "$@"; do
        case "$package" in *[!a-z0-9.+-]*) fail "'$package' is no name of a Debian package." ;; esac
        [ -s "$cache/$package.deb" ] || wanted="$wanted $package"
    done
    [ -n "$wanted" ] || return 0
    command -v apt-get >/dev/null 2>&1 ||
        fail "apt-get is missing, and these packages are not in .build/guest-packages yet:$wanted"
    echo "Fetching from Debian's archive:$wanted" >&2
    fetched=$scratch/fetched
    mkdir -p "$fetched" "$cache/apt/partial" "$cache/apt/lists/partial"
    # The machine's own package lists first; a machine that has none gets private ones inside the clone.
    if ! fetch; then
        apt-get -qq -o Dir::Cache="$cache/apt" -o Dir::State::lists="$cache/apt/lists" \
            -o APT::Sandbox::User="$(id -un)" update >"$scratch/apt" 2>&1
        fetch -o Dir::State::lists="$cache/apt/lists" || {
            echo "apt-get said: $(tail -n 1 "$scratch/apt")" >&2
            fail "the packages could not be fetched; with a network for apt-get this works, and later runs need none."
        }
    fi
    for package in $wanted; do
        set -- "$fetched/${package}"_*.deb
        if [ $# -ne 1 ] || [ ! -s "$1" ]; then fail "apt-get fetched no archive of $package."; fi
        # Named only when it is whole, so that an interrupted run leaves no torn archive behind.
        cp "$1" "$cache/incoming/$package.$$" && mv -f "$cache/incoming/$package.$$" "$cache/$package.deb" || exit 1
    done
}

# fetch OPTIONS…: downloads the wanted packages with apt-get.
fetch() {
    # shellcheck disable=SC2086  # a list of package names
    (cd "$fetched" && rm -f -- *.deb && apt-get -qq -o Dir::Cache="$cache/apt" -o APT::Sandbox::User="$(id -un)" "$@" \
        download $wanted) >"$scratch/apt" 2>&1
}

# unpack_package NAME FOLDER: its files, as the user who runs this.
unpack_package() {
    # Not dpkg-deb -x: it wants to give files to users that an ordinary user or a namespace cannot give them to.
    dpkg-deb --fsys-tarfile "$cache/$1.deb" | tar -C "$2" -xp --no-same-owner ||
        fail "the archive of $1 in .build/guest-packages is damaged; remove it."
}
