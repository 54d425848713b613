{{- define "hongbao.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "hongbao.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "hongbao.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a Deployment selects by: never changes, because a selector cannot. */}}
{{- define "hongbao.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hongbao.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hongbao.labels" -}}
{{ include "hongbao.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "hongbao.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "hongbao.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "hongbao.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Pod Security Standards, level restricted; 65532 is the image's own user. */}}
{{- define "hongbao.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "hongbao.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The one secret that travels by environment; its value stays in the Secret. */}}
{{- define "hongbao.databaseEnv" -}}
{{- if eq .Values.database.kind "postgresql" }}
- name: HONGBAO__DATABASE__URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.existingSecret }}
      key: {{ .Values.database.secretKey }}
{{- end }}
{{- end -}}

{{/* Combinations that lose money or data, refused while it is still only text. */}}
{{- define "hongbao.guards" -}}
{{- $v := .Values -}}
{{- if eq $v.database.kind "sqlite" -}}
  {{- if gt (int $v.replicaCount) 1 -}}
    {{- fail "replicaCount > 1 needs database.kind=postgresql: a SQLite file has one serving process" -}}
  {{- end -}}
  {{- if $v.database.existingSecret -}}
    {{- fail "database.existingSecret is for database.kind=postgresql; with sqlite it would be ignored" -}}
  {{- end -}}
{{- else -}}
  {{- if not $v.database.existingSecret -}}
    {{- fail "database.kind=postgresql needs database.existingSecret: a Secret with the connection URL that exists before the install" -}}
  {{- end -}}
  {{- if not $v.keys.existingSecret -}}
    {{- fail "database.kind=postgresql needs keys.existingSecret: the development key is public" -}}
  {{- end -}}
{{- end -}}
{{- if lt (int $v.terminationGracePeriodSeconds) (add (int $v.server.drainSeconds) 15 | int) -}}
  {{- fail "terminationGracePeriodSeconds must be at least server.drainSeconds + 15, or the drain is cut off" -}}
{{- end -}}
{{- $seen := dict -}}
{{- range $v.credentials -}}
  {{- if hasKey $seen .name -}}
    {{- fail (printf "credentials: two entries are named %s" .name) -}}
  {{- end -}}
  {{- $_ := set $seen .name true -}}
{{- end -}}
{{- range $v.extraEnv -}}
  {{- if and (eq .name "HONGBAO__DATABASE__URL") (hasKey . "value") -}}
    {{- fail "extraEnv: the database URL is a secret; use database.existingSecret" -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* config.toml. Strings go through toJson, whose escapes are TOML's; nothing secret is in it. */}}
{{- define "hongbao.config" -}}
[server]
grpc_listen = "0.0.0.0:50051"
admin_listen = "0.0.0.0:9090"
drain_delay_seconds = 5
drain_seconds = {{ int .Values.server.drainSeconds }}
reflection = {{ .Values.server.reflection }}

[telemetry]
log_format = {{ .Values.telemetry.logFormat | toJson }}
{{- with .Values.telemetry.otlpEndpoint }}
otlp_endpoint = {{ . | toJson }}
{{- end }}
{{- if eq .Values.database.kind "sqlite" }}

[database]
url = "sqlite:///var/lib/hongbao/hongbao.db"
{{- end }}
{{- if .Values.keys.existingSecret }}

[keys]
file = {{ printf "/run/secrets/hongbao/keys/%s" .Values.keys.secretKey | toJson }}
{{- end }}
{{- range $c := .Values.credentials }}

[credentials.{{ $c.name }}]
shops = [{{ range $i, $s := $c.shops }}{{ if $i }}, {{ end }}{{ int64 $s }}{{ end }}]
{{- range $k, $s := $c.settings }}
{{ $k }} = {{ $s | toJson }}
{{- end }}
{{- range $k, $f := $c.files }}
{{ $k }} = {{ printf "/run/secrets/hongbao/credentials/%s/%s" $c.name $f | toJson }}
{{- end }}
{{- end }}
{{- with .Values.extraConfig }}

{{ . | trim }}
{{- end }}
{{- end -}}
