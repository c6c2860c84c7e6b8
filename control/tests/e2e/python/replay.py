"""Sends the samples of Dapr's metrics as a patched sidecar pushes them (over
OpenCensus: names with slashes, empty label values left out), or as a collector
does that scraped them (over OTLP: names with dapr_).

Arguments: opencensus or otlp, the port, and the files.
"""

import re
import sys
import time
import urllib.request

SAMPLE = re.compile(r'^(dapr_\w+?)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# Families whose OpenCensus names have slashes that show in no other way.
SLASHED = {
    "http_server_": "http/server/", "http_client_": "http/client/",
    "resiliency_": "resiliency/",
    "runtime_service_invocation_": "runtime/service_invocation/"}


def families(path):
    """Name, type, and by labels a number or the parts of a histogram."""
    kinds, found = {}, {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if line.startswith("# TYPE dapr_"):
                kinds[words[2]] = words[3]
            sample = SAMPLE.match(line.strip())
            if not sample:
                continue
            name, labels, value = sample[1], dict(LABEL.findall(sample[2] or "")), float(sample[3])
            part = ""
            if name not in kinds:
                name, part = name.rsplit("_", 1)
            bound = labels.pop("le", None)
            rows = found.setdefault(name, {})
            row = rows.setdefault(tuple(sorted(labels.items())), {"buckets": []})
            if part == "bucket":
                row["buckets"].append((float(bound), int(value)))
            else:
                row[part] = value
    return [(name, kinds[name], rows) for name, rows in found.items()]


def buckets(row):
    """Bounds, and the count of just each bucket."""
    rising = sorted(row["buckets"])
    counts = [count for _, count in rising]
    return ([bound for bound, _ in rising[:-1]],
            [count - before for before, count in zip([0, *counts], counts)])


def opencensus_name(name):
    name = name.removeprefix("dapr_")
    for prefix, slashed in SLASHED.items():
        if name.startswith(prefix):
            return slashed + name.removeprefix(prefix)
    return name


def over_opencensus(port, files):
    import grpc
    from google.protobuf.timestamp_pb2 import Timestamp
    from opencensus.proto.agent.common.v1 import common_pb2
    from opencensus.proto.agent.metrics.v1 import metrics_service_pb2 as service
    from opencensus.proto.agent.metrics.v1 import metrics_service_pb2_grpc as stubs
    from opencensus.proto.metrics.v1 import metrics_pb2 as metrics

    now = Timestamp(seconds=int(time.time()))
    start = Timestamp(seconds=now.seconds - 300)
    kind = metrics.MetricDescriptor
    kinds = {"counter": kind.CUMULATIVE_DOUBLE, "gauge": kind.GAUGE_DOUBLE,
             "histogram": kind.CUMULATIVE_DISTRIBUTION}

    def point(kind, row):
        if kind != "histogram":
            return metrics.Point(timestamp=now, double_value=row[""])
        bounds, counts = buckets(row)
        value = metrics.DistributionValue(
            count=int(row["count"]), sum=row["sum"],
            bucket_options=metrics.DistributionValue.BucketOptions(
                explicit=metrics.DistributionValue.BucketOptions.Explicit(bounds=bounds)),
            buckets=[metrics.DistributionValue.Bucket(count=count) for count in counts])
        return metrics.Point(timestamp=now, distribution_value=value)

    def metric(name, kind, rows):
        keys = [key for key, _ in next(iter(rows))]
        return metrics.Metric(
            metric_descriptor=metrics.MetricDescriptor(
                name=opencensus_name(name), type=kinds[kind],
                label_keys=[metrics.LabelKey(key=key) for key in keys]),
            timeseries=[metrics.TimeSeries(
                start_timestamp=start,
                label_values=[metrics.LabelValue(value=value, has_value=True)
                              for _, value in labels if value],
                points=[point(kind, row)]) for labels, row in rows.items()])

    channel = grpc.insecure_channel(f"localhost:{port}")
    for number, path in enumerate(files):
        node = common_pb2.Node(identifier=common_pb2.ProcessIdentifier(
            host_name=f"pod-{number}", pid=1, start_timestamp=start))
        batches = [metric(*family) for family in families(path)]
        requests = [service.ExportMetricsServiceRequest(node=node)]
        requests += [service.ExportMetricsServiceRequest(metrics=[batch]) for batch in batches]
        list(stubs.MetricsServiceStub(channel).Export(iter(requests)))


def over_otlp(port, files):
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
    from opentelemetry.proto.common.v1 import common_pb2
    from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics

    now = time.time_ns()
    times = {"time_unix_nano": now, "start_time_unix_nano": now - 300 * 10**9}

    def pair(key, value):
        return common_pb2.KeyValue(key=key, value=common_pb2.AnyValue(string_value=value))

    def metric(name, kind, rows):
        made = metrics.Metric(name=name)
        for labels, row in rows.items():
            attributes = [pair(*label) for label in labels]
            if kind == "histogram":
                bounds, counts = buckets(row)
                made.histogram.aggregation_temporality = 2
                made.histogram.data_points.add(
                    attributes=attributes, count=int(row["count"]), sum=row["sum"],
                    explicit_bounds=bounds, bucket_counts=counts, **times)
                continue
            points = made.gauge.data_points
            if kind == "counter":
                made.sum.aggregation_temporality, made.sum.is_monotonic = 2, True
                points = made.sum.data_points
            points.add(attributes=attributes, as_double=row[""], **times)
        return made

    for number, path in enumerate(files):
        request = service.ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.attributes.append(pair("service.instance.id", f"pod-{number}"))
        group.scope_metrics.add().metrics.extend(metric(*family) for family in families(path))
        sent = urllib.request.Request(
            f"http://localhost:{port}/v1/metrics", data=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"})
        with urllib.request.urlopen(sent, timeout=60) as answer:
            assert answer.read() == b"", "all of it is stored"


how, port, *files = sys.argv[1:]
{"opencensus": over_opencensus, "otlp": over_otlp}[how](port, files)
