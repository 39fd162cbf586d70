"""Addresses that senders gave, in a network of the test's own: a name server that changes its mind, a metadata service
on 169.254.169.254, a shop on a public address that sends everybody there (row S3 of the promises).

The network is a namespace without any way out, so even a failure reaches nobody.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

UNSHARE = [*(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--net", "--mount"]


def namespaces() -> bool:
    """Whether this machine lets a test have a network of its own."""
    if shutil.which("unshare") is None or shutil.which("ip") is None or shutil.which("mount") is None:
        return False
    return subprocess.run(["unshare", *UNSHARE, "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not namespaces(), reason="needs unshare, ip and mount, and the right to use them")

INSIDE = textwrap.dedent('''
    import http.server, json, socket, struct, sys, threading
    from pathlib import Path

    from dprnet.core.errors import BadRecipe
    from dprnet.service.config import ServiceConfig
    from dprnet.service.jobs import Jobs
    from dprnet.service.webhooks import Webhooks, check_address

    PUBLIC, METADATA, PRIVATE = "93.184.216.34", "169.254.169.254", "10.9.8.7"
    heard = {PUBLIC: [], METADATA: [], PRIVATE: [], "fd00::7": []}
    answers = []  # of the name server, first things first; the last one stays

    def serve(ip):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                heard[ip].append(self.headers["host"])
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(307 if self.path == "/away" else 204)
                self.send_header("location", f"http://{METADATA}/latest/meta-data")
                self.end_headers()
            do_GET = do_POST
            def log_message(self, *args): pass
        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        threading.Thread(target=Server((ip, 80), Handler).serve_forever, daemon=True).start()

    def names():
        """A name server: one answer after another, each valid for no time at all."""
        door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        door.bind(("127.0.0.1", 53))
        while True:
            asked, sender = door.recvfrom(512)
            end = asked.index(b"\\0", 12) + 5
            kind = struct.unpack("!H", asked[end - 4 : end - 2])[0]
            found = b""
            if kind == 1 and answers:
                ip = answers.pop(0) if len(answers) > 1 else answers[0]
                found = b"\\xc0\\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(ip)
            head = asked[:2] + struct.pack("!HHHHH", 0x8180, 1, bool(found), 0, 0)
            door.sendto(head + asked[12:end] + found, sender)

    for ip in heard:
        serve(ip)
    threading.Thread(target=names, daemon=True).start()
    config = ServiceConfig(folder=Path(sys.argv[1]), webhook_secret="sixteen characters")
    jobs = Jobs(config.table)
    webhooks, notes, refused = Webhooks(config, jobs), {}, {}

    def tell(name, address, *ips):
        """A job whose sender gave this address, told of; what became of it."""
        answers[:] = ips
        try:
            check_address(config, address)
        except BadRecipe as error:
            refused[name] = error.reason
            return
        request = {"every": "0.5s", "items": 5, "fallback": None, "gallery": None}
        jobs.add(name, name="x", sha256="0", request=request, keep_s=60.0, max_queue=99, webhook=address)
        jobs.fail(jobs.claim(60, 3), "undecodable", "x")
        webhooks.tell_one()
        notes[name] = jobs.get(name).hook_note

    tell("public", "http://shop.example/told", PUBLIC)
    tell("redirect", "http://shop.example/away", PUBLIC)
    tell("rebound", "http://shop.example/told", PUBLIC, METADATA)
    tell("rebound later", "http://shop.example/told", PUBLIC, PUBLIC, METADATA)
    tell("private name", "http://shop.example/", PRIVATE)
    for name, host in {
        "metadata": METADATA, "private": PRIVATE, "decimal": "2852039166", "hex": "0xa9fea9fe",
        "octal": "0251.0376.0251.0376", "short": "10.591879", "own": "127.0.0.1", "zero": "0",
        "ipv6": "[fd00::7]", "mapped": f"[::ffff:{METADATA}]", "nat64": "[64:ff9b::a9fe:a9fe]", "loopback6": "[::1]",
    }.items():
        tell(name, f"http://{host}/")
    for name, address in {
        "file": "file:///etc/passwd", "gopher": f"gopher://{METADATA}/_x", "user": f"http://shop.example@{METADATA}/"
    }.items():
        tell(name, address)
    print(json.dumps({"heard": heard, "notes": notes, "refused": refused}))
''')
SETUP = """
set -e
ip link set lo up
for address in 93.184.216.34/32 169.254.169.254/32 10.9.8.7/32 fd00::7/128; do ip addr add $address dev lo; done
mount --bind "$1/resolv.conf" "$(readlink -f /etc/resolv.conf)"
exec "$2" "$1/inside.py" "$1/service"
"""


def test_no_way_leads_inside(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    (tmp_path / "inside.py").write_text(INSIDE)
    command = ["unshare", *UNSHARE, "sh", "-c", SETUP, "sh", str(tmp_path), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    heard, notes, refused = told["heard"], told["notes"], told["refused"]
    assert heard["169.254.169.254"] == heard["10.9.8.7"] == heard["fd00::7"] == [], "nobody inside heard anything"
    assert heard["93.184.216.34"] == ["shop.example"] * 3, "under its name, at the address that was judged"
    assert notes["public"] is None
    assert notes["redirect"] == "answered 307; addresses that send us elsewhere are not followed"
    assert "not on the public internet" in notes["rebound"], "judged again when it is told"
    assert notes["rebound later"] is None, "connected to what was judged, whatever the name means a moment later"
    assert refused.pop("private name") == "webhook_refused"
    for name in ("file", "gopher", "user"):
        assert refused.pop(name) == "webhook_address"
    assert len(refused) == 12
    assert set(refused.values()) <= {"webhook_refused", "webhook_unknown"}, refused
