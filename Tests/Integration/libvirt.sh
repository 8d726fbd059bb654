#!/bin/sh
# Guests of a real libvirt: an instant of all disks while they run, what changed since the last one, and what becomes of
# the lists when runs fail or are killed, guests are started anew, disks come and other programs back up too.
#
# Every capture that is compared is held open: what was written to files is compared with the instant itself, which
# qemu-img reads from the hypervisor while the guest goes on writing.
. "$(dirname -- "$0")/cases-libvirt.sh"
probe=$(dirname "$dozo")/GuestProbe
holder=
mkdir -p "$folder/out" || exit 1
"$lab_script" define "$lab" vm01 "$folder/guest" "qcow2 qcow2 raw" || exit 1

repository=00112233445566778899aabbccddeeff
other_repository=ffeeddccbbaa99887766554433221100
point() { printf '%032x' "$1"; }
bases() { for disk in vda vdb vdc ${more:-}; do echo "base=$disk:$(point "$1")"; done; }

# capture POINT WORD…: takes an instant and writes it to $folder/out; what it says is in $folder/said.
capture() {
    number=$1
    shift
    "$probe" "$uri" "${domain:-vm01}" "$folder/out" "$scratch" "$repository" "$(point "$number")" "$@" \
        >"$folder/said" 2>&1 </dev/null
}

# hold POINT WORD…: the same, and keeps the instant until release or until it is killed.
hold() {
    held=$1
    shift
    # What the last run said must not be taken for this one's.
    rm -f "$folder/fifo" "$folder/said"
    mkfifo "$folder/fifo" || return 1
    "$probe" "$uri" vm01 "$folder/out" "${place:-$scratch}" "$repository" "$(point "$held")" hold "$@" \
        <"$folder/fifo" >"$folder/said" 2>&1 &
    holder=$!
    exec 9>"$folder/fifo"
    until grep -qs '^holding' "$folder/said"; do
        kill -0 "$holder" 2>/dev/null || { release; return 1; }
        sleep 0.1
    done
}
release() {
    # It may be gone, and a signal would end this shell.
    (trap '' PIPE; echo go >&9) 2>/dev/null
    exec 9>&-
    wait "$holder"
    status=$?
    holder=
    return $status
}

# same_as_instant: the files are what the hypervisor still shows of the instant.
same_as_instant() {
    for disk in ${shown:-vda vdb vdc}; do
        qemu-img compare -q -f raw -F raw "$folder/out/$disk.raw" \
            "nbd+unix:///$disk?socket=$scratch/dozo-$(point "$held" | cut -c 1-8)/nbd" || return 1
    done
}
# exact POINT WORD…: holds an instant and compares every disk with it.
exact() {
    hold "$@" || return 1
    same_as_instant
    same=$?
    release && [ "$same" -eq 0 ]
}
said() { grep -q -- "$1" "$folder/said"; }
lists() { virsh checkpoint-list vm01 --name | sed '/^$/d' | sort | tr '\n' ' '; }
writes() { guest 'guest-work writer /dev/vdb /dev/vdc /run/writer 1000 >/run/writer.log 2>&1 &' >/dev/null; }
twins() { "$tiny" twins "$folder/out/vdb.raw" "$folder/out/vdc.raw"; }
has_scatter() { "$tiny" scattered "$folder/out/$1.raw" "$2" "$3"; }
own=dozo-$(echo $repository | cut -c 1-8)

holds "a repository is made" "$dozo" init
sed -n 's/^repository \([0-9a-f]*\).*/\1/p' "$folder/output" >"$folder/id"
# A guest that does not run.
ends_with 0 "vm01 .*shut off" "a guest that is shut off is listed" "$dozo" guests --connect "$uri"
# The sample's policies, with this libvirt and other names.
covering() { sed -e '/^ *uri: qemu/d' -e "s,^    connection: libvirt$,&\n    uri: $uri," \
    -e "s/\[ledger, payments\]/[$1]/" "$top/agent/config/dozo.sample.yaml" >"$folder/agent.yaml" &&
    chmod 600 "$folder/agent.yaml"; }
