"""Calls @connections with AWS's SDK."""

import datetime
import json
import os

import boto3
from botocore.exceptions import ClientError


def handler(event, context):
    request = json.loads(event["body"])
    if "verb" not in request:
        return reply({"connectionId": event["requestContext"]["connectionId"]})
    api = client_for(request["place"], event["requestContext"])
    try:
        told = act(api, request)
    except ClientError as error:
        return reply({
            "ok": False,
            "gone": isinstance(error, api.exceptions.GoneException),
            "name": error.response["Error"]["Code"],
            "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
        })
    return reply({
        "ok": True,
        "since": isinstance(told.get("ConnectedAt"), datetime.datetime),
        "from": told.get("Identity", {}).get("SourceIp"),
    })


def client_for(place, context):
    endpoints = {
        "event": f"https://{context['domainName']}/{context['stage']}",
        "template": os.environ["CALLBACK"],
        "variable": None,
    }
    return boto3.client("apigatewaymanagementapi", endpoint_url=endpoints[place])


def act(api, request):
    if request["verb"] == "delete":
        return api.delete_connection(ConnectionId=request["id"])
    if request["verb"] == "get":
        return api.get_connection(ConnectionId=request["id"])
    return api.post_to_connection(ConnectionId=request["id"], Data=request["text"].encode())


def reply(answer):
    return {"statusCode": 200, "body": json.dumps(answer)}
