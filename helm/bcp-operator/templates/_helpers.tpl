{{/* The name of the operator's objects: the release's, made to say what it is. At most 52 characters, so that suffixes fit. */}}
{{- define "bcp.name" -}}
{{- if contains "bcp-operator" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-bcp-operator" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What the Deployment and its policies select by; never changes between versions. */}}
{{- define "bcp.selector" -}}
app.kubernetes.io/name: bcp-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "bcp.labels" -}}
{{ include "bcp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: bcp-operator
{{- end -}}

{{/* repository@digest, or repository:tag. Takes {repository, tag, digest, appVersion}. */}}
{{- define "bcp.imageRef" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default .appVersion) -}}
{{- end -}}
{{- end -}}

{{- define "bcp.image" -}}
{{- include "bcp.imageRef" (merge (dict "appVersion" .Chart.AppVersion) .Values.image) -}}
{{- end -}}

{{/* A syncImage that names a tag or digest of its own does not take over the other one of `image`. */}}
{{- define "bcp.syncImage" -}}
{{- $sync := .Values.syncImage | default dict -}}
{{- $own := or $sync.repository $sync.tag $sync.digest -}}
{{- if $own -}}
{{- include "bcp.imageRef" (dict "repository" ($sync.repository | default .Values.image.repository) "tag" $sync.tag "digest" $sync.digest "appVersion" .Chart.AppVersion) -}}
{{- else -}}
{{- include "bcp.image" . -}}
{{- end -}}
{{- end -}}

{{/* class=dialect pairs, comma separated. */}}
{{- define "bcp.ingressClasses" -}}
{{- $pairs := list -}}
{{- range $class, $dialect := .Values.ingressClasses -}}
{{- $pairs = append $pairs (printf "%s=%s" $class $dialect) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{/* Whether the operator may believe the stamp: it is rendered here, or (create: false, stamp: Always) somebody applied it apart. */}}
{{- define "bcp.requesterStamped" -}}
{{- $apart := and (not .Values.admission.create) (eq .Values.admission.stamp "Always") -}}
{{- if or $apart (include "bcp.stamped" .) -}}true{{- else -}}false{{- end -}}
{{- end -}}

{{/* What the schema can't say in words that help. Rendered by the Deployment, so that it is always asked. */}}
{{- define "bcp.validate" -}}
{{- if not .Values.watchNamespaces -}}
{{- fail "\n\nwatchNamespaces is empty: name the namespaces that hold your BCPTenants, e.g. --set 'watchNamespaces={team-a,team-b}'\n" -}}
{{- end -}}
{{- if has .Release.Namespace .Values.watchNamespaces -}}
{{- fail (printf "\n\nwatchNamespaces contains %q, the namespace of this release: the operator's own Lease and token live there. Install the operator into a namespace of its own, e.g. --namespace bcp-system --create-namespace\n" .Release.Namespace) -}}
{{- end -}}
{{- if not .Values.allowedHosts -}}
{{- fail "\n\nallowedHosts is empty: the operator and the sync would refuse every system. Name the hosts of your systems and login URLs, e.g. --set 'allowedHosts={*.example.com,login.acme.example}'\n" -}}
{{- end -}}
{{- if and .Values.admission.fourEyes (ne (include "bcp.requesterStamped" .) "true") -}}
{{- fail "\n\nadmission.fourEyes needs the stamps of a MutatingAdmissionPolicy (Kubernetes 1.36): without them anybody could approve their own switch. Set admission.stamp: Always where the cluster has it, or leave fourEyes off\n" -}}
{{- end -}}
{{- range $list := list "allowedHosts" "insecureHosts" -}}
{{- range $index, $host := index $.Values $list -}}
{{- if not (regexMatch "^[a-z0-9*?\\[\\]!.:-]+$" $host) -}}
{{- fail (printf "\n\n%s[%d] is %q: write one host, or a shell pattern of hosts, in lower case and without scheme, path or comma, e.g. login.acme.example or *.example.com\n" $list $index $host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The API token as an explicit volume: short-lived, and not mounted where it isn't asked for. */}}
{{- define "bcp.apiAccessVolume" -}}
- name: api-access
  projected:
    defaultMode: 0440
    sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3600}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end -}}
