// Parameters from the environment, and options that all scripts share.
//
// Every parameter has a default; README.md lists them.

// The text of an environment variable.
export function text(name, otherwise) {
  const value = __ENV[name];
  return value === undefined || value === '' ? otherwise : value;
}

// A whole number, 0 or more; anything else fails the run at its start.
export function number(name, otherwise) {
  const value = text(name, `${otherwise}`);
  if (!/^[0-9]+$/.test(value)) {
    throw new Error(`${name} must be a whole number, not "${value}"`);
  }
  return parseInt(value, 10);
}

// Where the proxy is, and what it routes by.
export const baseUrl = text('BASE_URL', 'http://127.0.0.1:8080');

// The Host header of target n: "{n}" in HOST_HEADER stands for the number.
export function hostHeader(n) {
  return text('HOST_HEADER', 'cold-{n}.localhost').replace('{n}', `${n}`);
}

// Options of every script: no redirects (an answer of the proxy itself counts
// as what it is), and the percentiles that we report.
export const common = {
  maxRedirects: 0,
  discardResponseBodies: true,
  summaryTrendStats: ['min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max'],
};
