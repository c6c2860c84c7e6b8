// Parameters from the environment, and options that all scripts share.
//
// Every parameter has a default and bounds; README.md lists them. What is
// wrong is collected, and start() fails the run with all of it.

const problems = [];

// The text of an environment variable that matches a pattern.
export function text(name, otherwise, pattern, what) {
  const value = __ENV[name];
  if (value === undefined || value === '') return otherwise;
  if (pattern.test(value)) return value;
  problems.push(`${name} must be ${what}, not "${value}"`);
  return otherwise;
}

// A whole number between bounds, both included.
export function number(name, otherwise, least, most) {
  const value = __ENV[name];
  if (value === undefined || value === '') return otherwise;
  const parsed = /^[0-9]{1,9}$/.test(value) ? parseInt(value, 10) : NaN;
  if (parsed >= least && parsed <= most) return parsed;
  problems.push(`${name} must be a whole number from ${least} to ${most}, not "${value}"`);
  return otherwise;
}

// A switch: 0 or 1.
export function flag(name, otherwise) {
  return number(name, otherwise ? 1 : 0, 0, 1) === 1;
}

// Where the proxy is: a scheme and an authority, in which "{n}" may stand for
// the number of a target.
const base = text(
  'BASE_URL',
  'http://127.0.0.1:8080',
  /^https?:\/\/[^\s/?#]+$/,
  'http:// or https://, a host and maybe a port, and nothing behind it',
);

// What Reveille routes by, if it is not the host of BASE_URL.
const host = text('HOST_HEADER', '', /^[A-Za-z0-9._:{}*-]+$/, 'a host name');

const path = text('REQUEST_PATH', '/', /^\/[^\s#]*$/, 'a path that begins with "/"');

// How many targets there are: "{n}" is 0 to TARGETS - 1.
export const targets = number('TARGETS', 1, 1, 10000);

// How long a request may take, the wait for a cold start included.
export const timeoutSeconds = number('TIMEOUT_SECONDS', 60, 1, 3600);

// The limit of requests that k6 could not send in time.
export const dropped = [`count<=${number('MOST_DROPPED', 0, 0, 999999999)}`];

const numbered = (pattern, n) => pattern.replace('{n}', `${n}`);

export function baseUrl(n) {
  return numbered(base, n);
}

// The URL of target n.
export function url(n) {
  return `${baseUrl(n)}${path}`;
}

// Undefined where BASE_URL's own host is it.
export function hostHeader(n) {
  return host === '' ? undefined : numbered(host, n);
}

// Parameters of a request to target n.
export function params(n, more) {
  const headers = Object.assign({}, more && more.headers);
  const name = hostHeader(n);
  if (name !== undefined) headers.Host = name;
  return Object.assign({ timeout: `${timeoutSeconds}s` }, more, { headers });
}

// For arrival rates: clients that wait for an answer at once, at most.
export function clients(rate) {
  return {
    preAllocatedVUs: Math.min(2000, Math.max(10, rate)),
    maxVUs: Math.min(5000, Math.max(50, rate * 10)),
  };
}

// The options of a script. Fails the run if a parameter is wrong.
//
// No redirects: an answer of the proxy itself counts as what it is.
export function start(options) {
  if (problems.length > 0) throw new Error(problems.join('; '));
  return Object.assign(
    {
      maxRedirects: 0,
      discardResponseBodies: true,
      summaryTrendStats: ['min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
      setupTimeout: `${timeoutSeconds + 10}s`,
    },
    options,
  );
}

// A condition between parameters.
export function must(holds, message) {
  if (!holds) problems.push(message);
}
