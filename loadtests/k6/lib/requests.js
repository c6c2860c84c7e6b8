// Requests as most scripts send them.

import http from 'k6/http';
import { check, fail } from 'k6';
import { Counter } from 'k6/metrics';
import { params, targets, url } from './options.js';

const unexpected = new Counter('unexpected_answers');

// Checks one answer; the first ones that are wrong are told.
export function expect200(response) {
  const good = check(response, { 'status is 200': (r) => r.status === 200 });
  if (!good) {
    unexpected.add(1);
    console.error(`${response.url}: status ${response.status} ${response.error}`);
  }
  return good;
}

// A GET to target n.
export function get(n) {
  const response = http.get(url(n), params(n));
  expect200(response);
  return response;
}

// Wakes all targets, for scripts that are not about waking.
export function wakeAll() {
  for (let n = 0; n < targets; n += 1) {
    const response = http.get(url(n), params(n));
    if (response.status !== 200) {
      fail(`target ${n} does not answer: status ${response.status} ${response.error}`);
    }
  }
}

export function isCold(response) {
  return response.headers['X-Keda-Http-Cold-Start'] === 'true';
}
