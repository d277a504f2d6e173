"""Answers every message; {"action": "count", "to": 3} pushes the numbers up to 3."""

import json

import boto3


def handler(event, context):
    if event["requestContext"]["routeKey"] == "count":
        return count(event["requestContext"], json.loads(event["body"])["to"])
    return {"statusCode": 200, "body": event.get("body")}


def count(request, last):
    api = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=f"https://{request['domainName']}/{request['stage']}",
    )
    for number in range(1, last + 1):
        api.post_to_connection(ConnectionId=request["connectionId"], Data=str(number).encode())
    return {"statusCode": 200}
