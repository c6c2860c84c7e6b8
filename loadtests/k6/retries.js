// What do impatient clients do to a target that takes long to wake?
//
// CLIENTS clients, which come within a second, give up after ATTEMPT_MS and ask
// again PAUSE_MS later, at most ATTEMPTS times: each attempt that is given up
// leaves a held request behind, which must vanish with its client. The run fails
// when a client is never served, when one needs longer than COLD_MS, and when
// the application sees more than one request of each client and MOST_EXTRA: those
// of clients that had left (as its X-Requests says, where it does). Where k6 gets
// no processor in time, clients leave also while they are answered.

import http from 'k6/http';
import exec from 'k6/execution';
import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { number, params, start, targets, url } from './lib/options.js';
import { summary } from './lib/summary.js';

const clients = number('CLIENTS', 50, 1, 10000);
const attemptMs = number('ATTEMPT_MS', 500, 10, 600000);
const pause = number('PAUSE_MS', 100, 0, 60000);
const attempts = number('ATTEMPTS', 40, 1, 10000);
const extra = number('MOST_EXTRA', Math.ceil(clients / 10), 0, 1000000);
const coldMs = number('COLD_MS', 20000, 1, 600000);

const servedAfter = new Trend('served_after', true);
const tries = new Trend('attempts');
const seen = new Trend('requests_seen_by_application');
const givenUp = new Counter('attempts_given_up');

export const options = start({
  // What is given up is no warning here, but what this is about.
  throw: true,
  scenarios: {
    impatient: {
      executor: 'per-vu-iterations',
      vus: clients,
      iterations: 1,
      maxDuration: `${Math.ceil((attempts * (attemptMs + pause)) / 1000) + 10}s`,
    },
  },
  thresholds: {
    checks: ['rate==1'],
    served_after: [`max<${coldMs}`],
    attempts: ['med>=1'],
    attempts_given_up: ['count>=0'],
    requests_seen_by_application: [`max<=${clients + extra}`],
  },
});

function attempt(n) {
  try {
    return http.get(url(n), params(n, { timeout: attemptMs }));
  } catch (error) {
    givenUp.add(1);
    return undefined;
  }
}

export default function () {
  const n = exec.vu.idInTest % targets;
  sleep(exec.vu.idInTest / clients);
  const begun = Date.now();
  for (let tried = 1; tried <= attempts; tried += 1) {
    const response = attempt(n);
    if (response && response.status === 200) {
      servedAfter.add(Date.now() - begun);
      tries.add(tried);
      const count = Number(response.headers['X-Requests']);
      if (count > 0) seen.add(count);
      check(response, { served: () => true });
      return;
    }
    sleep(pause / 1000);
  }
  check(null, { served: () => false });
}

export function handleSummary(data) {
  return summary(data, 'retries');
}
