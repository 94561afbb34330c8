{{/* A container that never started has no log: the kubelet answers 400, and so does KWOK if none of its entries fits. */}}
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Logs
metadata:
  name: {{ .metadata.name | Quote }}
  namespace: {{ .metadata.namespace | Quote }}
  ownerReferences:
  - {apiVersion: v1, kind: Pod, name: {{ .metadata.name | Quote }}, uid: {{ .metadata.uid | Quote }}}
spec:
  logs:
  - containers: [none-of-them]
