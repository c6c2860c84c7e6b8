// How long does the first byte of a first answer take, as a client sees it?
//
// Each iteration sends one request to the next of TARGETS sleeping targets, so
// each target is woken once. The run fails on any error, when a target was
// not asleep (EXPECT_COLD), and when p95 is above P95_MS.

import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { flag, number, start, targets, timeoutSeconds } from './lib/options.js';
import { get, isCold } from './lib/requests.js';
import { summary } from './lib/summary.js';

const parallel = Math.min(number('PARALLEL', 1, 1, 1000), targets);
const expectCold = flag('EXPECT_COLD', true);
const p95 = number('P95_MS', 1000, 1, 600000);

const firstByte = new Trend('cold_start_first_byte', true);
const notCold = new Counter('targets_not_asleep');

export const options = start({
  scenarios: {
    wake: {
      executor: 'shared-iterations',
      vus: parallel,
      iterations: targets,
      maxDuration: `${timeoutSeconds + targets * 10}s`,
    },
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    targets_not_asleep: ['count==0'],
    cold_start_first_byte: [`p(95)<${p95}`],
    // Iterations that never ran are errors, too.
    iterations: [`count==${targets}`],
  },
});

export default function () {
  const response = get(exec.scenario.iterationInTest);
  if (response.status !== 200) return;
  firstByte.add(response.timings.waiting);
  if (expectCold && !isCold(response)) notCold.add(1);
}

export function handleSummary(data) {
  return summary(data, 'cold_start');
}
