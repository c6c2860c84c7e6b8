"""A real browser, driven over its debugging protocol by a test.

browser.py BROWSER TEST ADMIN PROXY FOLDER

Runs the test of that name against the page at ADMIN, with requests to PROXY.
FOLDER is that of the manifest: workloads wait for the file `go` in it. With
REVEILLE_TEST_SCREENSHOTS the pictures of the README are written there.
"""
import atexit
import base64
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from websockets.sync.client import connect

PATIENCE = 60


class Navigated(Exception):
    """The page that was asked is gone: another one is being opened."""


class Page:
    """One page of a browser of its own."""

    def __init__(self, browser):
        self.folder = tempfile.TemporaryDirectory()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio",
                 "--disable-background-networking", "--remote-debugging-port=0",
                 f"--user-data-dir={self.folder.name}", "about:blank"]
        # Debian's is a script that starts it: it gets a group of its own to end.
        self.process = subprocess.Popen([browser, *flags], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, start_new_session=True)
        atexit.register(self.close)
        for line in self.process.stderr:
            found = re.search(r"DevTools listening on (ws://\S+)", line)
            if found:
                break
        else:
            raise SystemExit("the browser does not start")
        # Whatever else it says must not fill the pipe.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        lines = contextlib.ExitStack()
        self.line = lines.enter_context(connect(
            found[1], max_size=None, open_timeout=PATIENCE, ping_interval=None))
        self.number, self.session = 0, None
        self.problems, self.urls = [], []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """Asks the browser, and takes note of what it tells meanwhile."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.line.send(json.dumps(message))
        while True:
            said = json.loads(self.line.recv(timeout=PATIENCE))
            if said.get("id") == self.number:
                if "error" in said and "navigated" in said["error"].get("message", ""):
                    raise Navigated
                if "error" in said:
                    raise SystemExit(f"{method}: {said['error']}")
                return said["result"]
            self.note(said)

    def note(self, said):
        method, params = said.get("method"), said.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(json.dumps(params["entry"]))
        elif method == "Network.requestWillBeSent":
            self.urls.append(params["request"]["url"])

    def js(self, expression):
        """The value of an expression."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True,
                          awaitPromise=True)
        if "exceptionDetails" in answer:
            raise SystemExit(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression, what=None):
        """Waits until an expression is true; gives its value."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(Navigated):
                if value := self.js(expression):
                    return value
            time.sleep(0.02)
        shown = self.js("document.body.innerText")
        raise SystemExit(f"waited in vain until {what or expression}; problems: {self.problems}; "
                         f"the page says:\n{shown}")

    def key(self, key, code=0, text=""):
        for kind in ["keyDown", "keyUp"]:
            more = {"text": text} if text and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                     windowsVirtualKeyCode=code, **more)

    def type(self, text):
        self.ask("Input.insertText", text=text)

    def open(self, url):
        self.ask("Page.navigate", url=url)

    def reload(self):
        """Opens the page again; nothing is seen of the one before."""
        self.js("window.before = true")
        self.ask("Page.reload")
        self.until("window.before === undefined && document.readyState === 'complete'")

    def size(self, width, height, is_phone=False):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=is_phone)

    def media(self, **features):
        features = [{"name": name.replace("_", "-"), "value": value}
                    for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", features=features)

    def picture(self, name):
        folder = os.environ.get("REVEILLE_TEST_SCREENSHOTS")
        data = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        check(len(data) < 150_000, f"{name} has {len(data)} bytes")
        if folder:
            with open(os.path.join(folder, f"{name}.png"), "wb") as file:
                file.write(data)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.folder.cleanup()


def check(holds, what):
    if not holds:
        raise SystemExit(what)


def text_of(selector):
    return f"(document.querySelector({json.dumps(selector)})?.innerText ?? '')"


def row(name):
    """The text of a target's row."""
    return (f"([...document.querySelectorAll('#rows tr')]"
            f".find(row => row.querySelector('a').textContent === {json.dumps(name)})?.innerText ?? '')")


def request(proxy, host, path="/", answers=None):
    """A request in a thread of its own."""
    def run():
        connection = http.client.HTTPConnection(proxy, timeout=PATIENCE)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
        answers.append(answer.status)
    answers = [] if answers is None else answers
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, answers


# The lowest contrast of all visible text with what it is on (WCAG 2, 1.4.3).
CONTRAST = """(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = channels(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  let worst = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const box = element.getBoundingClientRect();
    if (!hasText || box.width < 2 || box.height < 2 || element.closest("noscript, svg")) continue;
    const [one, other] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < worst[0]) worst = [ratio, `${element.tagName} ${element.textContent.slice(0, 40)}`];
  }
  return worst;
})()"""


