{{- define "reveille.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for the longest suffix, a Service name has 63 characters. */}}
{{- define "reveille.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "reveille.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "reveille.selectorLabels" -}}
app.kubernetes.io/name: {{ include "reveille.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "reveille.labels" -}}
{{ include "reveille.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "reveille.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "reveille.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "reveille.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Where KEDA asks; the name that the gRPC port's certificate has. */}}
{{- define "reveille.scalerHost" -}}
{{- printf "%s-scaler.%s" (include "reveille.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "reveille.scalerAddress" -}}
{{- printf "%s:%v" (include "reveille.scalerHost" .) .Values.scaler.port -}}
{{- end -}}

{{- define "reveille.proxyPorts" -}}
- name: http
  port: {{ .Values.proxy.port }}
  targetPort: http
  protocol: TCP
  {{- with .Values.proxy.service.nodePort }}
  nodePort: {{ . }}
  {{- end }}
{{- if .Values.proxy.tls.secretNames }}
- name: https
  port: {{ .Values.proxy.tls.port }}
  targetPort: https
  protocol: TCP
  {{- with .Values.proxy.service.tlsNodePort }}
  nodePort: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}
