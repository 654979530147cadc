{{/* Labels of every object. */}}
{{- define "leakhound.labels" -}}
app.kubernetes.io/name: leakhound
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* How the API server calls the agents. */}}
{{- define "leakhound.agentUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:leakhound-agent
{{- end }}
