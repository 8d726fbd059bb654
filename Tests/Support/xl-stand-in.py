#!/usr/bin/python3
"""A stand-in for Xen's xl with one guest, for hosts that have no Xen: stricter than the real one, which it was compared
with in the lab (xen-lab.sh). Its folder is XL_FOLDER:

guest.json  what `xl list -l` writes (captured from the real one, places of disks replaced)
pauses      how often the guest was paused: it runs at 0, as with the real one
calls       each call, a line
stream      what `xl save` writes; without it, saving fails as on a full disk
broken      when it is there, `xl list -l` writes this instead
slow        seconds that `xl save` takes
"""
import os
import signal
import sys
import time

folder = os.environ["XL_FOLDER"]
DOMAIN = "7"


def path(name):
    return os.path.join(folder, name)


def pauses():
    with open(path("pauses")) as file:
        return int(file.read())


def set_pauses(number):
    with open(path("pauses"), "w") as file:
        file.write(str(number))


def fail(text, status=1):
    sys.stderr.write(text + "\n")
    sys.exit(status)


def tell(text):
    """Dies by SIGPIPE when nobody reads it any more, as a program in C does."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def listing(arguments):
    if arguments == ["-l"]:
        name = path("broken") if os.path.exists(path("broken")) else path("guest.json")
        with open(name) as file:
            sys.stdout.write(file.read())
        return
    if arguments:
        fail("option `%s' not supported." % arguments[0], 2)
    if os.path.exists(path("saving")):
        state = "---ss-"
    else:
        state = "--p---" if pauses() else "-b----"
    print("Name                                        ID   Mem VCPUs\tState\tTime(s)")
    print("Domain-0                                     0   640     1     r-----     154.5")
    print("%-40s %5s %5d %5d     %s  %8.1f" % ("web 01", DOMAIN, 128, 1, state, 15.2))


def require_guest(word):
    if word != DOMAIN:
        fail("%s is an invalid domain identifier (rc=-6)" % word)


def save(arguments):
    if len(arguments) != 3 or arguments[0] != "-p":
        fail("'xl save' requires at least 2 arguments.", 2)
    require_guest(arguments[1])
    if pauses():
        fail("a paused guest does not bring itself to rest")
    sys.stderr.write("Saving to %s new xl format (info 0x3/0x0/1212)\n" % arguments[2])
    open(path("saving"), "w").close()
    with open(arguments[2], "wb") as out:
        tell("xc: info: Saving domain 7, type x86 PV")
        if os.path.exists(path("slow")):
            with open(path("slow")) as file:
                time.sleep(float(file.read()))
        if not os.path.exists(path("stream")):
            os.remove(path("saving"))
            fail("xc: error: Save failed (28 = No space left on device): Internal error\n"
                 "Failed to save domain, resuming domain")
        with open(path("stream"), "rb") as file:
            out.write(file.read())
    # Whoever ends it here leaves the guest suspended: it says how far it is, as the real one does.
    tell("xc: End of stream: 0/0    0%")
    set_pauses(1)
    os.remove(path("saving"))


def main():
    words = sys.argv[1:]
    with open(path("calls"), "a") as file:
        file.write(" ".join(words) + "\n")
    if words == ["info"]:
        print("host                   : (none)\nxen_major              : 4\nxen_version            : 4.17.7")
    elif words[:1] == ["list"]:
        listing(words[1:])
    elif words[:1] == ["pause"] and len(words) == 2:
        require_guest(words[1])
        set_pauses(pauses() + 1)
    elif words[:1] == ["unpause"] and len(words) == 2:
        require_guest(words[1])
        if pauses():
            set_pauses(pauses() - 1)
    elif words[:1] == ["save"]:
        save(words[1:])
    else:
        fail("command not implemented")


main()
