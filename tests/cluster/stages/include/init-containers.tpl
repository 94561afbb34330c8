{{/* Init containers have completed; sidecars run. */}}
{{ with .spec.initContainers }}
initContainerStatuses:
{{ range . }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | sha256sum | printf "test@sha256:%s" | Quote }}
  ready: true
  restartCount: 0
  state:
    {{ if eq (.restartPolicy | default "") "Always" }}
    running: {startedAt: {{ Now | Quote }}}
    {{ else }}
    terminated: {exitCode: 0, reason: Completed, startedAt: {{ Now | Quote }}, finishedAt: {{ Now | Quote }}}
    {{ end }}
{{ end }}
{{ end }}
