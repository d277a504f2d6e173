"""A runtime that does what its event says, over the Runtime API itself."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
BASE = "/2018-06-01/runtime/"
KEPT = {}
SERVED = [0]


class Client:
    def __init__(self):
        self.connection = http.client.HTTPConnection(API)

    def call(self, method, path, body=None, headers={}):
        self.connection.request(method, BASE + path, body, headers)
        response = self.connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return response.status, names, response.read()

    def answer(self, request, value):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.call("POST", f"invocation/{request}/response", body)

    def fail(self, path, message, kind="Test.Error"):
        body = json.dumps({"errorMessage": message, "errorType": kind})
        return self.call("POST", path, body, {"Lambda-Runtime-Function-Error-Type": kind})


def begin():
    with open(os.environ["STARTS"], "a") as starts:
        starts.write("x")
    with open(os.environ["STARTS"]) as starts:
        return len(starts.read())


def hold(event):
    with socket.create_connection(("127.0.0.1", event["port"])) as gate:
        gate.sendall(event.get("name", "").encode() + b"\n")
        gate.recv(1)


def sockets():
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).startswith("socket:") for link in links if os.path.lexists(link))


def foreign(address):
    """What another instance's Runtime API does with us."""
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port))) as stream:
            stream.sendall(f"GET {BASE}invocation/next HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
            return stream.recv(100).decode()
    except OSError:
        return ""


def serve(client, request, headers, payload):
    event = json.loads(payload)
    do = event.get("do", "echo")
    if do == "echo":
        client.answer(request, payload)
    elif do == "who":
        SERVED[0] += 1
        client.answer(request, {"pid": os.getpid(), "served": SERVED[0], "request": request})
    elif do == "hold":
        hold(event)
        client.answer(request, {"pid": os.getpid()})
    elif do == "hang":
        time.sleep(3600)
    elif do == "exit":
        os._exit(event["code"])
    elif do == "abort":
        os.abort()
    elif do == "linger":
        client.answer(request, {"pid": os.getpid()})
        time.sleep(3600)
    elif do == "leave":
        client.answer(request, {"pid": os.getpid()})
        os._exit(event["code"])
    elif do == "raise":
        client.fail(f"invocation/{request}/error", event["message"])
    elif do == "stream":
        chunks = [chunk.encode() for chunk in event["chunks"]]
        mode = {"Lambda-Runtime-Function-Response-Mode": "streaming"}
        client.call("POST", f"invocation/{request}/response", iter(chunks), mode)
    elif do == "big":
        KEPT["status"] = client.answer(request, b"x" * event["bytes"])[0]
    elif do == "twice":
        first = client.answer(request, {})[0]
        second = client.answer(request, {})[0]
        KEPT["status"] = [first, second, client.call("POST", "invocation/none/response", b"{}")[0]]
    elif do == "kept":
        client.answer(request, KEPT.get("status"))
    elif do == "again":
        # Asks for another event first.
        status = Client().call("GET", "invocation/next")[0]
        client.answer(request, status)
    elif do == "print":
        stream = getattr(sys, event.get("stream", "stdout")).buffer
        stream.write(bytes.fromhex(event["hex"]))
        stream.flush()
        client.answer(request, {})
    elif do == "flood":
        block = (b"y" * 63 + b"\n") * 16384
        for _ in range(event["megabytes"]):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        client.answer(request, {})
    elif do == "fork":
        child = subprocess.Popen(["sleep", "3600"], start_new_session=event["session"])
        client.answer(request, {"pid": os.getpid(), "child": child.pid})
    elif do == "where":
        client.answer(request, {"environment": dict(os.environ), "headers": headers, "cwd": os.getcwd(), "api": API,
            "sockets": sockets(), "stdin": os.read(0, 1).decode()})
    elif do == "calls":
        statuses = []
        for method, path, extra in event["calls"]:
            fresh = Client()
            fresh.connection.request(method, path, b"", extra)
            statuses.append(fresh.connection.getresponse().status)
        client.answer(request, statuses)
    elif do == "foreign":
        client.answer(request, foreign(event["api"]))
    elif do == "allocate":
        try:
            client.answer(request, len(bytearray(event["megabytes"] << 20)) >> 20)
        except MemoryError:
            client.answer(request, "MemoryError")


def loop():
    client = Client()
    while True:
        _, headers, payload = client.call("GET", "invocation/next")
        serve(client, headers["lambda-runtime-aws-request-id"], headers, payload)


mode = os.environ.get("MODE", "")
start = begin() if "STARTS" in os.environ else 1
if mode == "exits" or (mode == "exits once" and start == 1):
    os._exit(3)
if mode == "hangs":
    time.sleep(3600)
if mode == "fails":
    Client().fail("init/error", "no such module", "Runtime.ImportModuleError")
    os._exit(1)
if mode == "fails and stays":
    Client().fail("init/error", "no such module", "Runtime.ImportModuleError")
    time.sleep(3600)
if mode == "ends on demand":
    import signal
    signal.signal(signal.SIGTERM, lambda *_: (open(os.environ["STARTS"], "a").write("end"), os._exit(0)))
for _ in range(int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", "1")) - 1):
    threading.Thread(target=loop, daemon=True).start()
loop()
