// Does gRPC get through: the first call to a sleeping target, then calls at a
// constant rate, and streams beside them?
//
// The run fails on any status but OK, on a message of a stream that does not
// come back, when the call that wakes takes longer than COLD_MS, and when p95
// of the others is above P95_MS. It calls target 0 alone.
//
// k6 takes the authority from the address that it connects to. With HOST_HEADER
// the host of BASE_URL must therefore be an address, which k6 is told to use
// for that name.

import { Client, StatusOK, Stream } from 'k6/net/grpc';
import { check, fail } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import {
  baseUrl,
  clients,
  dropped,
  hostHeader,
  must,
  number,
  start,
  timeoutSeconds,
} from './lib/options.js';
import { summary } from './lib/summary.js';

const rate = number('RATE', 100, 1, 10000);
const seconds = number('DURATION_SECONDS', 20, 1, 86400);
const streams = number('STREAMS', 5, 1, 1000);
const messages = number('MESSAGES', 50, 1, 100000);
const coldMs = number('COLD_MS', 5000, 1, 600000);
const p95 = number('P95_MS', 200, 1, 600000);

const waking = new Trend('waking_call', true);
const echoed = new Counter('stream_messages_echoed');

const [, scheme, own, port] = /^(https?):\/\/(.+?)(?::([0-9]+))?$/.exec(baseUrl(0));
const name = (hostHeader(0) || own).replace(/:[0-9]+$/, '');
const ip = own === 'localhost' ? '127.0.0.1' : own;
const isAddress = /^[0-9]+(\.[0-9]+){3}$/.test(ip);
must(
  name === own || isAddress,
  `with HOST_HEADER the host of BASE_URL must be an IPv4 address or localhost, not "${own}"`,
);
const address = `${name}:${port || (scheme === 'https' ? 443 : 80)}`;

export const options = start({
  hosts: name !== own ? { [name]: ip } : {},
  scenarios: {
    calls: Object.assign(
      { executor: 'constant-arrival-rate', rate, duration: `${seconds}s`, exec: 'call' },
      clients(rate),
    ),
    streams: { executor: 'per-vu-iterations', vus: streams, iterations: 1, exec: 'talk' },
  },
  thresholds: {
    checks: ['rate==1'],
    dropped_iterations: dropped,
    waking_call: [`max<${coldMs}`],
    stream_messages_echoed: [`count==${streams * messages}`],
    'grpc_req_duration{scenario:calls}': [`p(95)<${p95}`],
  },
});

const client = new Client();
client.load([], 'hello.proto');
let connected = false;

function connect() {
  if (connected) return;
  client.connect(address, { plaintext: scheme === 'http', timeout: `${timeoutSeconds}s` });
  connected = true;
}

function sayHello() {
  const response = client.invoke(
    'hello.HelloService/SayHello',
    { greeting: 'world' },
    { timeout: `${timeoutSeconds}s` },
  );
  const good = check(response, {
    'status is OK': (r) => r.status === StatusOK,
    'the greeting comes back': (r) => r.message && r.message.reply.includes('world'),
  });
  if (!good) console.error(`status ${response.status}: ${JSON.stringify(response.error)}`);
  return good;
}

export function setup() {
  connect();
  const begun = Date.now();
  if (!sayHello()) fail('the call that wakes was not answered');
  waking.add(Date.now() - begun);
  client.close();
}

export function call() {
  connect();
  sayHello();
}

export function talk() {
  connect();
  const stream = new Stream(client, 'hello.HelloService/BidiHello');
  let left = messages;
  const next = () => stream.write({ greeting: `message ${left}` });
  stream.on('data', (message) => {
    if (message.reply.includes(`message ${left}`)) echoed.add(1);
    left -= 1;
    if (left > 0) next();
    else stream.end();
  });
  stream.on('error', (error) => {
    check(error, { 'no stream breaks': () => false });
    console.error(`stream: ${error.code} ${error.message}`);
  });
  next();
}

export function handleSummary(data) {
  return summary(data, 'grpc');
}
