"""Tells each client what was found in the queue."""

import os

import boto3


def handler(event, context):
    api = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["CALLBACK"])
    for record in event["Records"]:
        to = record["messageAttributes"]["to"]["stringValue"]
        api.post_to_connection(ConnectionId=to, Data=f"found {record['body']}".encode())
