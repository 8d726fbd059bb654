#!/bin/sh
# The manual pages and completions: they say what the program says, programs that read them find no fault, and the
# examples of the pages work as they stand there.
. "$(dirname -- "$0")/cases.sh"

pages=$top/agent/man
mkdir "$folder/bin" "$folder/place"
ln -s "$dozo" "$folder/bin/dozo"
write=$top/scripts/write-man-pages

# --- current
holds "the pages are what the program says" "$write" --check "$dozo"
holds "every variable that dozo reads is explained" "$write" --words
# A program that says something else, in each way that must be noticed.
otherwise() { # SED
    printf '#!/bin/sh\n"%s" "$@" | sed '"'%s'"'\n' "$dozo" "$1" >"$folder/other" && chmod +x "$folder/other"
}
otherwise 's/List restore points/List points/'
ends_with 1 "dozo-points.1" "another description is noticed" "$write" --check "$folder/other"
otherwise 's/"salvage"/"fill"/'
ends_with 1 "dozo-restore.1" "an option with another name is noticed" "$write" --check "$folder/other"
otherwise 's/"catalog"/"list"/'
ends_with 1 "dozo-catalog.1" "a page without a command is noticed" "$write" --check "$folder/other"
otherwise 's/"shouldDisplay" : false/"shouldDisplay" : true/'
ends_with 1 "dozo-hold-still.1" "a command without a page is noticed" "$write" --check "$folder/other"
if grep -rq 'hold.*still' "$pages"; then fail "what is hidden is in no page" "$(grep -rl 'hold.*still' "$pages")"
else pass "what is hidden is in no page"; fi

# --- read by the programs that show them
clean() { # COMMAND…: must say nothing about any page, and end well
    for page in "$pages"/*.1; do
        "$@" "$page" >/dev/null 2>"$folder/said" || return 1
        if [ -s "$folder/said" ]; then cat "$folder/said"; return 1; fi
    done
}
lint() { mandoc -T lint -W warning "$1" >&2; }
for program in groff man mandoc; do
    command -v "$program" >/dev/null 2>&1 || { skip "$program reads the pages" "needs $program"; continue; }
    case "$program" in
        groff) holds "groff has no warning" clean groff -ww -man -Tutf8 ;;
        man) holds "man has no warning" clean env LC_ALL=C.UTF-8 man --warnings -l ;;
        mandoc) holds "mandoc has no warning" clean lint ;;
    esac
done

# --- completions
for shell in bash zsh fish; do "$dozo" --generate-completion-script "$shell" >"$folder/completion.$shell"; done
: >"$folder/place/disk.qcow2"
# offers SHELL: what the shell offers behind each line of `lines`, where the cursor is at its end: "LINE|WORD".
printf '%s\n' "dozo " "dozo key " "dozo backup --new" "dozo backup --quiesce " "dozo restore --format vh" \
    "dozo backup --guest web01 di" >"$folder/lines"
offers() {
    case "$1" in
        bash)
            PATH=$folder/bin:$PATH bash --norc --noprofile -c '
                cd "$1/place" && . "$1/completion.bash"
                while IFS= read -r LINE; do
                    COMPREPLY=() COMP_LINE=$LINE COMP_POINT=${#LINE}
                    read -ra COMP_WORDS <<<"$LINE"; case "$LINE" in *" ") COMP_WORDS+=("") ;; esac
                    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
                    _dozo dozo "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
                    for word in "${COMPREPLY[@]}"; do printf "%s|%s\n" "$LINE" "$word"; done
                done <"$1/lines"' offers "$folder" ;;
        fish)
            HOME=$folder/place PATH=$folder/bin:$PATH fish --no-config -c '
                cd $HOME; source ../completion.fish
                while read -l line; for word in (complete -C "$line"); echo "$line|$word"; end; end <../lines' |
                cut -f1 ;;
    esac
}
# offered LINE WORD: the word is among them.
offered() { grep -qFx -- "$1|$2" "$folder/offered"; }
"$dozo" --experimental-dump-help >"$folder/dump"
for shell in bash fish; do
    command -v $shell >/dev/null 2>&1 || { skip "completions of $shell" "needs $shell"; continue; }
    offers $shell >"$folder/offered" 2>"$folder/output"
    all=yes
    for word in $(json "$folder/dump" \
        '" ".join(c["commandName"] for c in d["command"]["subcommands"] if c["shouldDisplay"])'); do
        offered "dozo " "$word" || { fail "$shell completes commands" "not $word"; all=no; }
    done
    [ $all = no ] || pass "$shell completes commands"
    if offered "dozo " hold-still; then fail "$shell hides what is hidden" "it offers hold-still"
    else pass "$shell hides what is hidden"; fi
    holds "$shell completes subcommands" offered "dozo key " enroll
    holds "$shell completes options" offered "dozo backup --new" --new-guest
    holds "$shell completes words of an option" offered "dozo backup --quiesce " require
    holds "$shell completes formats" offered "dozo restore --format vh" vhdx
    holds "$shell completes files" offered "dozo backup --guest web01 di" disk.qcow2
done
if command -v zsh >/dev/null 2>&1; then
    # Its completion wants a terminal; what is tried is that it is read, names every command and knows files.
    holds "zsh reads its completions" zsh -f -c \
        'cd $1 && autoload -Uz compinit && compinit -u -d $1/place/dump && . $1/completion.zsh' zsh "$folder"
    holds "zsh completes files" grep -q "image:_files" "$folder/completion.zsh"
    if grep -q hold-still "$folder/completion.zsh"; then fail "zsh hides what is hidden" "it names hold-still"
    else pass "zsh hides what is hidden"; fi
else
    skip "completions of zsh" "needs zsh"
fi

# --- the examples of the pages
sed -n '/^\.EX$/,/^\.EE$/{/^\.E[XE]$/d;p}' "$pages"/*.1 | sed -e 's/\\-/-/g' -e "s/\\\\(aq/'/g" -e 's/\\(ti/~/g' \
    -e 's/\\e/\\/g' | awk '!seen[$0]++' >"$folder/examples"
count=$(grep -c . "$folder/examples")
if [ "$count" -ge 40 ]; then pass "the pages have examples"; else fail "the pages have examples" "$count"; fi
# A repository with a guest of two points, the second with memory, another slot, and a place with what the lines name.
home=$folder/home
mkdir -p "$home/backup" "$home/images" "$home/place" "$home/state"
export XDG_STATE_HOME="$home/state" DOZO_REPOSITORY="$home/backup/dozo" DOZO_PASSPHRASE_FILE="$home/place/dozo.pass"
cp "$folder/passphrase" "$home/place/dozo.pass"
(umask 077 && echo "another horse" >"$home/place/second.pass")
noise "$home/images/web01.raw" 1 31
cp "$home/images/web01.raw" "$home/place/vda.raw"
cp "$home/images/web01.raw" "$home/place/vdb.raw"
cp "$home/images/web01.raw" "$home/place/vg-web01"
noise "$home/place/web01.save" 1 32
cp "$top/agent/config/dozo.sample.yaml" "$home/place/dozo.yaml"
if command -v qemu-img >/dev/null 2>&1; then
    qemu-img convert -f raw -O qcow2 "$home/images/web01.raw" "$home/images/web01.qcow2"
    qemu-img convert -f raw -O vmdk -o subformat=streamOptimized "$home/images/web01.raw" "$home/images/disk1.vmdk"
    tar -C "$home/images" -cf "$home/images/app01.ova" disk1.vmdk
fi
prepared() {
    "$dozo" init && "$dozo" backup --guest web01 --disk vda="$home/images/web01.raw" &&
        "$dozo" key add --new-passphrase-file "$home/place/second.pass" --label second &&
        "$dozo" backup --guest web01 --disk vda="$home/images/web01.raw" --memory "$home/place/web01.save" --json \
            >"$folder/point.json" && "$dozo" key list --json >"$folder/keys.json"
}
holds "a repository for them" prepared
point=$(json "$folder/point.json" 'd["point"]["id"]')
taken=$(json "$folder/point.json" 'd["point"]["taken_at"]')
slot=$(json "$folder/keys.json" '[s["id"] for s in d["slots"] if s["label"] == "second"][0]')
key=$(json "$folder/keys.json" '[k["fingerprint"] for k in d["enrolled"] if k["role"] == "writer"][0]')
mv "$home" "$folder/template"
# Lines of other people's machines: that they are understood is all that can be tried here.
printf '#!/bin/sh\nshift\nexec "$@"\n' >"$folder/bin/ssh" && chmod +x "$folder/bin/ssh"
export home folder
ran=0
while read -r line; do
    rm -rf "$home" && cp -a "$folder/template" "$home"
    # Those that change a point want its own time; the others take the newest before one.
    case "$line" in
        dozo\ forget*|dozo\ hold*|dozo\ lock*) time=$taken ;;
        *) time=$(date -u -d '+1 day' +%Y-%m-%d) ;;
    esac
    # shellcheck disable=SC2016  # expanded when the line runs
    printf '%s\n' "$line" | sed -e 's,/backup/,"$home"/backup/,g' -e 's,/images/,"$home"/images/,g' \
        -e 's,/dev/vg/,"$home"/place/vg-,g' -e 's,/etc/dozo/,"$home"/place/,g' \
        -e "s/1f2e3d4c/$key/" -e "s/1f2e3d/$slot/" -e "s/9a8b7c6d/$point/" \
        -e "s/@2026-11-23/@$time/" >"$folder/line"
    case "$line" in dozo\ init*) rm -rf "$home/backup/dozo" "$home/state/dozo" ;; esac
    case "$line" in *"hold "*--release*) "$dozo" hold --quiet web01@latest >/dev/null ;; esac
    case "$line" in *vg/db01*) cp "$home/images/web01.raw" "$home/place/vg-db01" ;; esac
    case "$line" in *"--memory-to web01.save"*) rm "$home/place/web01.save" ;; esac
    # A service runs until it is told to stop.
    case "$line" in "dozo agent run"*) sed -i 's/^dozo/timeout 2 dozo/' "$folder/line" ;; esac
    (cd "$home/place" && PATH=$folder/bin:$PATH && . "$folder/line") >"$folder/output" 2>&1 </dev/null
    status=$?
    case "$line" in
        # Without --config that of this machine is looked at.
        # Without an agent those that ask one are understood, and say that none answers. Approving needs persons:
        # approvals.sh has them.
        *--qmp*|*--domain*|*--xl*|"dozo agent check"|*--define*|*--definition-to*|dozo\ guests*|\
        dozo\ approve*|dozo\ unlock*|\
        dozo\ report*|"dozo agent run"*|"dozo agent tell"*|dozo\ run*|dozo\ skip*|dozo\ pause*|dozo\ status*)
            if [ $status -ne 2 ]; then pass "understood: $line"
            else fail "understood: $line" "$(tail -n 2 "$folder/output" | tr '\n' ' ')"; fi ;;
        *qcow2*|*.ova*)
            if ! command -v qemu-img >/dev/null 2>&1; then skip "works: $line" "needs qemu-utils"; continue; fi
            if [ $status -eq 0 ]; then pass "works: $line"; ran=$((ran + 1))
            else fail "works: $line" "status $status: $(tail -n 2 "$folder/output" | tr '\n' ' ')"; fi ;;
        *)
            if [ $status -eq 0 ]; then pass "works: $line"; ran=$((ran + 1))
            else fail "works: $line" "status $status: $(tail -n 2 "$folder/output" | tr '\n' ' ')"; fi ;;
    esac
done <"$folder/examples"
if [ "$ran" -ge 25 ]; then pass "most examples really ran"; else fail "most examples really ran" "$ran"; fi
echo done
