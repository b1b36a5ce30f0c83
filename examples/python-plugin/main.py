"""A plugin in Python's standard library alone: docs/plugins/protocol.md, spoken by hand.

Each Greeting gets a ConfigMap of its name. The reconcile is level-driven: whatever happened, it looks at all
greetings and writes what should be; to do so twice does no harm.
"""

import http.client
import json
import socket
import struct
import sys
import threading
import time

GREETINGS = "/apis/python.example.com/v1"
say_lock = threading.Lock()
active = threading.Event()
written = 0


def say(message):
    with say_lock:
        print(json.dumps(message), flush=True)


class Api(http.client.HTTPConnection):
    """The Kubernetes API on the socket that the host told: plain HTTP, no token, already this plugin."""

    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method, path, body=None, kind="application/json"):
        text = None if body is None else json.dumps(body)
        self.request(method, path, text, {"content-type": kind, "accept": "application/json"})
        response = self.getresponse()
        answer = json.loads(response.read() or b"{}")
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {answer.get('message')}")
        return answer


def reconcile(path, greeting):
    global written
    meta, to = greeting["metadata"], greeting["spec"]["to"]
    text = f"Hello, {to}!"
    if greeting.get("status", {}).get("written") == text:
        return
    api = Api(path)
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "ownerReferences": [
                {
                    "apiVersion": "python.example.com/v1",
                    "kind": "Greeting",
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                }
            ],
        },
        "data": {"text": text},
    }
    where = f"/api/v1/namespaces/{meta['namespace']}/configmaps/{meta['name']}?fieldManager=greeter&force=true"
    api.call("PATCH", where, config_map, "application/apply-patch+yaml")
    status = f"{GREETINGS}/namespaces/{meta['namespace']}/greetings/{meta['name']}/status"
    api.call("PATCH", status, {"status": {"written": text}}, "application/merge-patch+json")
    written += 1


def run(path):
    """List, write what is missing, watch until something changes, and again."""
    active.wait()
    while True:
        try:
            greetings = Api(path).call("GET", f"{GREETINGS}/greetings")
            for greeting in greetings["items"]:
                reconcile(path, greeting)
            version = greetings["metadata"]["resourceVersion"]
            watch = Api(path)
            watch.request("GET", f"{GREETINGS}/greetings?watch=true&resourceVersion={version}&timeoutSeconds=30")
            watch.getresponse().readline()
            watch.close()
        except Exception as error:  # tried again: the API is away, or somebody else wrote first
            say({"type": "log", "level": "warn", "message": str(error)})
            time.sleep(1)


def answer_hooks(path):
    """The host's questions: frames of a length (4 bytes, big end first) and JSON."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.connect(path)
    stream = channel.makefile("rwb")

    def answers():
        while head := stream.read(4):
            asked = json.loads(stream.read(struct.unpack(">I", head)[0]))
            body = json.dumps(answer(asked)).encode()
            stream.write(struct.pack(">I", len(body)) + body)
            stream.flush()

    threading.Thread(target=answers, daemon=True).start()


def answer(asked):
    number, body = asked["i"], asked["b"]
    if asked["m"] == "hello":
        return {"i": number, "r": {"protocol": 1, "name": "greeter"}}
    if asked["m"] == "validate":
        to = body["object"].get("spec", {}).get("to", "")
        return {"i": number, "r": [] if to.strip() else ["spec.to: a greeting needs somebody to greet"]}
    return {"i": number, "e": f"there is no answer to {asked['m']}"}


def beat():
    while True:
        say({"type": "beat", "metrics": {"greeter_greetings_total": [["[]", written]]}})
        time.sleep(1)


say({"type": "hello", "protocol": 2, "name": "greeter", "version": "1.0.0"})
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        if "hooks" in message:
            answer_hooks(message["hooksSocket"])
        if not message["standby"]:
            active.set()
        threading.Thread(target=run, args=(message["apiSocket"],), daemon=True).start()
        provides = {"controllers": ["greeter"], "validates": ["greetings.python.example.com"], "mutates": []}
        say({"type": "ready", "provides": {**provides, "schedules": [], "metrics": ["greeter_greetings_total"]}})
        threading.Thread(target=beat, daemon=True).start()
    elif message["type"] == "activate":
        active.set()
    elif message["type"] == "stop":
        break