covering vm01
ends_with 0 "vm01 .* trade " "and which policy covers it" "$dozo" guests --connect "$uri" --config "$folder/agent.yaml"
covering other
ends_with 0 "vm01 .* none " "or that none does (S39)" "$dozo" guests --connect "$uri" --config "$folder/agent.yaml"
virsh -q -c "$uri" metadata vm01 --uri urn:dozo:tags --key dozo --set '<tags>red shop</tags>' --config >/dev/null
ends_with 0 "vm01 .* nightly " "and one by its tag" "$dozo" guests --connect "$uri" --config "$folder/agent.yaml"
virsh -q -c "$uri" metadata vm01 --uri urn:dozo:tags --remove --config >/dev/null
sed -i 's/rpo: 30m/rpo: 30/' "$folder/agent.yaml"
ends_with 7 "agent check" "a file that is wrong says nothing about guests" "$dozo" guests --connect "$uri" \
    --config "$folder/agent.yaml"
capture 1
holds "and not captured: its images are the way" said "is shut off.*back up its images"
ends_with 7 "shut off" "dozo backup says so too, and ends with 7" \
    "$dozo" backup --connect "$uri" --scratch "$scratch" --domain vm01
ends_with 1 "no guest nobody" "a guest that is not there is told" \
    "$dozo" backup --connect "$uri" --scratch "$scratch" --domain nobody
ends_with 1 "cannot be reached" "a libvirt that does not answer is told" "$dozo" guests --connect "$uri.none"
ends_with 0 "6695eb01" "libvirt's own test driver lists its guest" "$dozo" guests --connect test:///default --json

"$lab_script" boot "$lab" vm01 || { fail "the guest boots" "see $lab"; echo done; exit 0; }
"$dozo" guests --connect "$uri" --json >"$folder/list.json" 2>"$folder/output"
holds "a running guest says what can be done with it" is "live bitmap memory quiesce" \
    "$(json "$folder/list.json" '" ".join(d[0]["can"])')"
holds "and its disks, with sizes" is "vda vdb vdc 67108864" \
    "$(json "$folder/list.json" \
        '" ".join(x["name"] for x in d[0]["disks"]) + " " + str(d[0]["disks"][1]["size_bytes"])')"
holds "its drive is left out, with the medium's name (S71)" is "sda medium.iso" \
    "$(json "$folder/list.json" 'd[0]["left_out"][0]["name"] + " " + d[0]["left_out"][0]["location"].split("/")[-1]')"

# Whole, then what changed.
writes
holds "a first instant is the guest's disks, file systems at rest" exact 1 freeze
holds "the two disks that are written one after the other are of one instant" twins
holds "it says why it was read whole" said "vdb unknown .*no earlier point"
holds "its list begins" is "$own-$(point 1) " "$(lists)"
guest 'guest-work discard /dev/vdb 50331648 4194304; guest-work scatter /dev/vdb 11 40'
# shellcheck disable=SC2046  # words
holds "what changed since makes the next instant" exact 2 freeze $(bases 1)
holds "and is less than everything" said "vdb since [0-9]\{6,7\}$"
holds "of one instant" twins
holds "with what was written" has_scatter vdb 11 40
holds "a raw image has no list, and that is told" said "vdc unknown .*qcow2 images only"
holds "the list of the point before is gone" is "$own-$(point 2) " "$(lists)"

