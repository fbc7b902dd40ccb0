"""libcurl with ngtcp2 and nghttp3, as pycurl's wheel carries it: a client for the interoperability runs.

Prints a line for each answer, whose body goes to a file named as the last part of the path; exit code 0 means that all came over HTTP/3, with status 200, on one connection.
"""

import argparse
import pathlib
import sys

import pycurl

# libcurl names them, pycurl's module does not name all of them.
HTTP_VERSION_3_ONLY = 31
INFO_HTTP_VERSION_3 = 30


def main() -> int:
    options = parse()
    if "nghttp3" not in pycurl.version:
        print(f"failed this libcurl has no HTTP/3: {pycurl.version}")
        return 1
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_PIPELINING, 2)  # CURLPIPE_MULTIPLEX
    multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
    multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1000)
    failures = []
    # With --one-by-one, the first request finds no table yet, and those after it do.
    for paths in [[path] for path in options.path] if options.one_by_one else [options.path]:
        failures += fetch(options, multi, paths)
    for failure in failures:
        print(f"failed {failure}")
    return 1 if failures else 0


answered = 0
connects = 0


def fetch(options: argparse.Namespace, multi: pycurl.CurlMulti, paths: list[str]) -> list[str]:
    global answered, connects
    running = [request(options, path, answered + number) for number, path in enumerate(paths)]
    for curl in running:
        multi.add_handle(curl)
    left = len(running)
    while left:
        multi.perform()
        _, left = multi.perform()
        multi.select(0.2)
    failures = []
    _, _, failed = multi.info_read(len(running))
    failures += [f"{text} ({code})" for _, code, text in failed]
    for curl in running:
        status, version = curl.getinfo(pycurl.RESPONSE_CODE), curl.getinfo(pycurl.INFO_HTTP_VERSION)
        connects += curl.getinfo(pycurl.NUM_CONNECTS)
        size = int(curl.getinfo(pycurl.SIZE_DOWNLOAD))
        print(f"answer {curl.number} status={status} bytes={size} version={version}")
        for line in curl.fields:
            print(f"field {line}")
        if status != 200 or version != INFO_HTTP_VERSION_3:
            failures.append(f"answer {curl.number}: status {status}, HTTP version {version}")
        multi.remove_handle(curl)
        curl.file.close()
        if curl.body:
            curl.body.close()
        curl.close()
    answered += len(running)
    if connects > 1:
        failures.append(f"{connects} connections were made")
    return failures


class Request(pycurl.Curl):
    """Room for what belongs to a request."""


def request(options: argparse.Namespace, path: str, number: int) -> pycurl.Curl:
    curl = Request()
    curl.number, curl.fields, curl.body = number, [], None
    port = options.address.rsplit(":", 1)[1]
    curl.setopt(pycurl.URL, f"https://localhost:{port}{path}")
    curl.setopt(pycurl.RESOLVE, [f"localhost:{port}:127.0.0.1"])
    curl.setopt(pycurl.HTTP_VERSION, HTTP_VERSION_3_ONLY)
    curl.setopt(pycurl.CAINFO, options.cacert)
    curl.setopt(pycurl.TIMEOUT, 60)
    curl.setopt(pycurl.PIPEWAIT, 1)
    curl.setopt(pycurl.NOPROGRESS, True)
    curl.setopt(pycurl.VERBOSE, options.verbose)
    fields = [f"priority: {options.priority}"] if options.priority else []
    # Long, and the same in each request: worth an entry of the dynamic table.
    fields += [f"x-interop-{letter}: {letter * 40}" for letter in "abc"] if options.one_by_one else []
    curl.file = open(pathlib.Path(options.output) / path.rsplit("/", 1)[1], "wb")
    curl.setopt(pycurl.WRITEDATA, curl.file)
    if options.post:
        curl.body = open(options.post, "rb")
        curl.setopt(pycurl.POST, True)
        curl.setopt(pycurl.READDATA, curl.body)
        curl.setopt(pycurl.POSTFIELDSIZE_LARGE, pathlib.Path(options.post).stat().st_size)
        fields.append("content-type: application/octet-stream")
    curl.setopt(pycurl.HTTPHEADER, fields)
    curl.setopt(pycurl.HEADERFUNCTION, lambda line: curl.fields.append(line.decode(errors="replace").strip()) if options.verbose else None)
    return curl


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    client = parser.add_subparsers(dest="role", required=True).add_parser("client")
    client.add_argument("address")
    for name in ("--cacert", "--output", "--post", "--priority"):
        client.add_argument(name)
    client.add_argument("--path", action="append", default=[])
    for name in ("--one-by-one", "--verbose"):
        client.add_argument(name, action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
