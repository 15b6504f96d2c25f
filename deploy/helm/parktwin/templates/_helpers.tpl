{{/* Each helper takes (dict "root" $ "park" park "program" "ingest" | "api" | …). */}}

{{- define "parktwin.name" -}}
{{ .root.Release.Name }}-{{ .park.name }}-{{ .program }}
{{- end }}

{{- define "parktwin.selector" -}}
app.kubernetes.io/name: parktwin
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .program }}
parktwin/park: {{ .park.name }}
{{- end }}

{{- define "parktwin.labels" -}}
{{ include "parktwin.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "parktwin.image" -}}
image: {{ printf "%s:%s" .root.Values.image.repository (.root.Values.image.tag | default .root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "parktwin.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Settings that all programs have; .key is the key of the database's secret. */}}
{{- define "parktwin.settings" -}}
- name: PARKTWIN_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .park.database }}, key: {{ .key }}}}
- {name: PARKTWIN_LOG, value: json}
- {name: PARKTWIN_PARK, value: /park}
- {name: OPENBLAS_NUM_THREADS, value: "1"}
{{- range $name, $value := .park.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{/* Settings of who serves people, or works in their name. */}}
{{- define "parktwin.access" -}}
- name: PARKTWIN_ACCESS_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .park.database }}, key: access}}
- {name: PARKTWIN_ACCESS, value: accounts}
- {name: PARKTWIN_AUDIT_KEY, value: /keys/audit.key}
- {name: PARKTWIN_SECRET_KEY, value: /keys/secret.key}
{{- end }}

{{- define "parktwin.tmp" -}}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- end }}

{{- define "parktwin.keys" -}}
- name: keys
  secret: {secretName: {{ .park.keys }}, defaultMode: 0440}
{{- end }}
