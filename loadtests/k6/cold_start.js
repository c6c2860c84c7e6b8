// How long the first byte of a first answer takes, as a client sees it.
//
// Each iteration sends one request to the next of TARGETS sleeping targets, so
// each target is woken once. The run fails on any error, when a target was
// not asleep (EXPECT_COLD), and when p95 is above P95_MS.

import http from 'k6/http';
import exec from 'k6/execution';
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { baseUrl, common, hostHeader, number, text } from './lib/options.js';

const targets = number('TARGETS', 1);
const parallel = Math.min(number('PARALLEL', 1), targets);
const expectCold = text('EXPECT_COLD', '1') !== '0';
const path = text('REQUEST_PATH', '/');
const timeoutSeconds = number('TIMEOUT_SECONDS', 60);

const firstByte = new Trend('cold_start_first_byte', true);
const notCold = new Counter('targets_not_asleep');

export const options = {
  ...common,
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
    cold_start_first_byte: [`p(95)<${number('P95_MS', 1000)}`],
    // Iterations that never ran are errors, too.
    iterations: [`count==${targets}`],
  },
};

export default function () {
  const response = http.get(`${baseUrl}${path}`, {
    headers: { Host: hostHeader(exec.scenario.iterationInTest) },
    timeout: `${timeoutSeconds}s`,
  });
  const good = check(response, { 'status is 200': (r) => r.status === 200 });
  if (!good) {
    console.error(`status ${response.status} ${response.error}`);
    return;
  }
  firstByte.add(response.timings.waiting);
  if (expectCold && response.headers['X-Keda-Http-Cold-Start'] !== 'true') {
    notCold.add(1);
  }
}