# Runs that fail and runs that are killed.
guest 'guest-work scatter /dev/vdb 12 20'
# shellcheck disable=SC2046  # words
holds "an abandoned run reads what changed" capture 3 abandon $(bases 2)
holds "and leaves the lists as they were" is "$own-$(point 2) " "$(lists)"
guest 'guest-work scatter /dev/vdb 13 20'
# The files are still those of point 2 but for what the abandoned run read: begin from a copy that knows nothing of it.
# shellcheck disable=SC2046  # words
holds "the next one covers what changed before and after it" exact 4 $(bases 2)
holds "with what was written before the abandoned run" has_scatter vdb 13 20
guest 'guest-work scatter /dev/vdb 14 20'
cp "$folder/out/vdb.raw" "$folder/vdb.committed"
# shellcheck disable=SC2046  # words
if hold 5 $(bases 4); then
    # shellcheck disable=SC2046  # words
    "$probe" "$uri" vm01 "$folder/out" "$scratch" "$other_repository" "$(point 6)" >"$folder/second" 2>&1 </dev/null
    holds "a second run meanwhile is told of the first" grep -q "another run of dozo" "$folder/second"
    kill -9 "$holder"
    wait "$holder" 2>/dev/null
    holder=
    exec 9>&-
    holds "a killed run leaves its job" sh -c '[ -n "$("$1" virsh "$2" backup-dumpxml vm01 2>/dev/null)" ]' - \
        "$lab_script" "$lab"
    holds "and its list" is "$own-$(point 4) $own-$(point 5) " "$(lists)"
else
    fail "an instant can be held" "$(tail -n 1 "$folder/said")"
fi
mv "$folder/vdb.committed" "$folder/out/vdb.raw"
guest 'guest-work scatter /dev/vdb 15 20'
# shellcheck disable=SC2046  # words
holds "the next run ends the job and reads what changed since the committed point" exact 7 $(bases 4)
holds "with what was written before the kill" sh -c '"$1" scattered "$2" 15 20' - "$tiny" "$folder/out/vdb.raw"
holds "by its list" said "vdb since"
holds "nothing of the killed run is left" is "$own-$(point 7) " "$(lists)"
holds "nor in the scratch folder" is "" "$(ls "$scratch")"

# Somebody else's checkpoints and backups.
cat >"$folder/foreign.xml" <<XML
<domainbackup mode='pull'><server transport='unix' socket='$lab/vm01/foreign.sock'/><disks>
<disk name='vdb' backup='yes' type='file'><scratch file='$lab/vm01/foreign.scratch'/></disk></disks></domainbackup>
XML
cat >"$folder/foreign-checkpoint.xml" <<XML
<domaincheckpoint><name>theirs</name><disks><disk name='vda' checkpoint='no'/><disk name='vdb' checkpoint='bitmap'/>
<disk name='vdc' checkpoint='no'/></disks></domaincheckpoint>
XML
virsh backup-begin vm01 "$folder/foreign.xml" "$folder/foreign-checkpoint.xml" >/dev/null
# shellcheck disable=SC2046  # words
capture 8 $(bases 7)
holds "while another program backs the guest up, it is left alone" said "another program is backing up"
holds "and its backup goes on" virsh backup-dumpxml vm01
virsh domjobabort vm01
guest 'guest-work scatter /dev/vdb 16 20'
# shellcheck disable=SC2046  # words
holds "behind it the lists are what they were" exact 8 $(bases 7)
holds "by its list again" said "vdb since"
holds "theirs stays" is "$own-$(point 8) theirs " "$(lists)"

