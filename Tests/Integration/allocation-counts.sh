#!/bin/sh
# Allocations and reference counts a chunk, by the counting program: nothing in the loops that see every page.
. "$(dirname -- "$0")/cases.sh"
counts=$top/.build/debug/CallCounts
if [ ! -x "$counts" ]; then
    fail "allocations and reference counts a chunk" "build it with: swift build --product CallCounts"
    echo done
    exit 0
fi
mkdir "$folder/counted"
# Its own last line says that it reached its end.
"$counts" "$folder/counted"
