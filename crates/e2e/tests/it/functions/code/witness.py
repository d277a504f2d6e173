"""Does what a message says, in every way that a handler can."""

import json
import os
import re


def handler(event, context):
    act = json.loads(event["body"])["act"]
    if act == "context":
        return reply({
            "function_name": context.function_name,
            "function_version": context.function_version,
            "invoked_function_arn": context.invoked_function_arn.rpartition(":")[0],
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "log_group_name": context.log_group_name,
            "is_uuid": bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", context.aws_request_id)),
            "has_time": 0 < context.get_remaining_time_in_millis() <= 10_000,
            "identity": context.identity.cognito_identity_id,
            "client_context": context.client_context,
        })
    if act == "environment":
        return reply(sorted(name for name in os.environ if re.match(r"AWS|LAMBDA|TZ|_HANDLER", name)))
    if act == "unicode":
        return reply("grüße \U0001f44b \u2028")
    if act == "text":
        return "a text"
    if act == "number":
        return {"statusCode": "invalid", "body": 1}
    if act == "big":
        return {"statusCode": 200, "body": "x" * 100_000}
    if act == "error":
        raise IndexError("too far")
    if act == "cycle":
        return {"statusCode": 200, "body": handler}
    return None


def reply(value):
    return {"statusCode": 200, "body": json.dumps(value, ensure_ascii=False)}
