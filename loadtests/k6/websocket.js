// Do WebSockets get through: does the upgrade wake the target, do messages come
// back, and do open sockets keep it awake?
//
// CLIENTS sockets at once, each of which sends MESSAGES messages, PAUSE_MS after
// the answer to the last one. The run fails when one is not opened or closes
// early, when p95 of opening is above COLD_MS (the target may be asleep), and
// when p95 of a message's way there and back is above P95_MS.

import ws from 'k6/ws';
import exec from 'k6/execution';
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { number, params, start, targets, timeoutSeconds, url } from './lib/options.js';
import { summary } from './lib/summary.js';

const clients = number('CLIENTS', 50, 1, 10000);
const messages = number('MESSAGES', 20, 1, 100000);
const pause = number('PAUSE_MS', 200, 1, 60000);
const coldMs = number('COLD_MS', 5000, 1, 600000);
const p95 = number('P95_MS', 200, 1, 600000);

const roundTrip = new Trend('round_trip', true);
const echoed = new Counter('messages_echoed');

export const options = start({
  scenarios: {
    sockets: {
      executor: 'per-vu-iterations',
      vus: clients,
      iterations: 1,
      maxDuration: `${timeoutSeconds + messages * (pause + 1000)}s`,
    },
  },
  thresholds: {
    checks: ['rate==1'],
    ws_connecting: [`p(95)<${coldMs}`],
    round_trip: [`p(95)<${p95}`],
    messages_echoed: [`count==${clients * messages}`],
  },
});

export default function () {
  const n = exec.vu.idInTest % targets;
  const to = url(n).replace(/^http/, 'ws');
  let left = messages;
  let sent = 0;
  // k6 has no limit of its own for the upgrade: the proxy's holds.
  const response = ws.connect(to, { headers: params(n).headers }, (socket) => {
    const next = () => {
      sent = Date.now();
      socket.send(`message ${left}`);
    };
    socket.on('open', next);
    socket.on('message', (got) => {
      if (got === `message ${left}`) echoed.add(1);
      roundTrip.add(Date.now() - sent);
      left -= 1;
      if (left > 0) socket.setTimeout(next, pause);
      else socket.close();
    });
    socket.on('error', (error) => console.error(`${to}: ${error.error()}`));
    // A socket that says nothing any more does not hold up the run.
    socket.setTimeout(() => socket.close(), timeoutSeconds * 1000 + messages * (pause + 1000));
  });
  check(response, { 'switched to WebSocket': (r) => r && r.status === 101 });
}

export function handleSummary(data) {
  return summary(data, 'websocket');
}
