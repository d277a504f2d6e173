// Calls @connections with AWS's SDK, version 3.
import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GetConnectionCommand,
  GoneException,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";

const clientFor = (place, { domainName, stage }) => {
  const endpoint = { event: `https://${domainName}/${stage}`, template: process.env.CALLBACK }[place];
  return new ApiGatewayManagementApiClient(endpoint ? { endpoint } : {});
};

const commands = {
  delete: ({ id }) => new DeleteConnectionCommand({ ConnectionId: id }),
  get: ({ id }) => new GetConnectionCommand({ ConnectionId: id }),
  post: ({ id, text }) => new PostToConnectionCommand({ ConnectionId: id, Data: text }),
};

const act = async (request, context) => {
  try {
    const api = clientFor(request.place, context);
    const told = await api.send(commands[request.verb](request));
    return { ok: true, since: told.ConnectedAt instanceof Date, from: told.Identity?.SourceIp };
  } catch (error) {
    const gone = error instanceof GoneException;
    return { ok: false, gone, name: error.name, status: error.$metadata?.httpStatusCode };
  }
};

export const handler = async ({ body, requestContext }) => {
  const request = JSON.parse(body);
  const { connectionId } = requestContext;
  const answer = request.verb ? await act(request, requestContext) : { connectionId };
  return { statusCode: 200, body: JSON.stringify(answer) };
};