def test_wake(page, admin, proxy, folder):
    """Renders, follows a wake as it happens, and is told in words."""
    page.size(1100, 900)
    page.open(f"http://{admin}/")
    page.until("document.querySelectorAll('#rows tr').length === 3", "three targets are shown")
    check(page.js("location.pathname") == "/ui", "the root leads to the page")
    check("cold" in page.js(row("default/web")), page.js(row("default/web")))
    check("3 targets: 1 warm, 2 cold" in page.until(text_of("#line")), page.js(text_of("#line")))

    page.js("[...document.querySelectorAll('#rows a')].find(a => a.textContent === 'default/web').click()")
    page.until(f"({text_of('#next')}).includes('the next request wakes it')")
    thread, answers = request(proxy, "web.test", "/wait/answer")
    page.until(f"({row('default/web')}).includes('waking')", "it is seen waking")
    why = page.until(f"({text_of('#why')}).includes('by GET web.test/wait/answer') && {text_of('#why')}")
    check("1 request waits for an endpoint" in why, why)
    page.until(f"({row('default/web')}).split(/\\s+/).join(' ').includes('0 of 1 0 1 1')",
               "its row has a replica wanted, a request in flight and held")
    check(not answers, "nobody has answered yet")
    page.picture("waking")
    open(os.path.join(folder, "go"), "w").close()
    page.until(f"({row('default/web')}).includes('warm')", "it is seen warm")
    open(os.path.join(folder, "answer"), "w").close()
    thread.join()
    check(answers == [200], f"{answers}")
    for word in ["woken by GET web.test/wait/answer", "first endpoint", "1 held request released"]:
        page.until(f"({text_of('#events')}).includes({json.dumps(word)})")
    for word in ["Requests: 1,", "Activations: 1.", "Cold starts: 1."]:
        page.until(f"({text_of('#timeline-text')}).includes({json.dumps(word)})")
    page.until("document.querySelectorAll('#timeline svg[role=img][aria-label]').length === 3")
    page.until("document.querySelectorAll('#timeline .wake').length === 1", "its activation is marked")
    page.until(f"({row('default/web')}).includes('active, ')", "what KEDA was told is shown")


