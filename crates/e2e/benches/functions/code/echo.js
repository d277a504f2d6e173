// The handler under test: it sends every message back.
exports.handler = async (event) => ({ statusCode: 200, body: event.body });