# Another repository has lists of its own.
repository=$other_repository
mkdir -p "$folder/kept" && cp "$folder"/out/*.raw "$folder/kept/"
holds "another repository begins anew" capture 20
repository=00112233445566778899aabbccddeeff
cp "$folder"/kept/*.raw "$folder/out/"
# shellcheck disable=SC2046  # words
holds "and takes nothing from this one" exact 9 $(bases 8)
holds "whose list goes on" said "vdb since"
holds "beside the other's" is "$own-$(point 9) dozo-ffeeddcc-$(point 20) theirs " "$(lists)"

# The guest is started anew.
virsh reset vm01 >/dev/null
sleep 1
"$tiny" wait "$lab/vm01"
# shellcheck disable=SC2046  # words
holds "behind a reset the list goes on" exact 10 $(bases 9)
holds "as a list" said "vdb since"
virsh destroy vm01 >/dev/null
"$lab_script" boot "$lab" vm01
guest 'guest-work scatter /dev/vdb 17 20'
# shellcheck disable=SC2046  # words
holds "behind a power cut and a start the list goes on" exact 11 $(bases 10)
holds "as a list too" said "vdb since"
pid=$(cat "$lab"/run/libvirt/qemu/run/vm01.pid)
kill -9 "$pid"
while [ "$(virsh domstate vm01)" != "shut off" ]; do sleep 0.2; done
"$lab_script" boot "$lab" vm01
writes
# shellcheck disable=SC2046  # words
holds "when QEMU was killed everything is read" exact 12 $(bases 11)
holds "because the list was not closed" said "vdb unknown .*not closed properly"
holds "and the broken list is gone, theirs is not ours to remove" is \
    "$own-$(point 12) dozo-ffeeddcc-$(point 20) theirs " "$(lists)"
# shellcheck disable=SC2046  # words
holds "from then on what changed is known again" exact 13 $(bases 12)
holds "by a list" said "vdb since"
holds "of one instant still" twins

# Snapshots, block jobs and saved states of the guest: libvirt carries the lists along.
virsh snapshot-create-as vm01 side --disk-only --diskspec "vdb,snapshot=external,file=$lab/vm01/vdb.side" \
    --diskspec vda,snapshot=no --diskspec vdc,snapshot=no --diskspec sda,snapshot=no >"$folder/output" 2>&1
guest 'guest-work scatter /dev/vdb 41 20'
# shellcheck disable=SC2046  # words
holds "behind an external snapshot the list goes on" exact 41 $(bases 13)
holds "as a list over both images" said "vdb since"
guest 'guest-work scatter /dev/vdb 42 20'
virsh blockcommit vm01 vdb --active --pivot --wait >"$folder/output" 2>&1
# shellcheck disable=SC2046  # words
holds "behind its commit too" exact 42 $(bases 41)
holds "as a list" said "vdb since"
holds "with what was written into the image that is gone" has_scatter vdb 42 20
virsh managedsave vm01 >"$folder/output" 2>&1
virsh start vm01 >"$folder/output" 2>&1
guest 'guest-work scatter /dev/vdb 43 20'
# shellcheck disable=SC2046  # words
holds "behind a saved state and its resumption too" exact 13 $(bases 42)
holds "as a list still" said "vdb since"

# The daemon is started anew while an instant is read.
guest 'guest-work scatter /dev/vdb 44 20'
# shellcheck disable=SC2046  # words
if hold 43 $(bases 13); then
    kill "$(cat "$lab/libvirtd.pid")"
    while "$lab_script" alive "$lab"; do sleep 0.1; done
    "$lab_script" start "$lab" >"$folder/output" 2>&1
    holds "a daemon that was started anew finds the instant as it was" same_as_instant
    holds "and the run ends as any other" release
    holds "with one list" is "$own-$(point 43) dozo-ffeeddcc-$(point 20) theirs " "$(lists)"
else
    fail "an instant can be held for the daemon" "$(tail -n 1 "$folder/said")"
fi
# shellcheck disable=SC2046  # words
holds "and the next run builds on it" exact 13 $(bases 43)

# Memory with the disks: the guest stands still, QEMU closes its images and has them open again.
sed 's/>theirs</>their-new</' "$folder/foreign-checkpoint.xml" >"$folder/foreign-new.xml"
virsh checkpoint-create vm01 "$folder/foreign-new.xml" >/dev/null
guest 'guest-work scatter /dev/vdb 45 20'
# shellcheck disable=SC2046  # words
holds "an instant with memory is the guest's disks" exact 44 memory $(bases 13)
holds "it has the memory" said "^memory [0-9]\{8,9\} stood still"
holds "and what changed by the list" said "vdb since"
holds "of one instant" twins
holds "the guest goes on" is running "$(virsh domstate vm01)"
guest 'guest-work scatter /dev/vdb 46 20'
# shellcheck disable=SC2046  # words
holds "an abandoned one" capture 45 memory abandon $(bases 44)
holds "costs no list" is "$own-$(point 44) dozo-ffeeddcc-$(point 20) their-new theirs " "$(lists)"
cp "$folder/out/vdb.raw" "$folder/kept/"
# shellcheck disable=SC2046  # words
holds "the list goes on behind it" exact 13 $(bases 44)
holds "as a list" said "vdb since"
holds "with what was written before and behind" has_scatter vdb 46 20
holds "those of others too" sh -c '"$1" virsh "$2" checkpoint-dumpxml vm01 their-new --size | grep "vdb.*size="' - \
    "$lab_script" "$lab"
virsh checkpoint-delete vm01 their-new >/dev/null

# Disks that come and disks that are left out.
qemu-img create -q -f qcow2 "$lab/vm01/vdd.qcow2" 32M
qemu-img create -q -f qcow2 -o compat=0.10 "$lab/vm01/vde.qcow2" 32M
chown --reference="$lab/vm01/vdb.qcow2" "$lab/vm01/vdd.qcow2" "$lab/vm01/vde.qcow2"
virsh attach-disk vm01 "$lab/vm01/vdd.qcow2" vdd --driver qemu --subdriver qcow2 --live >"$folder/output"
# shellcheck disable=SC2046  # words
shown="vdb vdc vdd"
more=vdd
holds "a disk that was plugged in is read whole" exact 14 exclude=vda $(bases 13)
holds "with the reason" said "vdd unknown .*no list of this disk"
holds "the others by their lists" said "vdb since"
holds "one that was left out is told" said "omitted vda excluded"
holds "and keeps its list" is "$own-$(point 13) $own-$(point 14) dozo-ffeeddcc-$(point 20) theirs " "$(lists)"
shown="vda vdb vdc vdd"
holds "from which it is read the next time" exact 15 \
    "base=vda:$(point 13)" "base=vdb:$(point 14)" "base=vdc:$(point 14)" "base=vdd:$(point 14)"
holds "as a list says" said "vda since"
holds "like the new disk" said "vdd since"
virsh attach-disk vm01 "$lab/vm01/vde.qcow2" vde --driver qemu --subdriver qcow2 --live >"$folder/output"
# shellcheck disable=SC2046  # words
holds "an image that can keep no list costs the lists and not the point" exact 16 $(bases 15)
holds "with libvirt's reason" said "vde unknown"
virsh detach-disk vm01 vde --live >/dev/null
sleep 1
# shellcheck disable=SC2046  # words
holds "without it the lists begin again" exact 17
# A list that QEMU keeps is thrown away behind libvirt's back.
virsh qemu-monitor-command vm01 "{\"execute\":\"block-dirty-bitmap-remove\",\"arguments\":{\"node\":\"$(
    virsh qemu-monitor-command vm01 '{"execute":"query-named-block-nodes"}' | python3 -c '
import json, sys
print([n["node-name"] for n in json.load(sys.stdin)["return"] if n["drv"] == "qcow2" and "vdb" in n["file"]][0])'
)\",\"name\":\"$own-$(point 17)\"}}" >/dev/null
# shellcheck disable=SC2046  # words
holds "a list that is gone means that its disk is read whole" exact 18 $(bases 17)
holds "and says so" said "vdb unknown .*gone"
holds "the others by their lists all the same" said "vda since"
holds "and what is left of its checkpoint goes" sh -c '! grep -q "^note" "$1"' - "$folder/said"
holds "as it should" is "$own-$(point 18) dozo-ffeeddcc-$(point 20) theirs " "$(lists)"

# Scratch space that runs full.
shm=$(mktemp -d /dev/shm/dozo-lv.XXXXXX 2>/dev/null) || shm=
if [ -n "$shm" ]; then
    chmod 711 "$shm"
    reserve=$(($(df -B 1 --output=avail "$shm" | tail -n 1) - 4194304))
    place=$shm
    # shellcheck disable=SC2046  # words
    if hold 30 "reserve=$reserve" $(bases 18); then
        holds "what the guest writes while the scratch space runs full is written" guest \
            'guest-work scatter /dev/vdb 18 400'
        release
        holds "the instant is given up, and the sentence says why" said "ran down to .*--scratch"
        holds "the guest goes on" is running "$(virsh domstate vm01)"
        holds "with its lists" is "$own-$(point 18) dozo-ffeeddcc-$(point 20) theirs " "$(lists)"
    else
        fail "an instant with little scratch space can be held" "$(tail -n 1 "$folder/said")"
    fi
    place=
    # shellcheck disable=SC2046  # words
    holds "and the next run covers all of it" exact 31 $(bases 18)
    holds "with what was written meanwhile" has_scatter vdb 18 400
    capture 32 "reserve=999999999999999"
    holds "where there is none to begin with nothing begins" said "are needed for what the guest vm01 overwrites"
else
    skip "scratch space that runs full" "/dev/shm cannot be written"
fi

# The real command, from the first point to the restored disks.
backup() { "$dozo" backup --connect "$uri" --scratch "$scratch" "$@"; }
ends_with 0 "" "a running guest is backed up" backup --domain vm01 --exclude vdd --quiesce never
guest 'killall guest-work; sleep 1; guest-work scatter /dev/vdb 19 30; guest-work scatter /dev/vdc 20 30; sync'
ends_with 0 "" "and again at rest, from what changed" backup --domain vm01 --exclude vdd --quiesce require
"$dozo" show vm01@latest >"$folder/shown" 2>&1
shows() { grep -q "$1" "$folder/shown"; }
holds "the point says of which machine it is" shows "libvirt-qemu, libvirt"
holds "and how its changes were found" shows "changes found by *\(bitmap\|mixed\)"
holds "and that its file systems were at rest" shows "consistency *file-system"
holds "the guest's are not any more" is thawed \
    "$(virsh qemu-agent-command vm01 '{"execute":"guest-fsfreeze-status"}' | sed 's/.*"return":"\([a-z]*\)".*/\1/')"
