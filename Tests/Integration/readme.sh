#!/bin/sh
# The README's commands, as they stand there: only the folders at their beginning are moved into one of our own.
. "$(dirname -- "$0")/cases.sh"

if ! command -v qemu-img >/dev/null 2>&1; then
    skip "README" "needs qemu-utils"
    echo done
    exit 0
fi
# Everything between "## Using it" and the end of its first block.
sed -n '/^## Using it/,/^```$/p' "$top/README.md" | sed -n '/^```sh$/,/^```$/p' | sed '/^```/d' >"$folder/as written"
sed -e 's,/backup/,"$folder"/backup/,g' -e 's,/images/,"$folder"/images/,g' "$folder/as written" >"$folder/commands"
mkdir "$folder/images" "$folder/work" "$folder/bin"
ln -s "$dozo" "$folder/bin/dozo"
noise "$folder/web01.raw" 3 21
qemu-img convert -f raw -O qcow2 "$folder/web01.raw" "$folder/images/web01.qcow2"
export folder
unset DOZO_REPOSITORY DOZO_PASSPHRASE_FILE
commands=$(grep -c '^dozo ' "$folder/commands")
if [ "$commands" -ge 6 ]; then pass "the README shows how to use dozo"
else fail "the README shows how to use dozo" "$commands commands found"; fi
holds "each command of the README works" sh -ec 'cd "$folder/work"; PATH="$folder/bin:$PATH"; . "$folder/commands"'
holds "what its restore made is the image" cmp "$folder/web01.raw" "$folder/images/restored/web01.raw"
for words in init "key sheet" backup points restore verify; do
    if grep -q "^dozo $words" "$folder/commands"; then pass "the README shows dozo $words"
    else fail "the README shows dozo $words" "it does not"; fi
done
echo done
