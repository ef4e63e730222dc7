{{/* Cut so that the longest suffix of a Service or a Job, "-management", has room within 63 characters. */}}
{{- define "otp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "otp.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "otp.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "otp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/*
Labels of what belongs to a component: service, management, migration. Call with (dict "root" $ "component" "service"), and "more" where there are more,
which win over the common ones.
*/}}
{{- define "otp.labels" -}}
{{ include "otp.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with merge (dict) (default (dict) .more) .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* With the component: the migration's pod must be nobody's endpoint. */}}
{{- define "otp.selector" -}}
app.kubernetes.io/name: {{ include "otp.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "otp.image" -}}
{{- $image := .Values.image -}}
{{- $repository := required "Set image.repository: the registry and name under which your image lies. There is no public one." $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "otp.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "otp.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Not for values to loosen: what Pod Security's "restricted" asks for, and a read-only root file system. */}}
{{- define "otp.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{- define "otp.folder" -}}/run/secrets/otp{{- end -}}

{{/*
The files that are mounted: name of the volume and folder → where they come from, and which keys; no keys means all of them. A dict of YAML, so that
the volumes, the mounts and the settings in the ConfigMap cannot differ.
*/}}
{{- define "otp.files" -}}
{{- $values := .Values -}}
postgres:
  secret: {{ required "Set postgres.existingSecret: the Secret with the connection string of the role otp_service." $values.postgres.existingSecret }}
  keys: [{{ $values.postgres.key | quote }}]
{{- with $values.postgres.tls.existingSecret }}
postgres-tls:
  secret: {{ . }}
{{- end }}
{{- with $values.redis.existingSecret }}
redis:
  secret: {{ . }}
  keys: [{{ $values.redis.key | quote }}]
{{- end }}
{{- with $values.redis.tls.existingSecret }}
redis-tls:
  secret: {{ . }}
  keys: [{{ $values.redis.tls.trustKey | quote }}{{ if $values.redis.tls.clientCertificate }}, tls.crt, tls.key{{ end }}]
{{- end }}
{{- if eq $values.kek.provider "file" }}
kek:
  secret: {{ required "Set kek.file.existingSecret: the Secret with the KEK. Or choose another kek.provider: pkcs11, transit." $values.kek.file.existingSecret }}
  keys: [{{ $values.kek.file.key | quote }}]
{{- else if eq $values.kek.provider "pkcs11" }}
pkcs11-pin:
  secret: {{ required "Set kek.pkcs11.pin.existingSecret: the Secret with the PIN of the token." $values.kek.pkcs11.pin.existingSecret }}
  keys: [{{ $values.kek.pkcs11.pin.key | quote }}]
{{- else }}
{{- if not $values.kek.transit.token.file }}
transit-token:
  secret: {{ required "Set kek.transit.token.existingSecret, the Secret with Vault's token, or kek.transit.token.file, where an injector puts it." $values.kek.transit.token.existingSecret }}
  keys: [{{ $values.kek.transit.token.key | quote }}]
{{- end }}
{{- with $values.kek.transit.trust }}
{{- if or .existingSecret .existingConfigMap }}
transit-trust: {{ include "otp.source" (dict "source" . "what" "kek.transit.trust") }}
{{- end }}
{{- end }}
{{- end }}
tls:
  secret: {{ required "Set tls.existingSecret: the Secret with the server's certificate and key (tls.crt, tls.key), as cert-manager makes it." $values.tls.existingSecret }}
  keys: [tls.crt, tls.key{{ if not (or $values.tls.trust.existingSecret $values.tls.trust.existingConfigMap) }}, {{ $values.tls.trust.key | quote }}{{ end }}]
{{- with $values.tls.trust }}
{{- if or .existingSecret .existingConfigMap }}
tls-trust: {{ include "otp.source" (dict "source" . "what" "tls.trust") }}
{{- end }}
{{- end }}
{{- with $values.tls.revoked }}
{{- if or .existingSecret .existingConfigMap }}
tls-revoked: {{ include "otp.source" (dict "source" . "what" "tls.revoked") }}
{{- end }}
{{- end }}
{{- with $values.callers }}
{{- if and .inline (or .existingSecret .existingConfigMap) }}
{{- fail "callers.inline and callers.existingSecret or callers.existingConfigMap exclude each other: set one." }}
{{- end }}
{{- if or .existingSecret .existingConfigMap }}
callers: {{ include "otp.source" (dict "source" . "what" "callers") }}
{{- else }}
callers:
  configMap: {{ include "otp.fullname" $ }}-callers
  keys: [{{ .key | quote }}]
{{- if not .inline }}
{{- fail "Set callers.existingConfigMap, callers.existingSecret or callers.inline: who may call the service. Without callers nobody may." }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A file from either a Secret or a ConfigMap, as YAML in one line. */}}
{{- define "otp.source" -}}
{{- if and .source.existingSecret .source.existingConfigMap -}}
{{- fail (printf "%s.existingSecret and %s.existingConfigMap exclude each other: set one." .what .what) -}}
{{- end -}}
{{- if .source.existingSecret -}}
{ secret: {{ .source.existingSecret }}, keys: [{{ .source.key | quote }}] }
{{- else -}}
{ configMap: {{ .source.existingConfigMap }}, keys: [{{ .source.key | quote }}] }
{{- end -}}
{{- end -}}

{{/*
One volume. Read-only files that follow their Secret. The kubelet gives them to root and fsGroup: the service reads them as that group, and they are closed
to everybody else, as the service asks of the KEK. (With 0400 it would come to the same, for the kubelet adds the group's right to read.)
*/}}
{{- define "otp.volume" -}}
- name: {{ .name }}
{{- if .file.secret }}
  secret:
    secretName: {{ .file.secret }}
    defaultMode: 0440
{{- else }}
  configMap:
    name: {{ .file.configMap }}
    defaultMode: 0440
{{- end }}
{{- with .file.keys }}
    items:
{{- range . }}
      - key: {{ . }}
        path: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Settings that are no secrets; and where the secrets lie. */}}
{{- define "otp.settings" -}}
{{- $folder := include "otp.folder" . -}}
{{- $values := .Values -}}
# Keys are in this process's memory: nobody attaches to it.
DOTNET_EnableDiagnostics: "0"
# .NET looks for certificates below it, and does not start TLS without one, whatever user the platform gives. Nobody can write there.
HOME: /
Kestrel__Endpoints__Grpc__Url: "https://*:5080"
Kestrel__Endpoints__Management__Url: "http://*:5081"
Kestrel__Endpoints__Probes__Url: "http://*:5082"
Kestrel__Endpoints__Probes__Protocols: Http2
ConnectionStrings__Postgres_FILE: {{ $folder }}/postgres/{{ $values.postgres.key }}
{{- if $values.redis.existingSecret }}
ConnectionStrings__Redis_FILE: {{ $folder }}/redis/{{ $values.redis.key }}
{{- end }}
{{- with $values.redis.tls }}
{{- if .existingSecret }}
OtpAuth__Redis__TrustFile: {{ $folder }}/redis-tls/{{ .trustKey }}
{{- if .clientCertificate }}
OtpAuth__Redis__CertificateFile: {{ $folder }}/redis-tls/tls.crt
OtpAuth__Redis__KeyFile: {{ $folder }}/redis-tls/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- if eq $values.kek.provider "file" }}
OtpAuth__KekFile: {{ $folder }}/kek/{{ $values.kek.file.key }}
{{- else if eq $values.kek.provider "pkcs11" }}
{{- with $values.kek.pkcs11 }}
OtpAuth__Pkcs11__ModuleFile: {{ required "Set kek.pkcs11.moduleFile: the path of the PKCS#11 module in the container." .moduleFile | quote }}
OtpAuth__Pkcs11__TokenLabel: {{ required "Set kek.pkcs11.tokenLabel: the label of the token that holds the keys." .tokenLabel | quote }}
OtpAuth__Pkcs11__Pin_FILE: {{ $folder }}/pkcs11-pin/{{ .pin.key }}
OtpAuth__Pkcs11__KekLabel: {{ .kekLabel | quote }}
OtpAuth__Pkcs11__SigningKeyLabel: {{ .signingKeyLabel | quote }}
{{- end }}
{{- else }}
{{- with $values.kek.transit }}
OtpAuth__Transit__Address: {{ required "Set kek.transit.address: where Vault listens, such as https://vault.example:8200." .address | quote }}
OtpAuth__Transit__Token_FILE: {{ default (printf "%s/transit-token/%s" $folder .token.key) .token.file }}
OtpAuth__Transit__Mount: {{ .mount | quote }}
OtpAuth__Transit__KekName: {{ .kekName | quote }}
OtpAuth__Transit__SigningKeyName: {{ .signingKeyName | quote }}
{{- with .namespace }}
OtpAuth__Transit__Namespace: {{ . | quote }}
{{- end }}
{{- if or .trust.existingSecret .trust.existingConfigMap }}
OtpAuth__Transit__TrustFile: {{ $folder }}/transit-trust/{{ .trust.key }}
{{- end }}
{{- end }}
{{- end }}
OtpAuth__Tls__CertificateFile: {{ $folder }}/tls/tls.crt
OtpAuth__Tls__KeyFile: {{ $folder }}/tls/tls.key
{{- with $values.tls.trust }}
OtpAuth__Tls__TrustFile: {{ $folder }}/{{ if or .existingSecret .existingConfigMap }}tls-trust{{ else }}tls{{ end }}/{{ .key }}
{{- end }}
{{- with $values.tls.revoked }}
{{- if or .existingSecret .existingConfigMap }}
OtpAuth__Tls__RevokedFile: {{ $folder }}/tls-revoked/{{ .key }}
{{- end }}
{{- end }}
OtpAuth__CallersFile: {{ $folder }}/callers/{{ $values.callers.key }}
# The migration is a job with a role of its own.
OtpAuth__MigrateOnStart: "false"
{{- with $values.settings }}
OtpAuth__DrainDelay: {{ .drainDelay | quote }}
OtpAuth__MaxClockOffset: {{ .maxClockOffset | quote }}
OtpAuth__KeyCacheEntries: {{ int64 .keyCacheEntries | quote }}
OtpAuth__KeyCacheAge: {{ .keyCacheAge | quote }}
OtpAuth__DataKeyAge: {{ .dataKeyAge | quote }}
OtpAuth__AuditHeadInterval: {{ .auditHeadInterval | quote }}
OtpAuth__InstitutionFailureSignal: {{ int64 .institutionFailureSignal | quote }}
{{- end }}
{{- with $values.otlp }}
{{- if .endpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ .endpoint | quote }}
OTEL_EXPORTER_OTLP_PROTOCOL: {{ .protocol | quote }}
OTEL_SERVICE_NAME: otp-auth-service
{{- end }}
{{- end }}
{{- end -}}

{{/* What no schema can say. Included once, by the Deployment. */}}
{{- define "otp.refusals" -}}
{{- $drain := regexFindAll "[0-9]{2}" .Values.settings.drainDelay -1 -}}
{{- $seconds := add (mul (atoi (index $drain 0)) 3600) (mul (atoi (index $drain 1)) 60) (atoi (index $drain 2)) -}}
{{- if lt (int64 .Values.terminationGracePeriodSeconds) (add $seconds 20) -}}
{{- fail (printf "terminationGracePeriodSeconds must be at least %d: settings.drainDelay, 15 s to end what was begun, and 5 s to spare." (add $seconds 20)) -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if and (hasKey . "value") (regexMatch "^(ConnectionStrings__.*|OtpAuth__Pkcs11__Pin|OtpAuth__Transit__Token|OTEL_EXPORTER_OTLP_HEADERS)$" .name) (not (hasSuffix "_FILE" .name)) -}}
{{- fail (printf "extraEnv: %s is a secret, and whoever may read the Deployment would read it. Give it by valueFrom.secretKeyRef, or as a file by the chart's values." .name) -}}
{{- end -}}
{{- if regexMatch "^OtpAuth__(LocalCaller|AllowEmbeddedInProduction|MigrateOnStart)" .name -}}
{{- fail (printf "extraEnv: %s is for trying the service out, not for a cluster." .name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (lt (int64 .Values.autoscaling.maxReplicas) (int64 .Values.autoscaling.minReplicas)) -}}
{{- fail "autoscaling.maxReplicas must not be less than autoscaling.minReplicas." -}}
{{- end -}}
{{- if and .Values.redis.tls.existingSecret (not .Values.redis.existingSecret) -}}
{{- fail "redis.tls is of no use without redis.existingSecret, the Secret with the connection string." -}}
{{- end -}}
{{- end -}}