holds "it restores" "$dozo" restore vm01@latest --to-directory "$folder/restored"
holds "its file system is clean" e2fsck -fn "$folder/restored/vda.raw"

# Killed at any moment, and then as if nothing had been.
stuck=
for delay in 0.1 0.2 0.3 0.4 0.5 0.6 0.8 1; do
    "$dozo" backup --connect "$uri" --scratch "$scratch" --domain vm01 --quiesce require >/dev/null 2>&1 &
    program=$!
    sleep "$delay"
    kill -9 "$program" 2>/dev/null
    wait "$program" 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        # A guest at rest runs no command for the agent.
        virsh qemu-agent-command vm01 '{"execute":"guest-fsfreeze-status"}' 2>/dev/null | grep -q thawed && continue 2
        sleep 0.5
    done
    stuck="$stuck $delay"
done
holds "killed at eight moments the guest is never left at rest" is "" "$stuck"
ends_with 0 "" "and the next backup is as any other" backup --domain vm01 --exclude vdd --quiesce require
holds "with one list" is 1 "$(virsh checkpoint-list vm01 --name | grep -c "^dozo-$(cut -c 1-8 "$folder/id")")"
holds "and nothing left in the scratch folder" is "" "$(ls "$scratch")"

# Hooks for applications in it, whose word is read through libvirt; for who asks only: libvirt calls it tainted then.
tainted() { virsh dominfo "$1" | grep -c -i "tainted.*agent"; }
ends_with 7 "no hooks were called in it" "a guest without hooks makes no application" \
    backup --domain vm01 --exclude vdd --quiesce application
