// What becomes of a crowd that comes all at once to a target that sleeps?
//
// From nothing to RATE requests per second for DURATION_SECONDS, then 10/s for
// QUIET_SECONDS. The run fails on any error, when the target was not asleep
// (EXPECT_COLD), when p99 of the crowd is above P99_MS, and when p95 of those
// who come later is above P95_MS.

import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { clients, dropped, flag, number, start, targets } from './lib/options.js';
import { get, isCold } from './lib/requests.js';
import { summary } from './lib/summary.js';

const rate = number('RATE', 500, 1, 100000);
const seconds = number('DURATION_SECONDS', 20, 1, 86400);
const quiet = number('QUIET_SECONDS', 5, 1, 3600);
const p99 = number('P99_MS', 5000, 1, 600000);
const p95 = number('P95_MS', 200, 1, 600000);
const expectCold = flag('EXPECT_COLD', true);

const cold = new Counter('cold_answers');

export const options = start({
  scenarios: {
    crowd: Object.assign(
      { executor: 'constant-arrival-rate', rate, duration: `${seconds}s` },
      clients(rate),
    ),
    after: {
      executor: 'constant-arrival-rate',
      rate: 10,
      duration: `${quiet}s`,
      startTime: `${seconds}s`,
      preAllocatedVUs: 20,
    },
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    dropped_iterations: dropped,
    cold_answers: [`count>=${expectCold ? 1 : 0}`],
    'http_req_waiting{scenario:crowd}': [`p(99)<${p99}`],
    'http_req_waiting{scenario:after}': [`p(95)<${p95}`],
  },
});

export default function () {
  const response = get(exec.scenario.iterationInTest % targets);
  if (isCold(response)) cold.add(1);
}

export function handleSummary(data) {
  return summary(data, 'spike');
}
