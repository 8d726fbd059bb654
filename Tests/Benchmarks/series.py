"""The six images that every tool backs up, in the order in which days pass.

a0 is a guest's disk, a1 to a3 the same disk on the next three days, b0 a guest that was cloned from a0 and went its own
way for three days, c0 the same programs installed in another order on a file system of its own. All are made from real
Debian packages by scripts/make-guest-image; the same packages give the same bytes.
"""
import os
import shutil
import subprocess

SMALL = """base-files bash coreutils libc6 libc-bin perl-base python3.11-minimal libpython3.11-minimal
    libpython3.11-stdlib openssl tzdata dpkg apt perl-modules-5.36 libssl3 libstdc++6 systemd openssh-client git
    vim-runtime""".split()
LARGE = SMALL + """libicu72 locales postgresql-15 libllvm14 mariadb-server-core gcc-12 cpp-12 g++-12 libstdc++-12-dev
    openjdk-17-jre-headless golang-1.19-go libclang-cpp14 llvm-14 libreoffice-core fonts-noto-core iso-codes
    man-db groff-base qemu-system-x86 firefox-esr thunderbird""".split()

# Name of the image, the guest it belongs to, the row of the table in which its backup counts.
IMAGES = [("a0", "guest-a", "first full"), ("a1", "guest-a", "night"), ("a2", "guest-a", "night"),
          ("a3", "guest-a", "night"), ("b0", "guest-b", "clone"), ("c0", "guest-c", "sibling")]


def make(top, folder, size):
    """Makes what is missing of the series in a folder and returns the paths by name."""
    script = os.path.join(top, "scripts", "make-guest-image")
    packages = LARGE if size >= 2048 else SMALL
    os.makedirs(folder, exist_ok=True)
    paths = {name: os.path.join(folder, name + ".raw") for name, _, _ in IMAGES}

    def fresh(name, guest, names):
        subprocess.run([script, paths[name] + ".new", "--name", guest, "--size-mib", str(size), "--packages",
                        " ".join(names)], check=True)
        os.replace(paths[name] + ".new", paths[name])

    def aged(name, base, seeds):
        subprocess.run(["cp", "--sparse=always", paths[base], paths[name] + ".new"], check=True)
        for seed in seeds:
            subprocess.run([script, paths[name] + ".new", "--change", str(seed)], check=True)
        os.replace(paths[name] + ".new", paths[name])

    makers = {"a0": lambda: fresh("a0", "guest-a", packages), "a1": lambda: aged("a1", "a0", [1]),
              "a2": lambda: aged("a2", "a1", [2]), "a3": lambda: aged("a3", "a2", [3]),
              "b0": lambda: aged("b0", "a0", [101, 102, 103]),
              "c0": lambda: fresh("c0", "guest-c", packages[::-1])}
    for name, _, _ in IMAGES:
        if not os.path.exists(paths[name]):
            makers[name]()
    return paths


def data_bytes(path):
    """Bytes of an image that are allocated."""
    return os.stat(path).st_blocks * 512


def warm(path):
    """Brings an image into the page cache, so that whoever comes first pays no more than whoever comes second."""
    with open(path, "rb", buffering=0) as image:
        while image.read(8 << 20):
            pass


def same(left, right):
    """Whether two files hold the same bytes."""
    return os.path.getsize(left) == os.path.getsize(right) and subprocess.run(
        ["cmp", "-s", left, right], check=False).returncode == 0


def emptied(folder):
    """The folder, existing and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder
