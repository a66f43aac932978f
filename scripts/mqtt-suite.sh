#!/usr/bin/env bash
# Fetches the test cases of mosquitto's own broker tests, which are not part of this project, and prints the folder with
# their JSON files. They come in Debian's source package, from the mirror that this machine's apt uses, and apt checks the
# archive's signature. Nothing of the machine's apt is changed: lists, cache and sources are in a folder that goes away.
set -euo pipefail

# The version whose cases the test was written against. Another one is taken if the archive has no such version any more.
version=2.0.21
cache=${XDG_CACHE_HOME:-$HOME/.cache}/outrider-ci/mqtt-suite

absent() {
    echo "SKIPPED: no public MQTT suite: $1" >&2
    exit 1
}

if [ -f "$cache/$version/PUBLISH.json" ]; then
    echo "$cache/$version"
    exit
fi
command -v apt-get >/dev/null 2>&1 || absent "apt-get is missing"
codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null)
distribution=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null)
[ -n "$codename" ] || absent "the distribution does not say its code name"
mirror=$(apt-get update --print-uris 2>/dev/null |
    sed -n "s|^'\(.*\)/dists/$codename/InRelease'.*|\1|p" | head -n 1)
[ -n "$mirror" ] || absent "apt has no mirror for $codename"

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
mkdir "$temporary/lists" "$temporary/cache" "$temporary/source"
# As root, apt downloads as a user without rights.
[ "$(id -u)" != 0 ] || chown -R _apt: "$temporary" 2>/dev/null || true
# Twenty seconds: a machine without network is not held up for minutes (guess).
options=(-qq -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
    -o "Dir::Etc::sourcelist=$temporary/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$temporary/lists" -o "Dir::Cache=$temporary/cache")
# The distribution's own keys, where they are a file; otherwise those that this machine trusts for every archive.
trust=
for keys in "/usr/share/keyrings/$distribution-archive-keyring".{gpg,pgp}; do
    [ ! -f "$keys" ] || trust="[signed-by=$keys] "
done
# The cases came into the package after some releases: the newest stable one is asked for, then this machine's own.
for release in stable "$codename"; do
    echo "deb-src $trust$mirror $release main" >"$temporary/sources.list"
    apt-get "${options[@]}" update >&2 || continue
    found=$(apt-cache "${options[@]}" showsrc mosquitto 2>/dev/null | sed -n 's/^Version: //p' | sort -V || true)
    wanted=$(grep "^$version-" <<<"$found" | tail -n 1 || true)
    wanted=${wanted:-$(tail -n 1 <<<"$found")}
    [ -n "$wanted" ] || continue
    (cd "$temporary/source" &&
        apt-get "${options[@]}" source --download-only --tar-only "mosquitto=$wanted" >&2) || continue
    archive=$(find "$temporary/source" -name 'mosquitto_*.orig.tar.*' ! -name '*.asc' | head -n 1)
    name=${wanted%-*}
    mkdir "$temporary/$name"
    # Only the cases, without folders: no path of the archive is used.
    if tar -xf "$archive" -C "$temporary/$name" --wildcards --transform 's|.*/||' \
        '*/test/broker/data/*.json' 2>/dev/null && [ -f "$temporary/$name/PUBLISH.json" ]; then
        [ "$name" = "$version" ] || echo "mqtt suite: $name instead of $version" >&2
        mkdir -p "$cache"
        rm -rf "${cache:?}/$name" "${cache:?}/$name.new"
        cp -r "$temporary/$name" "$cache/$name.new"
        mv "$cache/$name.new" "$cache/$name"
        echo "$cache/$name"
        exit
    fi
    rm -rf "${temporary:?}/$name" "$archive"
done
absent "the source package cannot be had, or has no cases"
