#!/bin/sh
# Fuzzes every parser of foreign bytes: the suites of `make test`, for longer and from another seed each day.
# usage: Tests/Fuzzers/run.sh [seconds in all, 60]; DOZO_FUZZ_SEED=n repeats a run that failed.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
cd "$top" || exit 1
. "$top/scripts/environment.sh"

seconds=${1:-60}
case "$seconds" in
    ''|*[!0-9]*) echo "usage: Tests/Fuzzers/run.sh [seconds]" >&2; exit 2 ;;
esac
# One more for each call of Mutator.run in a file of fuzz tests; they run one after the other. Calls for several
# samples or files take as much time for each of them.
parsers=$(cat Tests/*/*FuzzTests.swift Tests/*/*/*FuzzTests.swift | grep -c 'Mutator\.run(')
DOZO_FUZZ_SECONDS=$(((seconds + parsers - 1) / parsers))
DOZO_FUZZ_SEED=${DOZO_FUZZ_SEED:-$(date +%s)000000}
export DOZO_FUZZ_SECONDS DOZO_FUZZ_SEED
echo "fuzz: $parsers parsers, $DOZO_FUZZ_SECONDS s each, DOZO_FUZZ_SEED=$DOZO_FUZZ_SEED"
swift_package_manager test --explicit-target-dependency-import-check error --disable-xctest --no-parallel \
    --filter 'FuzzTests/' || exit 1
swift_package_manager test --skip-build --disable-xctest --filter '^GuestSourceTests\.ImageHeaderTests'
