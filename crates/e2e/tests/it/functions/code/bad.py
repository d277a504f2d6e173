"""Misbehaves as a message says."""

import json
import os
import subprocess
import sys
import time

OK = {"statusCode": 200, "body": "ok"}


def handler(event, context):
    message = json.loads(event["body"])
    act = message["act"]
    if act == "raise":
        raise KeyError("no such room")
    if act == "list":
        return [1, 2, 3]
    if act == "huge":
        return {"statusCode": 200, "body": "x" * int(6.1 * 1024 * 1024)}
    if act == "never":
        time.sleep(1e6)
    if act == "exit":
        sys.exit(7)
    if act == "kill":
        os.kill(os.getpid(), 9)
    if act == "fork":
        subprocess.Popen(["sleep", message["mark"]])
        os._exit(0)
    if act == "print":
        line = "p" * 999
        for _ in range(message["bytes"] // 1000):
            print(line)
    if act == "colour":
        sys.stderr.write("\x1b[31mred\x1b[0m \x07 one\rtwo\n")
        sys.stdout.buffer.write(b"\xff\xfe!\n")
        sys.stdout.flush()
    return OK
