// Calls @connections with AWS's SDK, version 2.
const AWS = require("aws-sdk");

const clientFor = (place, { domainName, stage }) => {
  const endpoints = {
    event: `https://${domainName}/${stage}`,
    template: process.env.CALLBACK,
    variable: process.env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI,
  };
  return new AWS.ApiGatewayManagementApi({ endpoint: endpoints[place] });
};

const calls = {
  delete: (api, { id }) => api.deleteConnection({ ConnectionId: id }),
  get: (api, { id }) => api.getConnection({ ConnectionId: id }),
  post: (api, { id, text }) => api.postToConnection({ ConnectionId: id, Data: text }),
};

const act = async (request, context) => {
  try {
    const api = clientFor(request.place, context);
    const told = await calls[request.verb](api, request).promise();
    return { ok: true, since: told.ConnectedAt instanceof Date, from: told.Identity?.SourceIp };
  } catch (error) {
    const gone = error.code === "GoneException";
    return { ok: false, gone, name: error.code, status: error.statusCode };
  }
};

exports.handler = async ({ body, requestContext }) => {
  const request = JSON.parse(body);
  const { connectionId } = requestContext;
  const answer = request.verb ? await act(request, requestContext) : { connectionId };
  return { statusCode: 200, body: JSON.stringify(answer) };
};
