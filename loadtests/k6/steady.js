// Does an awake target hold up at a constant rate?
//
// RATE requests per second, spread over TARGETS targets, for DURATION_SECONDS.
// All are woken before. The run fails on any error, on requests that k6 could
// not send in time, and when p95 is above P95_MS.

import exec from 'k6/execution';
import { clients, dropped, number, start, targets } from './lib/options.js';
import { get, wakeAll } from './lib/requests.js';
import { summary } from './lib/summary.js';

const rate = number('RATE', 200, 1, 100000);
const seconds = number('DURATION_SECONDS', 30, 1, 86400);
const p95 = number('P95_MS', 200, 1, 600000);

export const options = start({
  scenarios: {
    steady: Object.assign(
      { executor: 'constant-arrival-rate', rate, duration: `${seconds}s` },
      clients(rate),
    ),
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    dropped_iterations: dropped,
    'http_req_waiting{scenario:steady}': [`p(95)<${p95}`],
  },
});

export const setup = wakeAll;

export default function () {
  get(exec.scenario.iterationInTest % targets);
}

export function handleSummary(data) {
  return summary(data, 'steady');
}
