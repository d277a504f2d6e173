"""Runs a Python function: loads its handler, then takes one event after the other from the Lambda
Runtime API and answers it. Texts and types of errors are those that functions and their tests know
from Lambda.
"""

import decimal
import importlib
import json
import logging
import math
import os
import secrets
import socket
import sys
import threading
import time
import traceback

API = "/2018-06-01/runtime/"
VARIABLE = "_WSGATE_SHIM"

# One invocation per thread.
current = threading.local()


# ---- settings


def take_settings():
    return json.loads(os.environ.pop(VARIABLE, None) or "{}")


def redirect(names, host, port):
    """Leads connections to these names to this machine. Only the address changes, and only here,
    so `Host`, SNI and the name that a certificate must bear stay."""
    exact = {name for name in names if not name.endswith("*")}
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    target = (host, port)
    target_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def is_redirected(name):
        if isinstance(name, (bytes, bytearray)):
            name = bytes(name).decode("latin-1")
        if not isinstance(name, str):
            return False
        name = name.lower()
        name = name[:-1] if name.endswith(".") else name
        return name in exact or (bool(prefixes) and name.startswith(prefixes))

    getaddrinfo = socket.getaddrinfo
    connect = socket.socket.connect
    connect_ex = socket.socket.connect_ex

    # `socket.create_connection`, urllib3, http.client and asyncio all ask here.
    def redirected_getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        if is_redirected(host):
            (host, port), family = target, 0 if family != target_family else family
        return getaddrinfo(host, port, family, type, proto, flags)

    def redirected(address):
        if isinstance(address, tuple) and address and is_redirected(address[0]):
            return target + address[2:]
        return address

    socket.getaddrinfo = redirected_getaddrinfo
    socket.socket.connect = lambda self, address: connect(self, redirected(address))
    socket.socket.connect_ex = lambda self, address: connect_ex(self, redirected(address))


# ---- errors


class Fault(Exception):
    """An error of the runtime, not of the function's code."""

    def __init__(self, error_type, message, trace=(), shown=()):
        super().__init__(message)
        self.error_type = f"Runtime.{error_type}"
        self.trace = list(trace)
        self.shown = list(shown)  # in the log only


def own_frames(error):
    """Where in the function's code it happened, without the machinery of imports."""
    frames = [tuple(frame) for frame in traceback.extract_tb(error.__traceback__)]
    machinery = ("<frozen ", __file__, os.path.dirname(importlib.__file__))
    frames = [frame for frame in frames if not frame[0].startswith(machinery)]
    return traceback.format_list(frames)


def describe(error, request_id=""):
    if isinstance(error, Fault):
        error_type, trace = error.error_type, error.trace
    else:
        # As tuples, frames are printed without marks under the code.
        frames = [tuple(frame) for frame in traceback.extract_tb(error.__traceback__)]
        while len(frames) > 1 and frames[0][0] == __file__:
            del frames[0]
        error_type, trace = type(error).__name__, traceback.format_list(frames)
    return {
        "errorMessage": str(error),
        "errorType": error_type,
        "requestId": request_id,
        "stackTrace": trace,
    }


def log_error(error, description):
    """One line: a log shows which line belongs to which function, not which lines to each other."""
    lines = [f"[ERROR] {description['errorType']}: {description['errorMessage']}"]
    trace = getattr(error, "shown", None) or description["stackTrace"]
    if trace:
        lines += ["Traceback (most recent call last):", *trace]
    lines = "\n".join(lines).splitlines()
    print("\t".join(filter(None, lines)), flush=True)


def missing_sdk(error, folder):
    """Lambda's runtime brings the AWS SDK; this machine may not have it."""
    name = (getattr(error, "name", None) or "").split(".")[0]
    if not isinstance(error, ModuleNotFoundError) or name not in ("boto3", "botocore"):
        return ""
    where = f" -t {folder}`" if folder else "`"
    return (
        f"\nLambda's runtime brings {name}; on this machine run "
        f"`{sys.executable} -m pip install {name}{where}"
    )


# ---- JSON


