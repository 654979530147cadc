{{/* Labels of what belongs to one of the two programs. Call with (dict "root" $ "component" "operator"). */}}
{{- define "leakhound.componentLabels" -}}
{{ include "leakhound.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Those of them that never change, because selectors cannot. */}}
{{- define "leakhound.selector" -}}
app.kubernetes.io/name: leakhound
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Call with (dict "root" $ "image" .Values.operator.image). */}}
{{- define "leakhound.image" -}}
{{- $values := .root.Values.image -}}
{{- $name := printf "%s/%s" $values.registry .image.repository -}}
{{- if .image.digest -}}
{{ printf "%s@%s" $name .image.digest }}
{{- else -}}
{{ printf "%s:%s" $name ($values.tag | default .root.Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{/* The API server's token, its authority and the namespace, where clients look for them; instead of the one that lives for ever. */}}
{{- define "leakhound.apiAccess" -}}
name: api-access
projected:
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3600}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}

{{- define "leakhound.reportUrl" -}}
{{ .Values.reports.url | default (printf "http://leakhound-operator.%s.svc:8080" .Release.Namespace) }}
{{- end }}

{{/* Whether reports lie on a volume of the operator's pod. */}}
{{- define "leakhound.onVolume" -}}
{{- if hasPrefix "file://" .Values.store.url }}yes{{ end -}}
{{- end }}

{{- define "leakhound.agentCapabilities" -}}
{{- $preset := list "BPF" "PERFMON" "SYS_PTRACE" "DAC_READ_SEARCH" "SYSLOG" -}}
{{- if eq .Values.agent.capabilities.preset "compat" -}}
{{- $preset = concat $preset (list "SYS_ADMIN" "SYS_RESOURCE") -}}
{{- end -}}
{{ concat $preset .Values.agent.capabilities.add | uniq | toJson }}
{{- end }}
