#!/usr/bin/env python3
"""Plays the Dapr sidecars of pythonapp and nodeapp for a local run of Reveille.

Each caller calls nodeapp at a steady rate. Whether nodeapp is awake is asked of Reveille's admin
server. As daprd does, each sidecar shows its counters under /metrics on a port of its own; the
ports are listed in the file of --targets, which a MetricSource follows.

    GET  /                      what is going on, as JSON
    POST /?callers=3&rate=1     other callers, other calls a second of each

Names, labels and moments are those of daprd 1.18. Nothing here speaks Dapr's protocols.
"""

import argparse
import http.client
import http.server
import json
import os
import re
import threading
import time
import urllib.parse

# How often the state of nodeapp is asked for, and how often callers look at the clock.
TICK = 0.1


class Counters:
    """The counters of one sidecar. As in daprd, a row is there after its first event."""

    def __init__(self, app_id):
        self.app_id = app_id
        self.started = time.time()
        self.rows = {}
        self.lock = threading.Lock()

    def add(self, metric, /, **labels):
        pairs = sorted({"app_id": self.app_id, **labels}.items())
        row = ",".join(f'{key}="{value}"' for key, value in pairs)
        with self.lock:
            family = self.rows.setdefault(metric, {})
            family[row] = family.get(row, 0) + 1

    def page(self):
        lines = []
        with self.lock:
            for name, family in sorted(self.rows.items()):
                lines.append(f"# TYPE dapr_{name} counter")
                lines += [f"dapr_{name}{{{row}}} {count}" for row, count in sorted(family.items())]
        lines.append("# TYPE process_start_time_seconds gauge")
        lines.append(f"process_start_time_seconds {self.started!r}")
        return "\n".join(lines) + "\n"


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(self.server.counters.page(), "text/plain; version=0.0.4; charset=utf-8")

    def answer(self, text, kind, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Scrapes keep their connection; nobody waits for them at the end.
    block_on_close = False


class Sidecar:
    """Counters and the port that shows them."""

    def __init__(self, app_id):
        self.counters = Counters(app_id)
        self.server = Server(("127.0.0.1", 0), Page)
        self.server.counters = self.counters
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def address(self):
        return "127.0.0.1:%d" % self.server.server_address[1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Caller(Sidecar):
    """One replica of pythonapp, which posts to /neworder by the header dapr-app-id."""

    def __init__(self):
        super().__init__("pythonapp")
        self.next_call = 0
        # When each call that is repeated is tried again.
        self.waiting = []

    def begin(self, number, now, rate):
        """From now on it calls so often; the first one at once, the others in between."""
        self.next_call = now + number * 0.382 % 1 / rate if rate > 0 else now


class World:
    def __init__(self, options):
        self.options = options
        self.callers = []
        self.replicas = []
        self.wanted, self.rate = options.callers, options.rate
        self.lock = threading.Lock()
        self.turn = 0
        self.made = self.failed = self.served = 0
        self.probed = time.monotonic()

    def set(self, callers, rate):
        with self.lock:
            now = time.monotonic()
            if rate != self.rate:
                for number, caller in enumerate(self.callers):
                    caller.begin(number, now, rate)
            self.wanted, self.rate = callers, rate

    def tick(self, awake):
        with self.lock:
            now = time.monotonic()
            changed = self.resize(self.callers, self.wanted, self.caller)
            changed |= self.resize(self.replicas, awake, lambda _: Sidecar("nodeapp"))
            if changed:
                self.list_targets()
            while self.probed + 1 <= now:
                # The kubelet's probes count as requests to daprd.
                self.probed += 1
                for caller in self.callers:
                    self.request(caller, "GET", "/v1.0/healthz", 204)
            for caller in self.callers:
                while self.rate > 0 and caller.next_call <= now:
                    caller.next_call += 1 / self.rate
                    self.call(caller, now)
                due = [at for at in caller.waiting if at <= now]
                caller.waiting = [at for at in caller.waiting if at > now]
                for _ in due:
                    self.attempt(caller, now, first=False)

    def caller(self, number):
        caller = Caller()
        caller.begin(number, time.monotonic(), self.rate)
        return caller

    def resize(self, sidecars, count, make):
        before = len(sidecars)
        while len(sidecars) < count:
            sidecars.append(make(len(sidecars)))
        while len(sidecars) > count:
            sidecars.pop().stop()
        return len(sidecars) != before

    def list_targets(self):
        lines = [sidecar.address() for sidecar in self.callers + self.replicas]
        partial = self.options.targets + ".partial"
        with open(partial, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        os.replace(partial, self.options.targets)

    def call(self, caller, now):
        self.made += 1
        if self.options.retry:
            self.policy(caller, "resiliency_count", "retry")
        if self.options.retry or self.options.meter:
            self.policy(caller, "resiliency_count", "timeout")
        if self.options.proxy:
            threading.Thread(target=self.through_proxy, args=(caller,), daemon=True).start()
        else:
            self.attempt(caller, now, first=True)

    def attempt(self, caller, now, first):
        if not self.replicas:
            # Its name leads nowhere: nothing was sent.
            if self.options.retry:
                if first:
                    self.policy(caller, "resiliency_activations_total", "retry")
                caller.waiting.append(now + 0.5)
            else:
                self.failed += 1
                self.request(caller, "POST", "/neworder", 500)
            return
        self.sent(caller)
        replica = self.replicas[self.turn % len(self.replicas)]
        self.turn += 1
        replica.counters.add(
            "runtime_service_invocation_req_recv_total", src_app_id="pythonapp")
        self.answered(caller)

    def through_proxy(self, caller):
        """A call that an HTTPEndpoint leads to Reveille's proxy, which may hold it."""
        host, port = self.options.proxy.rsplit(":", 1)
        self.sent(caller)
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            # `reveille hello` plays nodeapp, and has only this page.
            connection.request("GET", "/", headers={"Host": "nodeapp-held.default"})
            status = connection.getresponse().status
        except OSError:
            status = 500
        finally:
            connection.close()
        with self.lock:
            if status == 200:
                self.answered(caller)
            else:
                self.failed += 1
                self.request(caller, "POST", "/neworder", status)

    def sent(self, caller):
        caller.counters.add(
            "runtime_service_invocation_req_sent_total", dst_app_id="nodeapp", type="unary")

    def answered(self, caller):
        self.served += 1
        caller.counters.add(
            "runtime_service_invocation_res_recv_total",
            src_app_id="nodeapp", status="200", type="unary")
        self.request(caller, "POST", "/neworder", 200)

    def policy(self, caller, metric, policy):
        caller.counters.add(
            metric, flow_direction="outbound", name="demo", namespace="default",
            policy=policy, status="", target="app_nodeapp")

    def request(self, caller, method, path, status):
        for name in ("http_server_request_count", "http_server_response_count"):
            caller.counters.add(name, method=method, path=path, status=str(status))

    def state(self):
        with self.lock:
            return {
                "callers": len(self.callers), "rate": self.rate,
                "replicas": len(self.replicas), "made": self.made, "served": self.served,
                "failed": self.failed,
                "waiting": sum(len(caller.waiting) for caller in self.callers),
            }


class Control(Page):
    def do_GET(self):
        self.answer(json.dumps(self.server.world.state()) + "\n", "application/json")

    def do_POST(self):
        given = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        world = self.server.world
        try:
            callers = int(given.get("callers", world.wanted))
            rate = float(given.get("rate", world.rate))
            if not (0 <= callers <= 100 and 0 <= rate <= 1000):
                raise ValueError("callers are 0 to 100, calls a second 0 to 1000")
        except ValueError as error:
            self.answer(f"{error}\n", "text/plain", 400)
            return
        world.set(callers, rate)
        self.do_GET()


READY = re.compile(r'^reveille_replicas\{state="ready",workload="default/nodeapp"\} (\d+)', re.M)


def awake(admin):
    """How many replicas of nodeapp serve; none while nobody can say."""
    host, port = admin.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("GET", "/metrics")
        found = READY.search(connection.getresponse().read().decode())
        return int(found.group(1)) if found else 0
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--callers", type=int, default=1, help="replicas of pythonapp (1)")
    parser.add_argument("--rate", type=float, default=1, help="calls a second of each (1)")
    parser.add_argument("--retry", action="store_true", help="calls are repeated until served")
    parser.add_argument("--meter", action="store_true", help="the demand meter is applied")
    parser.add_argument("--proxy", help="an HTTPEndpoint leads calls to this address")
    parser.add_argument("--admin", default="127.0.0.1:9901", help="Reveille's admin server")
    parser.add_argument("--control", default="127.0.0.1:9180", help="where this is controlled")
    parser.add_argument(
        "--targets", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "targets.txt"))
    options = parser.parse_args()
    world = World(options)
    host, port = options.control.rsplit(":", 1)
    control = Server((host, int(port)), Control)
    control.world = world
    world.tick(0)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    print("control: http://%s:%d/" % control.server_address[:2], flush=True)
    while True:
        world.tick(awake(options.admin))
        time.sleep(TICK)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
