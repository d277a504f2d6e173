// Who is connected: one item per connection.

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DeleteCommand, DynamoDBDocumentClient, PutCommand, ScanCommand } from "@aws-sdk/lib-dynamodb";

const table = DynamoDBDocumentClient.from(new DynamoDBClient());
const TableName = process.env.TABLE_NAME;

export const connect = async (event) => {
  const { connectionId } = event.requestContext;
  const name = event.queryStringParameters?.name ?? "someone";
  await table.send(new PutCommand({ TableName, Item: { connectionId, name } }));
  return { statusCode: 200 };
};

export const disconnect = async (event) => {
  await forget(event.requestContext.connectionId);
  return { statusCode: 200 };
};

export const forget = (connectionId) =>
  table.send(new DeleteCommand({ TableName, Key: { connectionId } }));

export async function* everybody() {
  let ExclusiveStartKey;
  do {
    const page = await table.send(new ScanCommand({ TableName, ExclusiveStartKey }));
    yield* page.Items;
    ExclusiveStartKey = page.LastEvaluatedKey;
  } while (ExclusiveStartKey);
}