restart_agent="kill \$(cat /run/qemu-ga.pid); sleep 1; qemu-ga -d -m virtio-serial -t /run -f /run/qemu-ga.pid \
    -p /dev/virtio-ports/org.qemu.guest_agent.0 -F/sbin/dozo-fsfreeze-hook"
guest "echo '$(base64 -w 0 "$top/agent/hooks/dozo-fsfreeze-hook")' | base64 -d >/sbin/dozo-fsfreeze-hook
    mkdir -p /etc/dozo/hooks.d; printf '#!/bin/sh\nexit 0\n' >/etc/dozo/hooks.d/10-one
    chmod 755 /sbin/dozo-fsfreeze-hook /etc/dozo/hooks.d/10-one; $restart_agent"
ends_with 0 "" "one with hooks does" backup --domain vm01 --exclude vdd --quiesce application
"$dozo" show vm01@latest >"$folder/shown" 2>&1
holds "the point says so" shows "consistency *application"
holds "and libvirt that its agent was asked" is 1 "$(tainted vm01)"
holds "and names them" shows "hook in it *10-one: ok"
guest "$restart_agent -b guest-file-open"
ends_with 7 "cannot be known: .*guest-file-open" "an agent that lets no file be read makes none" \
    backup --domain vm01 --exclude vdd --quiesce application
