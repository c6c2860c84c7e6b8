// What a run found: a table on standard output, and all of it as JSON in the
// file that RESULTS names.

function rounded(value) {
  if (value === undefined || value === null) return '-';
  return Number.isInteger(value) ? `${value}` : value.toFixed(2);
}

function line(name, metric) {
  const values = metric.values;
  switch (metric.type) {
    case 'trend': {
      const parts = ['med', 'p(90)', 'p(95)', 'p(99)', 'max'];
      const unit = metric.contains === 'time' ? ' ms' : '';
      return `${name}: ${parts.map((part) => `${part} ${rounded(values[part])}`).join(', ')}${unit}`;
    }
    case 'rate':
      return `${name}: ${(100 * values.rate).toFixed(2)} %`;
    case 'counter':
      return `${name}: ${rounded(values.count)} (${values.rate.toFixed(1)}/s)`;
    default:
      return `${name}: ${rounded(values.value)}`;
  }
}

// What decides comes first, then the figures that are always of interest.
const ALWAYS = ['iterations', 'dropped_iterations', 'http_reqs', 'http_req_waiting'];

// What handleSummary() returns.
export function summary(data, script) {
  const lines = [`${script}: ${(data.state.testRunDurationMs / 1000).toFixed(1)} s`];
  let failed = 0;
  for (const name of Object.keys(data.metrics).sort()) {
    const metric = data.metrics[name];
    const limits = metric.thresholds || {};
    const expressions = Object.keys(limits);
    if (expressions.length === 0 && ALWAYS.indexOf(name) < 0) continue;
    lines.push(`  ${line(name, metric)}`);
    for (const expression of expressions) {
      if (!limits[expression].ok) failed += 1;
      lines.push(`    ${expression}: ${limits[expression].ok ? 'PASS' : 'FAIL'}`);
    }
  }
  lines.push(failed === 0 ? 'PASS' : `FAIL: ${failed} of the limits above`);
  const outputs = { stdout: `${lines.join('\n')}\n` };
  if (__ENV.RESULTS) outputs[__ENV.RESULTS] = JSON.stringify({ script, ...data }, null, 1);
  return outputs;
}
