"""CloudWatch's GetMetricData on loopback, so that a benchmark counts the calls and times the client.

It answers in JSON, as botocore asks, the points of each query in turn, at most 100,800 in a page, and 20 ms after it
was asked: a round trip within a region. It checks no signature and keeps nothing. ``python -m
tests.benchmarks.cloudwatch_stub`` prints its port and serves until its standard input ends.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE_POINTS = 100_800
ROUND_TRIP_SECONDS = 0.02


def page(asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request: the points from its token on, which is the number of the first."""
    queries = asked["MetricDataQueries"]
    period = queries[0]["MetricStat"]["Period"]
    each = int((asked["EndTime"] - asked["StartTime"]) / period)
    first = int(asked.get("NextToken", 0))
    last = min(first + PAGE_POINTS, each * len(queries))
    results = []
    for index in range(first // each, -(-last // each)):
        points = range(max(0, first - index * each), min(each, last - index * each))
        results.append(
            {
                "Id": queries[index]["Id"],
                "Timestamps": [asked["StartTime"] + period * point for point in points],
                "Values": [1000.5 + point % 97 for point in points],
                "StatusCode": "Complete" if points.stop == each else "PartialData",
            }
        )
    more = {"NextToken": str(last)} if last < each * len(queries) else {}
    return {"MetricDataResults": results, **more}


class Handler(BaseHTTPRequestHandler):
    """One operation."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def do_POST(self) -> None:
        """Answer GetMetricData, no sooner than a round trip after it came."""
        began = time.monotonic()
        content = json.dumps(page(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))).encode()
        time.sleep(max(0.0, ROUND_TRIP_SECONDS - (time.monotonic() - began)))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def main() -> None:
    """Serve until standard input ends, which it does when the parent does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