class Encoder(json.JSONEncoder):
    """Lambda's runtime writes a Decimal as a number and bytes as text."""

    def __init__(self):
        version = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")[2]
        is_ascii = not (version.isdigit() and int(version) >= 12)
        super().__init__(ensure_ascii=is_ascii)

    def default(self, value):
        if isinstance(value, decimal.Decimal):
            if value.is_nan():
                return math.nan
            # Written as a text that occurs nowhere else, and put in as a number at the end.
            current.numbers = getattr(current, "numbers", None) or {}
            mark = secrets.token_hex(16)
            current.numbers[mark] = str(value)
            return mark
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8")
        return super().default(value)

    def encode(self, value):
        try:
            text = super().encode(value)
            for mark, number in (getattr(current, "numbers", None) or {}).items():
                text = text.replace(f'"{mark}"', number)
            return text
        finally:
            current.numbers = None


def marshal(encoder, result):
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return encoder.encode(result).encode("utf-8", "surrogatepass"), "application/json"
    except Exception as error:
        raise Fault("MarshalError", f"Unable to marshal response: {error}") from None


# ---- Runtime API


class Connection:
    """One connection. The answer to an event and the request for the next one go out in one
    write."""

    def __init__(self):
        self.host = os.environ["AWS_LAMBDA_RUNTIME_API"]
        name, port = self.host.rsplit(":", 1)
        self.socket = socket.create_connection((name, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self.request_next = f"GET {API}invocation/next HTTP/1.1\r\nHost: {self.host}\r\n\r\n"

    def next(self):
        self.socket.sendall(self.request_next.encode())
        return self.receive()

    def answer(self, path, headers, body):
        self.socket.sendall(self.post(path, headers, body))
        self.receive()

    def answer_and_next(self, path, headers, body):
        self.socket.sendall(self.post(path, headers, body) + self.request_next.encode())
        self.receive()
        return self.receive()

    def post(self, path, headers, body):
        head = f"POST {API}{path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: {len(body)}\r\n"
        for name, value in headers.items():
            # Types of errors come from the function's code: they must not end the header.
            value = "".join(letter for letter in str(value) if " " <= letter <= "~")[:256]
            head += f"{name}: {value}\r\n"
        return f"{head}\r\n".encode() + body

    def receive(self):
        status_line = self.reader.readline()
        if not status_line:
            os._exit(1)  # without the Runtime API there is nothing left to do
        headers = {}
        for line in iter(self.reader.readline, b"\r\n"):
            if not line:
                os._exit(1)
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = self.reader.read(int(headers.get("content-length", 0)))
        return int(status_line.split(b" ")[1]), headers, body


# ---- context


class Bag:
    """An object of these members; what a dictionary lacks is None."""

    def __init__(self, names, values):
        for name in names:
            setattr(self, name, values.get(name))

    def __repr__(self):
        members = ",".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}([{members}])"


class CognitoIdentity(Bag):
    def __init__(self, values):
        super().__init__((), {})
        self.cognito_identity_id = values.get("cognitoIdentityId")
        self.cognito_identity_pool_id = values.get("cognitoIdentityPoolId")


class Client(Bag):
    pass


class ClientContext(Bag):
    CLIENT = ("installation_id", "app_title", "app_version_name", "app_version_code")

    def __init__(self, values):
        super().__init__(("custom", "env", "client"), values)
        if self.client is not None:
            self.client = Client((*self.CLIENT, "app_package_name"), self.client)


class LambdaContext(Bag):
    def __init__(self, headers):
        super().__init__((), {})
        environment = os.environ
        client_context = parse_header(headers, "lambda-runtime-client-context", "Client Context")
        identity = parse_header(headers, "lambda-runtime-cognito-identity", "Cognito Identity")
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.log_group_name = environment.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environment.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environment.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environment.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.client_context = client_context and ClientContext(client_context)
        self.identity = CognitoIdentity(identity or {})
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", 0))

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))


def parse_header(headers, name, title):
    text = headers.get(name)
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"Unable to parse {title} JSON: {error}"
        raise Fault("LambdaContextUnmarshalError", message) from None


# ---- loading


