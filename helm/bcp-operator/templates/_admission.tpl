{{/* "true" when the requester of a switch is stamped at admission; else empty. Auto: where the cluster knows MutatingAdmissionPolicy. */}}
{{- define "bcp.stamped" -}}
{{- if .Values.admission.create -}}
{{- if eq .Values.admission.stamp "Always" -}}true
{{- else if and (eq .Values.admission.stamp "Auto") (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* CEL: something under spec.failover is another than before; also true for a new tenant that has the block at all. */}}
{{- define "bcp.failoverChanges" -}}
oldObject == null ? has(object.spec.failover) : object != null && object.spec.?failover != oldObject.spec.?failover
{{- end -}}

{{/* CEL: a switch is asked for, or asked for in another way: something under spec.failover but approvedBy is another than before. */}}
{{- define "bcp.requestChanges" -}}
{{- $parts := list -}}
{{- range list "activeSystem" "reason" "requestedAt" "mode" "override" "secondaryChanges" -}}
{{- $parts = append $parts (printf "object.spec.?failover.?%s != oldObject.spec.?failover.?%s" . .) -}}
{{- end -}}
oldObject == null ? has(object.spec.failover) : object != null && ({{ join " || " $parts }})
{{- end -}}

{{/* CEL: spec.failover.approvedBy of an object; empty when there is none. */}}
{{- define "bcp.approvedBy" -}}
({{ . }} == null ? '' : {{ . }}.spec.?failover.?approvedBy.orValue(''))
{{- end -}}

{{/* CEL: the user has a custom verb on this very object. Takes {verb, resource}. */}}
{{- define "bcp.may" -}}
authorizer.group('bcp-operator.io').resource('{{ .resource }}').namespace(request.namespace).name(request.name).check('{{ .verb }}').allowed()
{{- end -}}

{{/* Controllers of the cluster that delete what lost its owner or its namespace: they hold no right of ours, and must not be held up. */}}
{{- define "bcp.notTheClusterItself" -}}
- name: not-the-cluster-itself
  expression: >-
    !(request.userInfo.username in ['system:serviceaccount:kube-system:namespace-controller',
    'system:serviceaccount:kube-system:generic-garbage-collector', 'system:kube-controller-manager'])
    || (object != null && (oldObject == null || object.spec != oldObject.spec))
{{- end -}}
