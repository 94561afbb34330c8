{{/* Conditions of a pod whose containers named in $failing are not ready; a transition time moves with its status only. */}}
{{ $since := dict }}
{{ range .status.conditions }}{{ if eq .status "False" }}{{ $since = set $since .type .lastTransitionTime }}{{ end }}{{ end }}
conditions:
{{ range list "PodReadyToStartContainers" "Initialized" }}
- {type: {{ . }}, status: "True"}
{{ end }}
{{ range list "ContainersReady" "Ready" }}
- type: {{ . }}
  status: "False"
  reason: ContainersNotReady
  message: "containers with unready status: [{{ join " " $failing }}]"
  lastTransitionTime: {{ get $since . | default Now | Quote }}
{{ end }}
