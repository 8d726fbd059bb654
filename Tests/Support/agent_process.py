"""The real agent as a process, for the scripts that try it: started, asked and ended."""
import json
import os
import subprocess
import time

PATIENCE = 90    # seconds that anything may take on a busy machine


def case(name, holds, why=""):
    print(f"pass: {name}" if holds else f"FAIL: {name} ({why})", flush=True)
    return holds


def until(what, seconds=PATIENCE):
    """Waits for something to become true; returns it, or what it was last."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.1)


class AgentProcess:
    """An agent with its file, its socket and its log in a folder."""

    def __init__(self, dozo, folder):
        self.dozo, self.folder = dozo, folder
        self.config = os.path.join(folder, "dozo.yaml")
        self.socket = os.path.join(folder, "agent.sock")
        self.log = os.path.join(folder, "agent.log")
        self.agent = None

    def run(self, *words, check=True, **options):
        done = subprocess.run([self.dozo, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.returncode} {done.stderr.strip()[-300:]}")
        return done

    def write_config(self, text):
        with open(self.config, "w") as file:
            os.chmod(self.config, 0o600)
            file.write(text)

    def begin(self, *words, before=None):
        """Starts it, and waits for nothing; `before` is called in the process that becomes it."""
        with open(self.log, "a") as log:
            self.agent = subprocess.Popen(
                [self.dozo, "agent", "run", "--config", self.config, "--socket", self.socket, "--concurrency", "3",
                 *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=before)

    def start(self, *words, before=None):
        """Starts it, and says whether it answers."""
        self.begin(*words, before=before)
        until(lambda: self.status() or self.agent.poll() is not None)
        return self.agent.poll() is None

    def status(self):
        done = self.run("status", "--socket", self.socket, "--json", check=False)
        try:
            document = json.loads(done.stdout)
        except ValueError:
            return None
        return document["agent"] if document.get("running") else None

    def logged(self):
        with open(self.log) as file:
            return file.read()

    def kill(self):
        if self.agent and self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait()
