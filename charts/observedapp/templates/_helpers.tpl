{{- define "observedapp.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}{{- end -}}
{{- end }}

{{- define "observedapp.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "observedapp.proberSelectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: prober
{{- end }}

{{- define "observedapp.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "observedapp.labels" -}}
{{ include "observedapp.selectorLabels" . }}
{{ include "observedapp.commonLabels" . }}
{{- end }}

{{- define "observedapp.proberLabels" -}}
{{ include "observedapp.proberSelectorLabels" . }}
{{ include "observedapp.commonLabels" . }}
{{- end }}

{{- define "observedapp.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "observedapp.fullname" .) .Values.serviceAccount.name }}{{- else -}}{{ default "default" .Values.serviceAccount.name }}{{- end -}}
{{- end }}

{{- define "observedapp.proberUrl" -}}
{{- if .Values.prober.url -}}{{ .Values.prober.url }}{{- else if .Values.prober.enabled -}}{{ include "observedapp.fullname" . }}-prober.{{ .Release.Namespace }}.svc:9115{{- end -}}
{{- end }}

{{- /* "yes" for true, and for auto where the cluster serves the kind */ -}}
{{- define "observedapp.wanted" -}}
{{- if eq (toString .enabled) "auto" -}}{{ if .capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) }}yes{{ end }}{{- else if eq (toString .enabled) "true" -}}yes{{- end -}}
{{- end }}
