"""The programs under comparison, each with the settings that a user would pick for the same purpose."""
import os
import shutil
import subprocess

from cost import measured
from series import emptied

PASSPHRASE = "a passphrase for all"


class Tool:
    """One program and its repository inside a work folder."""
    name = ""

    def __init__(self, binary, work):
        self.binary = binary
        self.work = work
        self.repository = os.path.join(work, self.name)
        self.out = os.path.join(work, self.name + "-out")
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith(("DOZO_", "RESTIC_", "BORG_"))}
        self.environment.update(self.settings())

    def settings(self):
        """Environment that the program needs."""
        return {}

    def run(self, *arguments, cwd=None):
        """The cost of one command."""
        return measured([self.binary, *arguments], self.environment, cwd)

    def begin(self):
        """A new, empty repository."""
        shutil.rmtree(self.repository, ignore_errors=True)
        self.init()

    def stored(self):
        """Bytes of everything in the repository, as files say their size."""
        return sum(os.path.getsize(os.path.join(folder, name))
                   for folder, _, names in os.walk(self.repository) for name in names)

    def version(self):
        """What the program says it is."""
        said = subprocess.run([self.binary, "--version" if self.name != "restic" else "version"],
                              env=self.environment, capture_output=True, text=True, check=True)
        return " ".join(said.stdout.split()[:2])


class Dozo(Tool):
    """Dozo at its defaults."""
    name = "dozo"

    def settings(self):
        path = os.path.join(self.work, "passphrase")
        with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600), encoding="ascii") as file:
            file.write(PASSPHRASE + "\n")
        return {"DOZO_PASSPHRASE_FILE": path, "XDG_STATE_HOME": os.path.join(self.work, "dozo-state")}

    def init(self):
        """A new repository."""
        emptied(os.path.join(self.work, "dozo-state"))
        self.run("init", "-r", self.repository)

    def back_up(self, image, guest, *options):
        """Backs an image up. The passphrase enrols the host once; later backups need only the host's own key."""
        if os.path.basename(image) != "a0.raw":
            environment = {key: value for key, value in self.environment.items() if key != "DOZO_PASSPHRASE_FILE"}
            return measured([self.binary, "backup", "-r", self.repository, "--guest", guest, "--disk",
                             "disk=" + image, *options], environment)
        return self.run("backup", "-r", self.repository, "--guest", guest, "--disk", "disk=" + image, *options)

    def restore(self, image, guest):
        """Gives the guest's newest disk back; the path of it with the cost."""
        path = os.path.join(emptied(self.out), "disk.raw")
        return path, self.run("restore", "-r", self.repository, guest + "@latest", "--disk", "disk", "--to", path)

    def verify(self):
        """Every authentication tag and every pack's name."""
        return self.run("verify", "-r", self.repository)

    def verify_content(self):
        """As verify, and decompresses and compares identities."""
        return self.run("verify", "-r", self.repository, "--content")


class Restic(Tool):
    """restic at its default compression; --force reads the image whatever its times say, as Dozo does."""
    name = "restic"

    def settings(self):
        return {"RESTIC_PASSWORD": PASSPHRASE, "RESTIC_CACHE_DIR": os.path.join(self.work, "restic-cache")}

    def init(self):
        """A new repository."""
        self.run("-q", "-r", self.repository, "init", "--repository-version", "2")

    def back_up(self, image, guest):
        """Backs an image up."""
        return self.run("-q", "-r", self.repository, "backup", "--force", "--host", guest, image)

    def restore(self, image, guest):
        """Gives the guest's newest disk back; the path of it with the cost."""
        out = emptied(self.out)
        cost = self.run("-q", "-r", self.repository, "restore", "latest", "--host", guest, "--target", out)
        return out + image, cost

    def verify(self):
        """The one check that restic has for reading everything."""
        return self.run("-q", "-r", self.repository, "check", "--read-data")

    verify_content = None


class Borg(Tool):
    """borg with encryption, zstd 1 and the block size that its users take for disk images."""
    name = "borg"

    def settings(self):
        return {"BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": os.path.join(self.work, "borg-base")}

    def init(self):
        """A new repository."""
        emptied(os.path.join(self.work, "borg-base"))
        self.run("init", "-e", "repokey-blake2", self.repository)

    def back_up(self, image, guest):
        """Backs an image up."""
        name = guest + "-" + os.path.basename(image)
        return self.run("create", "--sparse", "-C", "zstd,1", "--files-cache", "disabled", "--chunker-params",
                        "fixed,4194304", self.repository + "::" + name, image)

    def restore(self, image, guest):
        """Gives the guest's disk back; the path of it with the cost."""
        out = emptied(self.out)
        cost = self.run("extract", "--sparse", self.repository + "::" + guest + "-" + os.path.basename(image),
                        cwd=out)
        return out + image, cost

    def verify(self):
        """Reads, decrypts and decompresses everything."""
        return self.run("check", "--verify-data", self.repository)

    verify_content = None