ends_with 0 "" "but file systems are at rest" backup --domain vm01 --exclude vdd --quiesce require
"$dozo" show vm01@latest >"$folder/shown" 2>&1
holds "and that is what the point says" shows "consistency *file-system"

# Two guests at one barrier.
"$lab_script" define "$lab" two "$folder/guest" && "$lab_script" boot "$lab" two ||
    fail "a second guest boots" "see $lab"
ends_with 0 "2 guests were taken within" "two guests are taken at one barrier" backup --domain vm01 --domain two
"$dozo" show two@latest >"$folder/shown" 2>&1
holds "and their points say so" shows "group *all instants within"
holds "and its file systems were at rest" shows "consistency *file-system"
holds "without libvirt calling it tainted" is 0 "$(tainted two)"
"$lab_script" virsh "$lab" destroy two >/dev/null

# Lists of changes are taken away again: those of one repository, or all of ours, and nobody else's.
for name in foreign dozo-00000000-other; do
    sed "s/theirs/$name/" "$folder/foreign-checkpoint.xml" >"$folder/more-checkpoint.xml"
    virsh checkpoint-create vm01 "$folder/more-checkpoint.xml" >/dev/null
done
forget() { "$dozo" guests --forget-changes --connect "$uri" --domain vm01 "$@"; }
lists() { virsh checkpoint-list vm01 --name | grep -c "$1"; }
ours=dozo-$(cut -c 1-8 "$folder/id")
ends_with 0 "^vm01: $ours-.* would be taken away" "a dry run names lists" forget --dry-run
holds "and takes none away" is "1 1 1" "$(lists "^$ours") $(lists ^dozo-00000000-other) $(lists ^foreign)"
ends_with 0 "^vm01: $ours-.* taken away" "the lists of this repository are taken away" forget
holds "not those of another one, nor somebody else's" is "0 1 1" \
    "$(lists "^$ours") $(lists ^dozo-00000000-other) $(lists ^foreign)"
ends_with 0 "vdb: read whole" "the next point reads everything whole" backup --domain vm01 --exclude vdd
ends_with 0 "dozo-00000000-other of vdb taken away" "all of ours are taken away when told so" \
    forget --all-repositories
holds "but nobody else's" is "0 1" "$(lists ^dozo-) $(lists ^foreign)"
ends_with 0 "" "they come again" backup --domain vm01

"$dozo" restore vm01@latest --to-directory "$folder/last" >"$folder/output" 2>&1
virsh destroy vm01 >/dev/null
ends_with 3 "is shut off" "of a guest that is off libvirt takes no list away" forget
for disk in vdb.qcow2 vdc.raw; do
    holds "the disk in $disk comes back as the guest left it" \
        qemu-img compare -q -f raw -F "${disk#*.}" "$folder/last/${disk%.*}.raw" "$lab/vm01/$disk"
done
echo done