def test_looks(page, admin, proxy, folder):
    """Readable in both themes, on a phone, with a keyboard, and by readers."""
    page.size(1100, 900)
    page.media(prefers_color_scheme="light")
    open(os.path.join(folder, "go"), "w").close()
    page.open(f"http://{admin}/#default%2Fweb")
    for _ in range(30):
        request(proxy, "web.test")[0].join()
    page.until("document.querySelectorAll('#events li').length >= 3")
    page.until("document.querySelectorAll('#timeline .wake').length >= 1")
    light = page.js("getComputedStyle(document.body).backgroundColor")
    ratio, where = page.js(CONTRAST)
    check(ratio >= 4.5, f"contrast {ratio} of {where} in the light theme")
    page.picture("light")
    page.media(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
    page.until(f"getComputedStyle(document.body).backgroundColor !== {json.dumps(light)}")
    ratio, where = page.js(CONTRAST)
    check(ratio >= 4.5, f"contrast {ratio} of {where} in the dark theme")
    check(page.js("getComputedStyle(document.querySelector('#rows tr')).transitionDuration") == "0s",
          "nothing moves where that is not wanted")
    page.picture("dark")

    # The button wins over the system, and is remembered.
    page.js("document.getElementById('theme').click()")
    page.until(f"getComputedStyle(document.body).backgroundColor === {json.dumps(light)}")
    page.reload()
    page.until("document.querySelectorAll('#rows tr').length === 3")
    check(page.js("document.documentElement.dataset.theme") == "light", "the theme is remembered")

    page.media(prefers_color_scheme="light")
    page.size(360, 740, is_phone=True)
    page.until("document.querySelectorAll('#timeline svg').length === 3")
    check(page.js("document.documentElement.scrollWidth") <= 360,
          f"{page.js('document.documentElement.scrollWidth')} wide at 360")
    wide = page.js("[...document.querySelectorAll('body *:not(svg *, thead, thead *)')]"
                   ".filter(e => e.getBoundingClientRect().right > 361 && e.getClientRects().length)"
                   ".map(e => e.tagName + '#' + e.id).join()")
    check(not wide, f"out of the picture on a phone: {wide}")
    page.picture("phone")

    page.size(1100, 900)
    page.js("document.activeElement.blur(); window.scrollTo(0, 0)")
    walked = []
    for _ in range(20):
        page.key("Tab", 9)
        if page.js("document.activeElement === document.body"):
            break
        walked.append(page.js("document.activeElement.id || document.activeElement.className "
                              "|| document.activeElement.textContent"))
        check(page.js("getComputedStyle(document.activeElement).outlineStyle") != "none",
              f"the focus is not seen on {walked[-1]}")
    for wanted in ["skip", "theme", "filter", "default/web", "events", "query"]:
        check(wanted in walked, f"{wanted} is not among {walked}")
    order = [walked.index(one) for one in ["skip", "theme", "filter", "default/web", "events", "query"]]
    check(order == sorted(order), f"{walked}")
    page.js("document.getElementById('filter').focus()")
    page.type("always")
    page.until("document.querySelectorAll('#rows tr').length === 1", "the filter filters")
    page.key("Tab", 9)
    page.key("Enter", 13, "\r")
    page.until(f"({text_of('#detail-title')}).startsWith('default/always is warm')")
    page.js("document.activeElement.blur()")
    page.key("/", 191, "/")
    check(page.js("document.activeElement.id") == "filter", "a slash leads to the filter")

    page.ask("Accessibility.enable")
    tree = page.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {node.get("role", {}).get("value") for node in tree if not node.get("ignored")}
    for role in ["banner", "main", "region", "table", "columnheader", "rowheader", "cell", "status",
                 "image", "searchbox"]:
        check(role in roles, f"{role} is not among {sorted(map(str, roles))}")


def test_metrics(page, admin, proxy, folder):
    """The metric explorer; and names that try to be more than names."""
    page.size(1100, 900)
    page.open(f"http://{admin}/#default%2Fhostile")
    page.until(f"({text_of('#demand')}).includes('<img src=x')", "the hostile query is shown as text")
    page.js("document.getElementById('query').value = 'queue_depth'; "
            "document.getElementById('query-form').requestSubmit()")
    page.until(f"({text_of('#query-result')}).includes('<script>window.hacked')",
               "the hostile label is shown as text")
    check("1 series matched" in page.js(text_of("#query-said")), page.js(text_of("#query-said")))
    page.until("document.querySelectorAll('#query-plot svg path').length === 1", "it is plotted")
    page.js("document.getElementById('query').value = 'sum('; "
            "document.getElementById('query-form').requestSubmit()")
    page.until(f"({text_of('#query-said')}).includes('line 1') || ({text_of('#query-said')}).includes('column')",
               "a mistake is pointed at")
    page.js("document.querySelector('#series summary').click()")
    page.until("document.querySelectorAll('#series-list li button').length >= 1")
    page.js("document.querySelector('#series-list button').click()")
    page.until(f"({text_of('#query-result')}).includes('queue_depth')", "a series is a query")
    thread, answers = request(proxy, "always.test", "/%3Cscript%3Ewindow.hacked=1%3C/script%3E")
    thread.join()
    check(page.js("window.hacked") is None, "what was not ours was executed")
    check(page.js("document.querySelectorAll('img, #rows script, main script').length") == 0,
          "an element that is not ours")
    # The browser logs the answer to a query that is wrong; nothing else may be.
    page.problems = [one for one in page.problems if "query=sum%28" not in one]


def test_token(page, admin, proxy, folder):
    """Asks for the token, again if it is wrong, and keeps it for the tab."""
    page.size(1100, 900)
    page.open(f"http://{admin}/")
    page.until("document.getElementById('ask')?.open", "it asks")
    check(page.js("document.querySelectorAll('#rows tr').length") == 0, "nothing is shown before")

    def enter(token):
        page.js(f"document.getElementById('token').value = {json.dumps(token)}; "
                "document.querySelector('#ask-form button').click()")

    enter("not-the-token-at-all")
    page.until("document.getElementById('ask').open && "
               "document.getElementById('ask-said').textContent === 'That was not it.'")
    enter("correct-horse-battery")
    page.until("document.querySelectorAll('#rows tr').length === 3")
    check(not page.js("document.getElementById('ask').open"), "it does not ask again")
    page.reload()
    page.until("document.querySelectorAll('#rows tr').length === 3")
    check(page.js("localStorage.length") == 0, "the token is kept in the tab alone")
    # The browser logs each 401; nothing else may be wrong.
    page.problems = [one for one in page.problems if "401" not in one]


def main():
    browser, name, admin, proxy, folder = sys.argv[1:]
    page = Page(browser)
    globals()[f"test_{name}"](page, admin, proxy, folder)
    page.js("1")
    check(not page.problems, f"the console says: {page.problems}")
    strangers = [url for url in page.urls if not url.startswith((f"http://{admin}/", "about:"))]
    check(not strangers, f"asked elsewhere: {strangers}")


main()