def load_handler(name, folder):
    module_name, _, function = name.rpartition(".")
    if not module_name and "." not in name:
        message = f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        raise Fault("MalformedHandlerName", message)
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = f"Cannot use built-in module {module_name} as a handler module"
        raise Fault("BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}{missing_sdk(error, folder)}"
        raise Fault("ImportModuleError", message, shown=own_frames(error)) from None
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        message = f"Syntax error in module '{module_name}': {error}"
        raise Fault("UserCodeSyntaxError", message, trace) from None
    if not hasattr(module, function):
        message = f"Handler '{function}' missing on module '{module_name}'"
        raise Fault("HandlerNotFound", message)
    return getattr(module, function)


def set_module_paths(settings):
    """The function's folder, its layers, what Python has, what else the machine has. The folder of
    this file is no place for modules."""
    own = os.path.dirname(os.path.abspath(__file__))
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != own]
    before = [os.environ["LAMBDA_TASK_ROOT"], *settings.get("before", [])]
    sys.path[:] = before + path + settings.get("after", [])


# ---- logging


class RequestId(logging.Filter):
    def filter(self, record):
        record.aws_request_id = getattr(current, "request_id", "")
        return True


class Handler(logging.StreamHandler):
    """Writes to what `sys.stdout` is now; functions and their tests replace it."""

    def __init__(self):
        logging.Handler.__init__(self)

    @property
    def stream(self):
        return sys.stdout


def set_up_logging():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    logging.Formatter.converter = time.gmtime
    handler = Handler()
    handler.setFormatter(
        logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s",
            "%Y-%m-%dT%H:%M:%S",
        )
    )
    handler.addFilter(RequestId())
    logging.getLogger().addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        logging.getLogger().setLevel(level)


# ---- invocations


def error_headers(description):
    return {
        "Content-Type": "application/vnd.aws.lambda.error+json",
        "Lambda-Runtime-Function-Error-Type": description["errorType"],
    }


def serve(handler, concurrency):
    connection = Connection()
    encoder = Encoder()
    status, headers, body = connection.next()
    while status == 200:
        request_id = headers.get("lambda-runtime-aws-request-id", "")
        current.request_id = request_id
        if concurrency == 1:
            if "lambda-runtime-trace-id" in headers:
                os.environ["_X_AMZN_TRACE_ID"] = headers["lambda-runtime-trace-id"]
            else:
                os.environ.pop("_X_AMZN_TRACE_ID", None)
        kind, answer_headers, answer = handle(handler, encoder, headers, body)
        if "lambda-runtime-invocation-id" in headers:
            answer_headers["Lambda-Runtime-Invocation-Id"] = headers["lambda-runtime-invocation-id"]
        flush()
        path = f"invocation/{request_id}/{kind}"
        status, headers, body = connection.answer_and_next(path, answer_headers, answer)
    os._exit(1)


def handle(handler, encoder, headers, body):
    try:
        context = LambdaContext(headers)
        try:
            event = json.loads(body)
        except ValueError as error:
            raise Fault("UnmarshalError", f"Unable to unmarshal input: {error}") from None
        answer, content_type = marshal(encoder, handler(event, context))
        return "response", {"Content-Type": content_type}, answer
    except Exception as error:
        description = describe(error, headers.get("lambda-runtime-aws-request-id", ""))
        log_error(error, description)
        return "error", error_headers(description), Encoder().encode(description).encode()


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the function replaced or closed it


def serve_in_thread(handler, concurrency):
    """An exit in a thread ends the process, as it does without threads."""
    try:
        serve(handler, concurrency)
    except SystemExit as leaving:
        flush()
        code = leaving.code
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
    except BaseException:
        traceback.print_exc()
        flush()
        os._exit(1)


def main():
    settings = take_settings()
    set_module_paths(settings)
    set_up_logging()
    if settings.get("redirect"):
        redirect(**settings["redirect"])
    try:
        handler = load_handler(os.environ["_HANDLER"], settings.get("folder"))
    except Exception as error:
        description = describe(error)
        log_error(error, description)
        flush()
        body = Encoder().encode(description).encode()
        Connection().answer("init/error", error_headers(description), body)
        sys.exit(1)
    concurrency = int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", 1))
    for _ in range(concurrency - 1):
        arguments = (handler, concurrency)
        threading.Thread(target=serve_in_thread, args=arguments, daemon=True).start()
    if concurrency == 1:
        serve(handler, concurrency)
    else:
        serve_in_thread(handler, concurrency)


if __name__ == "__main__":
    main()
