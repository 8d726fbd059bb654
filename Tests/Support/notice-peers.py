#!/usr/bin/env python3
"""Servers that notices are sent to, on loopback: mail with STARTTLS and logins, mail with TLS, HTTP, HTTPS, a journal.

usage: notice-peers.py FOLDER     runs until it is ended

It writes FOLDER/ports (name and number of each), makes an authority of its own (authority.pem), and keeps what comes as
 mail-N.json, post-N.json and journal-N.json. How it answers is read from FOLDER at each connection:
mail-answer (the reply to the message; `hang` says nothing at all), no-starttls, http-status, http-location. With each
connection it notes what stands in the argument lists and environments of the programs `curl` that run (curl-seen).
"""
import base64
import datetime
import glob
import http.server
import itertools
import json
import os
import socket
import socketserver
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FOLDER = sys.argv[1]
USER, PASSWORD = "dozo", 'p"a\\ss wörd #1'
NUMBERS = itertools.count(1)


def path(name):
    return os.path.join(FOLDER, name)


def setting(name, otherwise=""):
    try:
        with open(path(name), encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return otherwise


def keep(kind, document):
    name = f"{kind}-{next(NUMBERS):04}.json"
    with open(path("." + name), "w", encoding="utf-8") as file:
        json.dump(document, file)
    os.rename(path("." + name), path(name))


def note_programs():
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{folder}/cmdline", "rb") as file:
                words = file.read()
            if b"curl" not in words.split(b"\0")[0]:
                continue
            with open(f"{folder}/environ", "rb") as file:
                words += file.read()
        except OSError:
            continue
        with open(path("curl-seen"), "ab") as file:
            file.write(words + b"\n")


def certificate(name, issuer_name=None, issuer_key=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name or subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=30))
    if issuer_key is None:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    return key, builder.sign(issuer_key or key, hashes.SHA256())


def write_pem(name, *parts):
    with open(path(name), "wb") as file:
        for part in parts:
            if isinstance(part, x509.Certificate):
                file.write(part.public_bytes(serialization.Encoding.PEM))
            else:
                file.write(part.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def make_context():
    key, authority = certificate("notices of a test")
    server_key, server = certificate("localhost", authority.subject, key)
    write_pem("authority.pem", authority)
    write_pem("stranger.pem", certificate("somebody else")[1])
    write_pem("server.pem", server_key, server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path("server.pem"))
    return context


CONTEXT = make_context()


class Mail(socketserver.BaseRequestHandler):
    implicit = False

    def say(self, line):
        self.request.sendall(line.encode() + b"\r\n")

    def line(self):
        while b"\r\n" not in self.received:
            piece = self.request.recv(65536)
            if not piece:
                raise ConnectionError
            self.received += piece
        line, _, self.received = self.received.partition(b"\r\n")
        return line

    def message(self):
        lines = []
        while (line := self.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(line + b"\r\n" for line in lines)

    def handle(self):
        self.received = b""
        note_programs()
        if setting("mail-answer") == "hang":
            self.request.recv(1)
            return
        protected = self.implicit
        try:
            if self.implicit:
                self.request = CONTEXT.wrap_socket(self.request, server_side=True)
            self.serve(protected)
        except (ConnectionError, ssl.SSLError, OSError):
            return

    def serve(self, protected):
        user, sender, recipients, commands = None, None, [], []
        self.say("220 localhost ready")
        while True:
            line = self.line()
            word = line.split(b" ")[0].upper().decode("latin-1")
            commands.append(word)
            if word == "EHLO":
                offers = ["localhost", "8BITMIME"]
                if not protected and not os.path.exists(path("no-starttls")):
                    offers.append("STARTTLS")
                offers.append("AUTH PLAIN LOGIN")
                for offer in offers[:-1]:
                    self.say("250-" + offer)
                self.say("250 " + offers[-1])
            elif word == "STARTTLS":
                self.say("220 go on")
                self.request = CONTEXT.wrap_socket(self.request, server_side=True)
                protected, self.received = True, b""
            elif word == "AUTH":
                parts = line.split(b" ")
                if len(parts) < 3:
                    self.say("334 ")
                    parts.append(self.line())
                _, name, password = base64.b64decode(parts[2]).split(b"\0")
                keep("login", {"protected": protected, "password": password.decode()})
                if (name.decode(), password.decode()) == (USER, PASSWORD):
                    user = name.decode()
                    self.say("235 welcome")
                else:
                    self.say("535 no such user or password")
            elif word == "MAIL":
                sender = line.decode("latin-1")
                self.say("250 fine")
            elif word == "RCPT":
                recipients.append(line.decode("latin-1"))
                self.say("250 fine")
            elif word == "DATA":
                self.say("354 go on")
                text = self.message()
                answer = setting("mail-answer", "250 taken")
                if answer.startswith("250"):
                    keep("mail", {
                        "user": user, "sender": sender, "recipients": recipients, "protected": protected,
                        "commands": commands, "text": text.decode("latin-1")})
                self.say(answer)
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("500 what?")


class ProtectedMail(Mail):
    implicit = True


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        note_programs()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = int(setting("http-status", "200"))
        keep("post", {
            "path": self.path, "headers": dict(self.headers.items()), "body": body.decode(), "status": status})
        self.send_response(status)
        if setting("http-location"):
            self.send_header("Location", setting("http-location"))
        self.end_headers()
        self.wfile.write(b"an answer")

    def log_message(self, *words):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class ProtectedServer(Server):
    def get_request(self):
        connection, peer = super().get_request()
        return CONTEXT.wrap_socket(connection, server_side=True), peer

    def handle_error(self, request, client_address):
        pass


def fields(entry):
    found, rest = [], entry
    while rest:
        name, _, rest = rest.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
        else:
            length = int.from_bytes(rest[:8], "little")
            value, rest = rest[8:8 + length], rest[9 + length:]
        found.append([name.decode(), value.decode()])
    return found


def journal():
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path("journal"))
    while True:
        keep("journal", fields(listener.recv(1 << 20)))


def main():
    servers = {
        "smtp": Server(("127.0.0.1", 0), Mail), "smtps": Server(("127.0.0.1", 0), ProtectedMail),
        "http": Server(("127.0.0.1", 0), Hook), "https": ProtectedServer(("127.0.0.1", 0), Hook),
    }
    threading.Thread(target=journal, daemon=True).start()
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(path("password"), "w", encoding="utf-8") as file:
        file.write(PASSWORD + "\n")
    os.chmod(path("password"), 0o600)
    with open(path(".ports"), "w", encoding="utf-8") as file:
        for name, server in servers.items():
            file.write(f"{name}={server.server_address[1]}\n")
    os.rename(path(".ports"), path("ports"))
    threading.Event().wait()


main()
