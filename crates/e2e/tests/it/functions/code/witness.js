// Does what a message says, in every way that a handler can.
exports.handler = async (event, context) => {
  const { act } = JSON.parse(event.body);
  switch (act) {
    case "context":
      return reply({
        functionName: context.functionName,
        functionVersion: context.functionVersion,
        invokedFunctionArn: context.invokedFunctionArn.replace(/[^:]*$/, ""),
        memoryLimitInMB: context.memoryLimitInMB,
        logGroupName: context.logGroupName,
        isUuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(context.awsRequestId),
        hasTime: context.getRemainingTimeInMillis() > 0 && context.getRemainingTimeInMillis() <= 10_000,
      });
    case "environment":
      return reply(Object.keys(process.env).filter((name) => /^(AWS|LAMBDA|TZ|_HANDLER)/.test(name)));
    case "unicode":
      return reply("grüße \u{1f44b} \u2028");
    case "nothing":
      return undefined;
    case "text":
      return "a text";
    case "number":
      return { statusCode: "invalid", body: 1 };
    case "big":
      return { statusCode: 200, body: "x".repeat(100_000) };
    case "error":
      throw new RangeError("too far");
    case "string":
      throw "a string";
    case "cycle": {
      const circle = { statusCode: 200 };
      circle.circle = circle;
      return circle;
    }
  }
};

const reply = (value) => ({ statusCode: 200, body: JSON.stringify(value) });
