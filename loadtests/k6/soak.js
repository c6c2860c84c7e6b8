// Does it stay well for long: reads, uploads, and targets that fall asleep and
// are woken again and again?
//
// For DURATION_SECONDS: RATE GETs per second to target 0, a tenth of it POSTs
// of POST_BYTES, and a visit to the next of the other targets each
// VISIT_SECONDS, which is long enough for them to fall asleep. The run fails on
// any error, and when p95 of GETs or POSTs is above P95_MS, or of visits above
// VISIT_P95_MS.

import http from 'k6/http';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { clients, dropped, number, params, start, targets, url } from './lib/options.js';
import { expect200, get, isCold, wakeAll } from './lib/requests.js';
import { summary } from './lib/summary.js';

const rate = number('RATE', 50, 1, 100000);
const seconds = number('DURATION_SECONDS', 600, 1, 604800);
const bytes = number('POST_BYTES', 65536, 1, 10000000);
const visit = number('VISIT_SECONDS', 60, 1, 86400);
const p95 = number('P95_MS', 200, 1, 600000);
const visitP95 = number('VISIT_P95_MS', 5000, 1, 600000);

const body = 'x'.repeat(bytes);
const posts = Math.max(1, Math.round(rate / 10));
const woken = new Counter('visits_that_woke');

const constant = (exec_, perSecond, more) =>
  Object.assign(
    {
      executor: 'constant-arrival-rate',
      exec: exec_,
      rate: perSecond,
      duration: `${seconds}s`,
    },
    clients(perSecond),
    more,
  );

export const options = start({
  scenarios: {
    reads: constant('read', rate),
    uploads: constant('upload', posts),
    visits: constant('call', 1, { timeUnit: `${visit}s` }),
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    dropped_iterations: dropped,
    visits_that_woke: ['count>=0'],
    'http_req_waiting{scenario:reads}': [`p(95)<${p95}`],
    'http_req_waiting{scenario:uploads}': [`p(95)<${p95}`],
    'http_req_waiting{scenario:visits}': [`p(95)<${visitP95}`],
  },
});

export const setup = wakeAll;

export function read() {
  get(0);
}

export function upload() {
  expect200(http.post(url(0), body, params(0)));
}

// Target 0 is never asleep; with one target it is visited all the same.
export function call() {
  const others = Math.max(1, targets - 1);
  const n = targets === 1 ? 0 : 1 + (exec.scenario.iterationInTest % others);
  if (isCold(get(n))) woken.add(1);
}

export function handleSummary(data) {
  return summary(data, 'soak');
}
