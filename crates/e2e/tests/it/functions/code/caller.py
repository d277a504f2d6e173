"""Calls what a message names, signed with the function's own credentials."""

import datetime
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.parse
import urllib.request


def sign(method, url, body):
    parts = urllib.parse.urlsplit(url)
    now = datetime.datetime.utcnow()
    time, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": parts.netloc, "x-amz-date": time}
    if os.environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = os.environ["AWS_SESSION_TOKEN"]
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    path = urllib.parse.quote(parts.path, safe="/-_.~")
    digest = lambda data: hashlib.sha256(data).hexdigest()
    canonical = "\n".join([method, path, parts.query, lines, names, digest(body)])
    scope = f"{day}/{os.environ['AWS_REGION']}/execute-api/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest(canonical.encode())}"
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return headers


def handler(event, context):
    asked = json.loads(event["body"])
    base = asked.get("base") or os.environ["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"]
    base = base.replace("THERE", urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL_SSM"]).netloc)
    connection = asked.get("connection") or event["requestContext"]["connectionId"]
    url = f"{base}/@connections/{urllib.parse.quote(connection)}"
    body = asked.get("say", "").encode()
    request = urllib.request.Request(url, method=asked["method"], data=body or None)
    for name, value in sign(asked["method"], url, body).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=8) as answer:
            told = {"status": answer.status, "text": answer.read().decode()}
    except urllib.error.HTTPError as error:
        told = {"status": error.code, "text": error.read().decode()}
    told["connection"] = event["requestContext"]["connectionId"]
    return {"statusCode": 200, "body": json.dumps(told)}
