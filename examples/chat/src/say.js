// {"action": "say", "text": "…"}: everybody gets it.

import {
  ApiGatewayManagementApiClient,
  GoneException,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import { everybody, forget } from "./connections.js";

export const handler = async (event) => {
  const { connectionId, domainName, stage } = event.requestContext;
  const { text } = JSON.parse(event.body);
  const people = [];
  for await (const person of everybody()) {
    people.push(person);
  }
  const from = people.find((person) => person.connectionId === connectionId)?.name;
  const api = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  const Data = JSON.stringify({ from, text });
  await Promise.all(people.map(({ connectionId }) => deliver(api, connectionId, Data)));
  return { statusCode: 200 };
};

const deliver = async (api, ConnectionId, Data) => {
  try {
    await api.send(new PostToConnectionCommand({ ConnectionId, Data }));
  } catch (error) {
    if (!(error instanceof GoneException)) {
      throw error;
    }
    // It left without a word.
    await forget(ConnectionId);
  }
};
