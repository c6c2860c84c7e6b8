// Do replicas come and go with the load, without errors?
//
// A warm-up at a tenth of RATE wakes the target; then the rate grows to RATE
// over RAMP_SECONDS, stays for HOLD_SECONDS, and cools down to a tenth. The run
// fails on any error, and when p95 of the ramp is above P95_MS; the warm-up,
// which has the cold start, has only TIMEOUT_SECONDS.

import exec from 'k6/execution';
import { clients, dropped, number, start, targets } from './lib/options.js';
import { get } from './lib/requests.js';
import { summary } from './lib/summary.js';

const rate = number('RATE', 200, 1, 100000);
const warmUp = number('WARM_UP_SECONDS', 10, 1, 3600);
const ramp = number('RAMP_SECONDS', 30, 1, 86400);
const hold = number('HOLD_SECONDS', 20, 1, 86400);
const coolDown = number('COOL_DOWN_SECONDS', 10, 1, 3600);
const p95 = number('P95_MS', 500, 1, 600000);
const low = Math.max(1, Math.round(rate / 10));

const phase = (startTime, more) =>
  Object.assign({ startTime: `${startTime}s`, timeUnit: '1s' }, clients(rate), more);

export const options = start({
  scenarios: {
    warm_up: phase(0, { executor: 'constant-arrival-rate', rate: low, duration: `${warmUp}s` }),
    ramp: phase(warmUp, {
      executor: 'ramping-arrival-rate',
      startRate: low,
      stages: [
        { target: rate, duration: `${ramp}s` },
        { target: rate, duration: `${hold}s` },
      ],
    }),
    cool_down: phase(warmUp + ramp + hold, {
      executor: 'ramping-arrival-rate',
      startRate: rate,
      stages: [{ target: low, duration: `${coolDown}s` }],
    }),
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    dropped_iterations: dropped,
    'http_req_waiting{scenario:warm_up}': ['max>=0'],
    'http_req_waiting{scenario:ramp}': [`p(95)<${p95}`],
    'http_req_waiting{scenario:cool_down}': [`p(95)<${p95}`],
  },
});

export default function () {
  get(exec.scenario.iterationInTest % targets);
}

export function handleSummary(data) {
  return summary(data, 'ramp');
}
