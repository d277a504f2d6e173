const greet = require('greet');

exports.handler = async (event) => ({ statusCode: 200, body: greet(event.body ?? '') });
