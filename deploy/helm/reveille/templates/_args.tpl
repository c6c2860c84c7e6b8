{{/* The command line; every flag is one of `reveille kubernetes`. */}}
{{- define "reveille.args" -}}
{{- $values := .Values -}}
{{- $bind := $values.bindAddress -}}
- kubernetes
{{- range $values.watchNamespaces }}
- {{ printf "--watch-namespace=%s" . | quote }}
{{- end }}
- --wake={{ $values.wake }}
{{- range $namespace, $hosts := $values.hostPolicy }}
- {{ printf "--host-policy=%s=%s" $namespace (join "," $hosts) | quote }}
{{- end }}
- --endpoints={{ $values.endpoints }}
- --http-scaled-objects={{ $values.httpScaledObjects }}
{{- if eq $values.httpScaledObjects "manage" }}
- --scaler-address={{ include "reveille.scalerAddress" . }}
{{- with $values.scaler.tls.authentication }}
- --scaler-authentication={{ . }}
{{- end }}
{{- end }}
- --lease-name={{ include "reveille.fullname" . }}
- --lease-namespace={{ .Release.Namespace }}
- --proxy-addr={{ $bind }}:{{ $values.proxy.port }}
- --grpc-addr={{ $bind }}:{{ $values.scaler.port }}
- --admin-addr={{ $bind }}:{{ $values.admin.port }}
- --peers=kubernetes:{{ .Release.Namespace }}/{{ include "reveille.fullname" . }}-scaler:{{ $values.scaler.port }}
{{- with $values.proxy.tls }}
{{- if .secretNames }}
- --proxy-tls-addr={{ $bind }}:{{ .port }}
- --tls-cert-dir=/tls/proxy
{{- if ne .clientAuth "none" }}
- --tls-client-auth={{ .clientAuth }}
- --tls-client-ca=/tls/proxy-clients/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- if $values.proxy.upstream.caSecretName }}
- --upstream-ca=/tls/upstream/ca.crt
{{- end }}
{{- if $values.proxy.sessionSecretName }}
- --session-secret-file=/session/secret
{{- end }}
{{- if $values.admin.tokenSecretName }}
- --admin-token-file=/admin/tokens
{{- end }}
{{- with $values.scaler.tls }}
{{- if .secretName }}
- --grpc-tls-cert=/tls/scaler/tls.crt
- --grpc-tls-key=/tls/scaler/tls.key
- --peers-tls
- --peers-tls-server-name={{ include "reveille.scalerHost" $ }}
{{- if .caInSecret }}
- --peers-tls-ca=/tls/scaler/ca.crt
{{- end }}
{{- if ne .clientAuth "none" }}
- --grpc-tls-client-auth={{ .clientAuth }}
- --grpc-tls-client-ca=/tls/scaler/ca.crt
- --peers-tls-cert=/tls/scaler/tls.crt
- --peers-tls-key=/tls/scaler/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- if $values.trustedProxies }}
- {{ printf "--trusted-proxies=%s" (join "," $values.trustedProxies) | quote }}
{{- end }}
{{- if $values.metricsIn.otlpGrpc.enabled }}
- --otlp-grpc-addr={{ $bind }}:{{ $values.metricsIn.otlpGrpc.port }}
{{- end }}
{{- if $values.metricsIn.otlpHttp.enabled }}
- --otlp-http-addr={{ $bind }}:{{ $values.metricsIn.otlpHttp.port }}
{{- end }}
{{- if $values.metricsIn.openCensus.enabled }}
- --opencensus-addr={{ $bind }}:{{ $values.metricsIn.openCensus.port }}
{{- end }}
{{- with $values.envoy }}
{{- if .enabled }}
- --xds-addr={{ $bind }}:{{ .port }}
- --xds-proxy-addr={{ include "reveille.fullname" $ }}-proxy.{{ $.Release.Namespace }}.svc:{{ $values.proxy.port }}
{{- if .listenerPort }}
- --xds-listener={{ $bind }}:{{ .listenerPort }}
{{- end }}
{{- if or .listenerTls.cert .listenerTls.key }}
{{- $cert := required "envoy.listenerTls.cert: the key needs its certificate" .listenerTls.cert }}
{{- $key := required "envoy.listenerTls.key: the certificate needs its key" .listenerTls.key }}
{{- if not .listenerPort }}
{{- fail "envoy.listenerPort: listenerTls is for the listener that Envoys are given, and there is none" }}
{{- end }}
- {{ printf "--xds-listener-tls-cert=%s" $cert | quote }}
- {{ printf "--xds-listener-tls-key=%s" $key | quote }}
{{- end }}
{{- if .nodes }}
- {{ printf "--xds-nodes=%s" (join "," .nodes) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if $values.dapr.sidecars }}
- --dapr-sidecars
- --dapr-scrape-interval={{ $values.dapr.scrapeInterval }}
{{- end }}
{{- with $values.dapr.trustBundle }}
{{- if .enabled }}
- --dapr-trust-bundle={{ .namespace }}/{{ .name }}
{{- if .rootOnly }}
- --dapr-trust-bundle-root-only
{{- end }}
{{- end }}
{{- end }}
{{- with $values.traces.endpoint }}
- {{ printf "--otlp-traces-endpoint=%s" . | quote }}
{{- end }}
- --shutdown-delay={{ $values.shutdown.delaySeconds }}s
- --drain-timeout={{ $values.shutdown.drainSeconds }}s
- --log-format={{ $values.logFormat }}
- {{ printf "--log-level=%s" $values.logLevel | quote }}
{{- if ne $values.accessLog "off" }}
- --access-log={{ $values.accessLog }}
{{- end }}
{{- range $values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "reveille.volumeMounts" -}}
{{- range .Values.proxy.tls.secretNames }}
- name: tls-proxy-{{ . | replace "." "-" }}
  mountPath: /tls/proxy/{{ . }}
  readOnly: true
{{- end }}
{{- if and .Values.proxy.tls.secretNames (ne .Values.proxy.tls.clientAuth "none") }}
- name: tls-proxy-clients
  mountPath: /tls/proxy-clients
  readOnly: true
{{- end }}
{{- if .Values.proxy.upstream.caSecretName }}
- name: tls-upstream
  mountPath: /tls/upstream
  readOnly: true
{{- end }}
{{- if .Values.proxy.sessionSecretName }}
- name: session
  mountPath: /session
  readOnly: true
{{- end }}
{{- if .Values.admin.tokenSecretName }}
- name: admin
  mountPath: /admin
  readOnly: true
{{- end }}
{{- if .Values.scaler.tls.secretName }}
- name: tls-scaler
  mountPath: /tls/scaler
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "reveille.volumes" -}}
{{- range .Values.proxy.tls.secretNames }}
- name: tls-proxy-{{ . | replace "." "-" }}
  secret:
    secretName: {{ . }}
{{- end }}
{{- if and .Values.proxy.tls.secretNames (ne .Values.proxy.tls.clientAuth "none") }}
- name: tls-proxy-clients
  secret:
    secretName: {{ required "proxy.tls.clientCaSecretName: clients' certificates need a Secret with the key ca.crt" .Values.proxy.tls.clientCaSecretName }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- with .Values.proxy.upstream.caSecretName }}
- name: tls-upstream
  secret:
    secretName: {{ . }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- with .Values.proxy.sessionSecretName }}
- name: session
  secret:
    secretName: {{ . }}
    items:
      - key: secret
        path: secret
{{- end }}
{{- with .Values.admin.tokenSecretName }}
- name: admin
  secret:
    secretName: {{ . }}
    items:
      - key: tokens
        path: tokens
{{- end }}
{{- with .Values.scaler.tls.secretName }}
- name: tls-scaler
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
