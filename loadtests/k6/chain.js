// What does a request wait for that goes through services which all sleep?
//
// Target 0 calls target 1 through Reveille before it answers, and so on. One
// request wakes them all; then RATE requests per second for DURATION_SECONDS.
// The run fails on any error, when fewer than LINKS services took part (as the
// answer's X-Links says; 0: does not look), when the first takes longer than
// COLD_MS, and when p95 of the others is above P95_MS.

import { check } from 'k6';
import { Trend } from 'k6/metrics';
import { clients, dropped, number, start, targets } from './lib/options.js';
import { get } from './lib/requests.js';
import { summary } from './lib/summary.js';

const links = number('LINKS', targets, 0, 1000);
const rate = number('RATE', 50, 1, 10000);
const seconds = number('DURATION_SECONDS', 10, 1, 86400);
const coldMs = number('COLD_MS', 10000, 1, 600000);
const p95 = number('P95_MS', 200, 1, 600000);

const waking = new Trend('waking_request', true);

export const options = start({
  scenarios: {
    warm: Object.assign(
      { executor: 'constant-arrival-rate', rate, duration: `${seconds}s` },
      clients(rate),
    ),
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    dropped_iterations: dropped,
    waking_request: [`max<${coldMs}`],
    'http_req_waiting{scenario:warm}': [`p(95)<${p95}`],
  },
});

function call() {
  const response = get(0);
  const took = links === 0 || Number(response.headers['X-Links']) >= links;
  check(response, { 'all links took part': () => took });
  return response;
}

export function setup() {
  waking.add(call().timings.waiting);
}

export default function () {
  call();
}

export function handleSummary(data) {
  return summary(data, 'chain');
}
