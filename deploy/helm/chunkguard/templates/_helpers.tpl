{{- define "chunkguard.name" -}}
{{- printf "%s" (ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name)) | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "chunkguard.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "chunkguard.labels" -}}
{{ include "chunkguard.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "chunkguard.secret" -}}
{{- required "existingSecret: name a Secret that holds CHUNKGUARD_ADMIN_KEY and the keys of `config`" .Values.existingSecret -}}
{{- end -}}

{{/* The configuration with what the chart decides. */}}
{{- define "chunkguard.config" -}}
{{- $own := dict "listen" "0.0.0.0:8800" "admin" "0.0.0.0:8801" "admin_key" "${CHUNKGUARD_ADMIN_KEY}" -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}
