"""The worker behind the queue, and a function that puts work into it."""

import json
import os

import boto3


def tell(event, context):
    body = json.loads(event["body"])
    if body["by"] == "queue":
        work = {"to": event["requestContext"]["connectionId"], "text": body["text"]}
        boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(work))
    else:
        work = {"to": event["requestContext"]["connectionId"], "text": body["text"]}
        boto3.client("sns").publish(TopicArn=os.environ["TOPIC"], Message=json.dumps(work))
    return {"statusCode": 200}


def work(event, context):
    failed = []
    for record in event["Records"]:
        try:
            handle(record)
        except Exception as error:
            print(error)
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def handle(record):
    body = json.loads(record["body"])
    if "Message" in body:
        body = json.loads(body["Message"])
    attributes = record["messageAttributes"]
    to = body.get("to") or attributes["client"]["stringValue"]
    if body["text"] == "poison":
        raise ValueError("poison")
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    name = table.get_item(Key={"id": to})["Item"]["name"]
    push = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["ENDPOINT"])
    answer = {"name": name, "text": body["text"], "source": record["eventSource"]}
    push.post_to_connection(ConnectionId=to, Data=json.dumps(answer))
