{{/* Status of a pod whose containers with $word in their image cannot be started. */}}
{{ $forced := get (.metadata.annotations | default dict) "remediator.test/failure" }}
{{ $failing := list }}
{{ range $index, $container := .spec.containers }}
{{ if ternary (eq $index 0) (contains $word .image) (ne $forced "") }}
{{ $failing = append $failing .name }}
{{ end }}
{{ end }}
@include not-ready
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  restartCount: 0
  {{ if has .name $failing }}
  imageID: ""
  ready: false
  started: false
  state:
    waiting:
      {{ if eq $word "imagepull" }}
      reason: ImagePullBackOff
      message: {{ printf "Back-off pulling image %q: not found" .image | Quote }}
      {{ else }}
      reason: CreateContainerConfigError
      message: 'configmap "app-config" not found'
      {{ end }}
  {{ else }}
  imageID: {{ .image | sha256sum | printf "test@sha256:%s" | Quote }}
  ready: true
  started: true
  state:
    running: {startedAt: {{ Now | Quote }}}
  {{ end }}
{{ end }}
@include init-containers
@include addresses
phase: Pending
