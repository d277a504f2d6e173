// {"action": "add", "number": 2} answers the sum of this connection.

const sums = new Map();

const routes = {
  $connect: (id) => void sums.set(id, 0),
  $disconnect: (id) => void sums.delete(id),
  $default: (id) => ({ connections: sums.size, sum: sums.get(id) }),
  add: (id, { number }) => {
    sums.set(id, sums.get(id) + number);
    return { sum: sums.get(id) };
  },
};

exports.handler = async ({ body, requestContext: { connectionId, routeKey } }) => {
  const message = routeKey === "add" ? JSON.parse(body) : {};
  const answer = routes[routeKey](connectionId, message);
  return { statusCode: 200, body: answer && JSON.stringify(answer) };
};
