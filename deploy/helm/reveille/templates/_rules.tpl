{{/* What a replica does in the namespaces that it watches; nothing else. The
kinds are those of control/src/kubernetes. */}}
{{- define "reveille.rules" -}}
# Routes, and what became of them.
- apiGroups: [http.keda.sh]
  resources: [interceptorroutes]
  verbs: [list, watch]
- apiGroups: [http.keda.sh]
  resources: [interceptorroutes/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# The HTTP add-on's older routes{{ if eq .Values.httpScaledObjects "manage" }}; patch takes the finalizer of its operator away{{ end }}.
- apiGroups: [http.keda.sh]
  resources: [httpscaledobjects]
  verbs: [list, watch{{ if eq .Values.httpScaledObjects "manage" }}, patch{{ end }}]
{{- if eq .Values.httpScaledObjects "manage" }}
- apiGroups: [http.keda.sh]
  resources: [httpscaledobjects/status]
  verbs: [patch]
{{- end }}
# What they wake{{ if eq .Values.httpScaledObjects "manage" }}, and what is made of the older ones{{ end }}.
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [list, watch{{ if eq .Values.httpScaledObjects "manage" }}, create, patch, delete{{ end }}]
# Where requests go.
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
# Bodies of static answers.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
{{- if .Values.dapr.sidecars }}
# Where Dapr's sidecars are.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end }}
{{- if ne .Values.wake "keda" }}
# Waking them ourselves.
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get, patch]
{{- end }}
{{- end -}}
